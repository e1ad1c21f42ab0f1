//! Header fields as hosts hand them over, and the heads of requests and responses.
//!
//! Names are lower case, values are raw bytes in order of arrival. Knows nothing of what a field means: `field/` does.

mod name;

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub use name::Name;

/// One header field line. Copying one copies neither name nor value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Lower-case name.
    pub name: Name,
    /// Raw value, not trimmed.
    pub value: Bytes,
}

/// An ordered list of field lines. Lookups are linear: real messages carry 10 to 30 lines.
#[derive(Clone, Default)]
pub struct Fields {
    lines: Lines,
}

/// Copies of shared lines cost nothing until one of them is changed.
#[derive(Clone)]
enum Lines {
    Own(Vec<Field>),
    Shared(Arc<[Field]>),
}

impl Default for Lines {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.are_same(other) || self.lines() == other.lines()
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines()).finish()
    }
}

impl From<Vec<Field>> for Fields {
    fn from(lines: Vec<Field>) -> Self {
        Self { lines: Lines::Own(lines) }
    }
}

impl Fields {
    /// An empty list.
    pub const fn new() -> Self {
        Self { lines: Lines::Own(Vec::new()) }
    }

    /// An empty list with room for so many lines.
    pub fn with_capacity(lines: usize) -> Self {
        Vec::with_capacity(lines).into()
    }

    /// Takes over what a host has read; names are made lower case where they are not.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let line = |(name, value): (String, Vec<u8>)| Field { name: Name::new(&name), value: value.into() };
        pairs.into_iter().map(line).collect::<Vec<_>>().into()
    }

    /// Lines whose values share one piece of memory, all of which lives as long as any of them.
    pub fn from_slices<'a>(memory: &Bytes, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let line = |(name, value): (&str, &[u8])| Field { name: Name::new(name), value: memory.slice_ref(value) };
        pairs.into_iter().map(line).collect::<Vec<_>>().into()
    }

    /// Lines whose values are copied, all of them into one piece of memory.
    pub fn copied<'a, I: Iterator<Item = (&'a str, &'a [u8])>>(pairs: impl Fn() -> I) -> Self {
        let (lines, bytes) = pairs().fold((0, 0), |(lines, bytes), (_, value)| (lines + 1, bytes + value.len()));
        let mut memory = Vec::with_capacity(bytes);
        pairs().for_each(|(_, value)| memory.extend_from_slice(value));
        let mut memory = Bytes::from(memory);
        let mut copied = Vec::with_capacity(lines);
        for (name, value) in pairs() {
            let value = memory.split_to(value.len().min(memory.len()));
            copied.push(Field { name: Name::new(name), value });
        }
        copied.into()
    }

    /// The lines in order.
    pub fn lines(&self) -> &[Field] {
        match &self.lines {
            Lines::Own(lines) => lines,
            Lines::Shared(lines) => lines,
        }
    }

    /// From now on copies share the lines, until one is changed: worth a piece of memory where there will be several.
    pub fn share(&mut self) {
        if let Lines::Own(lines) = &mut self.lines {
            self.lines = Lines::Shared(std::mem::take(lines).into());
        }
    }

    /// Whether these are the very same lines, unchanged since they were shared.
    pub fn are_same(&self, other: &Self) -> bool {
        match (&self.lines, &other.lines) {
            (Lines::Shared(one), Lines::Shared(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<Field>)) {
        let mut lines = match std::mem::take(&mut self.lines) {
            Lines::Own(lines) => lines,
            Lines::Shared(lines) => lines.to_vec(),
        };
        change(&mut lines);
        self.lines = Lines::Own(lines);
    }

    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.lines().iter()
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines().is_empty()
    }

    /// The first value of `name` (lower case).
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.lines().iter().find(|line| line.name == name).map(|line| &*line.value)
    }

    /// Every value of `name` (lower case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines().iter().filter(move |line| line.name == name).map(|line| &*line.value)
    }

    /// Whether `name` (lower case) is present.
    pub fn has(&self, name: &str) -> bool {
        self.lines().iter().any(|line| line.name == name)
    }

    /// The values of `name` joined by `, `, as RFC 9110 5.3 combines lines; `None` when absent.
    pub fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.all(name);
        let mut joined = values.next()?.to_vec();
        for value in values {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    /// Appends a line whose value is shared.
    pub fn push(&mut self, name: Name, value: Bytes) {
        self.change(|lines| lines.push(Field { name, value }));
    }

    /// Appends a line.
    pub fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.push(Name::new(name), value.into().into());
    }

    /// Replaces every line of `name` by one.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let value = Bytes::from(value.into());
        let Some(at) = self.lines().iter().position(|line| line.name == name) else {
            return self.push(Name::new(name), value);
        };
        self.change(|lines| {
            let mut index = 0;
            lines.retain(|line| {
                index += 1;
                line.name != name || index == at + 1
            });
            if let Some(line) = lines.get_mut(at) {
                line.value = value;
            }
        });
    }

    /// Removes every line of `name`.
    pub fn remove(&mut self, name: &str) {
        self.retain(|line| line.name != name);
    }

    /// Keeps the lines for which `keep` says so. Where it keeps all of them, shared ones stay shared.
    pub fn retain(&mut self, mut keep: impl FnMut(&Field) -> bool) {
        let Some(first) = self.lines().iter().position(|line| !keep(line)) else { return };
        let mut index = 0;
        self.change(|lines| {
            lines.retain(|line| {
                index += 1;
                // Each line is asked about once.
                index <= first || index > first + 1 && keep(line)
            });
        });
    }

    /// The same lines in memory of their own: what they were made of need not live on. Copies share them.
    pub fn compact(&self) -> Self {
        let mut memory = Vec::with_capacity(self.iter().map(|line| line.value.len()).sum());
        self.iter().for_each(|line| memory.extend_from_slice(&line.value));
        let mut memory = Bytes::from(memory);
        let line = |line: &Field| Field { name: line.name.clone(), value: memory.split_to(line.value.len()) };
        let mut compact = Self::from(self.iter().map(line).collect::<Vec<_>>());
        compact.share();
        compact
    }

    /// Bytes of names and values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|line| line.name.len() + line.value.len()).sum()
    }
}

/// Fields that many replies share, with what the host has made of them: its own form is made once, and goes when they go.
#[derive(Debug, Default)]
pub struct SharedFields {
    fields: Fields,
    made: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl SharedFields {
    /// What the host makes of these fields, made now if it is not there yet. `None` if something of another type is there.
    pub fn made<T: Any + Send + Sync>(&self, make: impl FnOnce(&Fields) -> T) -> Option<&T> {
        self.made.get_or_init(|| Box::new(make(&self.fields))).downcast_ref()
    }
}

impl From<Fields> for SharedFields {
    fn from(fields: Fields) -> Self {
        Self { fields, made: OnceLock::new() }
    }
}

impl Deref for SharedFields {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.fields
    }
}

/// What the core needs to know of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// Method, case as received.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host with port where given (`:authority`), as received.
    pub authority: String,
    /// Path and query (`:path`), as received.
    pub target: String,
    /// Header fields without pseudo headers.
    pub fields: Fields,
    /// Whether a body follows.
    pub has_body: bool,
}

impl RequestHead {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.split().0
    }

    /// The query after `?`, where there is one.
    pub fn query(&self) -> Option<&str> {
        self.split().1
    }

    /// Targets are short: looking at each byte takes less than getting ready to skip some.
    fn split(&self) -> (&str, Option<&str>) {
        let mark = self.target.bytes().position(|byte| byte == b'?');
        match mark.and_then(|at| self.target.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (&self.target, None),
        }
    }
}

/// Who wrote a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The origin.
    #[default]
    Origin,
    /// The proxy, because the origin could not be reached, took too long or broke off.
    Failure(Failure),
}

/// Why the origin gave no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke off.
    Reset,
    /// Anything else the proxy answered by itself (overload, no healthy host).
    Other,
}

/// What the core needs to know of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// Header fields without pseudo headers.
    pub fields: Fields,
    /// Who wrote it.
    pub source: Source,
    /// Whether the response ends with its head (no body, no trailers follow).
    pub ends: bool,
}

impl ResponseHead {
    /// `Content-Length`, where it is there and makes sense.
    pub fn content_length(&self) -> Option<u64> {
        let value = self.fields.first("content-length")?;
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn set_keeps_the_place_of_the_first_line_and_drops_the_others() {
        let mut fields = Fields::new();
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            fields.add(name, value);
        }
        fields.set("a", "9");
        let seen: Vec<_> = fields.iter().map(|f| format!("{}={}", f.name, String::from_utf8_lossy(&f.value))).collect();
        assert_eq!(seen, ["a=9", "b=2", "c=4"]);
        assert_eq!(fields.joined("a").unwrap(), b"9");
    }

    #[test]
    fn values_share_the_memory_that_they_are_made_of() {
        let memory = Bytes::from_static(b"A=1;b=22");
        let slice = |from, to| memory.get(from..to).unwrap();
        let shared = Fields::from_slices(&memory, [("A", slice(2, 3)), ("b", slice(6, 8))]);
        let copied = Fields::copied(|| [("A", slice(2, 3)), ("b", slice(6, 8))].into_iter());
        let plain = Fields::from_pairs([("a".to_owned(), b"1".to_vec()), ("B".to_owned(), b"22".to_vec())]);
        assert_eq!((&shared, &copied), (&plain, &plain));
        assert_eq!(shared.first("b").unwrap().as_ptr(), slice(6, 8).as_ptr());
        assert_eq!(Fields::copied(std::iter::empty), Fields::new());
    }

    #[test]
    fn copies_of_shared_lines_are_the_same_until_one_is_changed() {
        let mut fields = Fields::new();
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("b", "4")] {
            fields.add(name, value);
        }
        assert!(!fields.are_same(&fields.clone()), "not shared yet");
        fields.share();
        let mut copy = fields.clone();
        copy.remove("d");
        copy.retain(|_| true);
        assert!(copy.are_same(&fields), "nothing was changed");
        let mut asked = Vec::new();
        copy.retain(|line| {
            asked.push(line.name.to_string());
            line.name != "b"
        });
        assert_eq!(asked, ["a", "b", "c", "b"], "each once");
        assert!(!copy.are_same(&fields) && copy != fields);
        let names = |fields: &Fields| fields.iter().map(|line| line.name.to_string()).collect::<Vec<_>>();
        assert_eq!((names(&copy), names(&fields)), (vec!["a".into(), "c".into()], asked));
        copy.set("c", "9");
        copy.add("d", "5");
        assert_eq!((copy.first("c"), fields.first("c"), fields.has("d")), (Some(&b"9"[..]), Some(&b"3"[..]), false));
        assert_eq!(fields.compact(), fields);
    }

    #[test]
    fn what_a_host_makes_of_fields_is_made_once() {
        let mut fields = Fields::new();
        fields.add("a", "1");
        let shared = SharedFields::from(fields);
        assert_eq!(shared.made(Fields::len), Some(&1));
        assert_eq!(shared.made(|_| 7_usize), Some(&1));
        assert_eq!(shared.made(|_| 7_u8), None, "something else is there");
        assert_eq!(shared.first("a"), Some(&b"1"[..]));
    }

    #[test]
    fn the_target_splits_at_its_first_question_mark() {
        let head = RequestHead { target: "/a?b?c".into(), ..RequestHead::default() };
        assert_eq!((head.path(), head.query()), ("/a", Some("b?c")));
        let head = |target: &str| RequestHead { target: target.into(), ..RequestHead::default() };
        assert_eq!((head("/ä?").path(), head("/ä?").query()), ("/ä", Some("")));
        assert_eq!((head("/a").path(), head("/a").query()), ("/a", None));
    }
}
