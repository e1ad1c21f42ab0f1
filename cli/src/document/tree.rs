//! A document as a tree whose every part knows its bytes.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use anyhow::{Context, bail};
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// Largest document that is read.
const BYTES_MAX: usize = 64 << 20;
/// How often an alias or a reference may lead to another.
const HOPS_MAX: usize = 16;

/// A document.
pub struct Tree {
    pub root: Rc<Node>,
    /// JSON, and to be written as such.
    pub is_json: bool,
    anchors: HashMap<usize, Rc<Node>>,
}

/// A value.
#[derive(Debug)]
pub struct Node {
    /// Its bytes. A block collection begins at its first part and ends with its last one; an empty value has none.
    pub bytes: Range<usize>,
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub enum Kind {
    /// A mapping, in order; `flow` is with braces. `sorted` has the members' places in order of their keys.
    Map { members: Vec<Member>, sorted: Vec<u32>, flow: bool },
    /// A sequence; `flow` is with brackets.
    List { items: Vec<Rc<Node>>, flow: bool },
    /// A text, a number, a word.
    Scalar { text: String, style: Style },
    /// What another place has.
    Alias(usize),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    /// Over several lines, after `|` or `>`.
    Block,
}

/// A member of a mapping.
#[derive(Debug)]
pub struct Member {
    pub key: String,
    pub key_bytes: Range<usize>,
    pub node: Rc<Node>,
}

impl Tree {
    /// Reads a document.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        if text.len() > BYTES_MAX {
            bail!("it has more than {} MiB", BYTES_MAX >> 20);
        }
        let is_json = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
        if is_json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}'))
        {
            // YAML with braces is YAML all the same; its own error is told below, should there be one.
            return Self::read(text, false).map_err(|_| anyhow::anyhow!("{error}"));
        }
        Self::read(&readable(text, is_json), is_json)
    }

    fn read(text: &str, is_json: bool) -> anyhow::Result<Self> {
        let mut builder = Builder { text, parser: Parser::new_from_str(text), anchors: HashMap::new() };
        let root = builder.document()?;
        Ok(Self { root, is_json, anchors: builder.anchors })
    }

    /// The value itself, where it is another's alias.
    pub fn resolved<'a>(&'a self, node: &'a Rc<Node>) -> &'a Rc<Node> {
        let mut node = node;
        for _ in 0..HOPS_MAX {
            match &node.kind {
                Kind::Alias(id) => match self.anchors.get(id) {
                    Some(meant) => node = meant,
                    None => return node,
                },
                _ => return node,
            }
        }
        node
    }

    /// A member of a mapping, through aliases and merge keys.
    pub fn get<'a>(&'a self, node: &'a Rc<Node>, key: &str) -> Option<&'a Rc<Node>> {
        self.get_within(node, key, HOPS_MAX)
    }

    fn get_within<'a>(&'a self, node: &'a Rc<Node>, key: &str, hops: usize) -> Option<&'a Rc<Node>> {
        let node = self.resolved(node);
        if let Some(found) = node.member(key) {
            return Some(self.resolved(&found.node));
        }
        let merged = self.resolved(&node.member("<<").filter(|_| hops > 0)?.node);
        match &merged.kind {
            Kind::List { items, .. } => items.iter().find_map(|item| self.get_within(item, key, hops - 1)),
            _ => self.get_within(merged, key, hops - 1),
        }
    }

    /// The value that a local reference (`#/components/responses/Gone`) names.
    pub fn pointed(&self, reference: &str) -> Option<&Rc<Node>> {
        let mut node = &self.root;
        for part in reference.strip_prefix("#/")?.split('/') {
            let part = percent_decoded(part).replace("~1", "/").replace("~0", "~");
            let at = self.resolved(node);
            node = match &at.kind {
                Kind::List { items, .. } => items.get(part.parse::<usize>().ok()?)?,
                _ => self.get(at, &part)?,
            };
        }
        Some(self.resolved(node))
    }

    /// The value, or what its `$ref` names, as far as that is in this document.
    pub fn dereferenced<'a>(&'a self, node: &'a Rc<Node>) -> &'a Rc<Node> {
        let mut node = self.resolved(node);
        for _ in 0..HOPS_MAX {
            let reference = self.get(node, "$ref").and_then(|reference| reference.text());
            match reference.and_then(|reference| self.pointed(reference)) {
                Some(meant) => node = meant,
                None => return node,
            }
        }
        node
    }
}

impl Node {
    /// The member of this name, of this very mapping.
    pub fn member(&self, key: &str) -> Option<&Member> {
        let Kind::Map { members, sorted, .. } = &self.kind else { return None };
        let of = |place: &u32| members.get(*place as usize);
        let at = sorted.binary_search_by(|place| of(place).map_or("", |member| member.key.as_str()).cmp(key)).ok()?;
        of(sorted.get(at)?)
    }

    /// The members; none where it is no mapping.
    pub fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Map { members, .. } => members,
            _ => &[],
        }
    }

    /// The items; none where it is no sequence.
    pub fn items(&self) -> &[Rc<Self>] {
        match &self.kind {
            Kind::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is a mapping.
    pub const fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map { .. })
    }

    /// Whether it is nothing: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// Whether all of `self` is in `other`, as it was: mappings may have got more members, sequences more items at their end.
    pub fn is_within(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Map { members, .. }, Kind::Map { .. }) => members
                .iter()
                .all(|member| other.member(&member.key).is_some_and(|known| member.node.is_within(&known.node))),
            (Kind::List { items, .. }, Kind::List { items: others, .. }) => {
                items.len() <= others.len() && items.iter().zip(others).all(|(item, other)| item.is_within(other))
            }
            (Kind::Scalar { text, style }, Kind::Scalar { text: other, style: as_written }) => {
                text == other && style == as_written
            }
            (Kind::Alias(id), Kind::Alias(other)) => id == other,
            _ => self.is_null() && other.is_map(),
        }
    }
}

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Rc<Node>>,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> anyhow::Result<Rc<Node>> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => bail!("it is empty"),
                (event, span) => {
                    let root = self.node(event, span)?;
                    loop {
                        match self.next()? {
                            (Event::DocumentEnd, _) => {}
                            (Event::StreamEnd, _) => return Ok(root),
                            (_, span) => bail!("{}: there is more than one document in it", self.place(&span)),
                        }
                    }
                }
            }
        }
    }

    fn next(&mut self) -> anyhow::Result<(Event<'t>, Span)> {
        let next = self.parser.next().context("it ends too early")?;
        next.map_err(|error| {
            let at = error.marker();
            anyhow::anyhow!("{}:{}: {}", at.line(), at.col() + 1, error.info())
        })
    }

    fn place(&self, span: &Span) -> String {
        format!("{}:{}", span.start.line(), span.start.col() + 1)
    }

    /// The value that begins with `event`. As deep as the parser allows.
    fn node(&mut self, event: Event<'t>, span: Span) -> anyhow::Result<Rc<Node>> {
        let bytes = span.byte_range().unwrap_or_default();
        let (anchor, node) = match event {
            Event::Alias(id) => (0, Node { bytes, kind: Kind::Alias(id) }),
            Event::Scalar(text, style, anchor, _) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                (anchor, Node { bytes, kind: Kind::Scalar { text: text.into_owned(), style } })
            }
            Event::SequenceStart(style, anchor, _) => (anchor, self.list(bytes, style == StructureStyle::Flow)?),
            Event::MappingStart(style, anchor, _) => (anchor, self.map(bytes, style == StructureStyle::Flow)?),
            _ => bail!("{}: something else than a value", self.place(&span)),
        };
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, mut bytes: Range<usize>, flow: bool) -> anyhow::Result<Node> {
        let mut items: Vec<Rc<Node>> = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    bytes.end = end(items.last().map(|item| item.bytes.end), &span, flow, bytes.end);
                    return Ok(Node { bytes, kind: Kind::List { items, flow } });
                }
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self, mut bytes: Range<usize>, flow: bool) -> anyhow::Result<Node> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let last = members.last().map(|member| member.node.bytes.end.max(member.key_bytes.end));
                bytes.end = end(last, &span, flow, bytes.end);
                let mut sorted: Vec<u32> = (0..u32::try_from(members.len()).unwrap_or(u32::MAX)).collect();
                sorted.sort_by(|a, b| {
                    let key = |place: &u32| members.get(*place as usize).map(|member| member.key.as_str());
                    key(a).cmp(&key(b))
                });
                return Ok(Node { bytes, kind: Kind::Map { members, sorted, flow } });
            }
            let place = self.place(&span);
            let key = self.node(event, span)?;
            let Some(name) = key.text().map(str::to_owned) else { bail!("{place}: a key is no text") };
            if !seen.insert(name.clone()) {
                bail!("{place}: {name:?} is here twice");
            }
            let (event, span) = self.next()?;
            let mut node = self.node(event, span)?;
            if node.is_null() && node.bytes.is_empty() {
                // Where the value would stand: after the colon.
                let rest = self.text.get(key.bytes.end..).unwrap_or_default();
                let at = key.bytes.end + rest.find(':').map_or(0, |colon| colon + 1);
                node = Rc::new(Node { bytes: at..at, kind: Kind::Scalar { text: String::new(), style: Style::Plain } });
            }
            members.push(Member { key: name, key_bytes: key.bytes.clone(), node });
        }
    }
}

/// A JSON text without the characters that YAML does not allow as they are, each byte of them replaced: places stay the same.
fn readable(text: &str, is_json: bool) -> Cow<'_, str> {
    let odd = |c: char| matches!(c, '\u{7f}' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    if !is_json || !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) { out.extend(std::iter::repeat_n('?', c.len_utf8())) } else { out.push(c) }
    }
    Cow::Owned(out)
}

fn end(last: Option<usize>, span: &Span, flow: bool, begin: usize) -> usize {
    let closing = span.byte_range().map_or(begin, |bytes| bytes.end);
    if flow { closing } else { last.unwrap_or(begin) }
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(plain) => {
                bytes.push(plain);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_their_bytes_and_aliases_what_they_mean() {
        let text = "a: &x\n  b: |\n    one\n\n  c:\nd: *x\ne: {<<: *x, f: 'g'} # h\n";
        let tree = Tree::parse(text).unwrap();
        let at = |path: &[&str]| path.iter().fold(&tree.root, |node, key| tree.get(node, key).unwrap());
        assert_eq!(at(&["a", "b"]).text(), Some("one\n"));
        assert_eq!(at(&["d", "b"]).text(), Some("one\n"));
        assert_eq!(at(&["e", "b"]).text(), Some("one\n"));
        assert_eq!(&text[at(&["e"]).bytes.clone()], "{<<: *x, f: 'g'}");
        assert!(at(&["a", "c"]).is_null());
        assert_eq!(&text[..at(&["a", "c"]).bytes.start], "a: &x\n  b: |\n    one\n\n  c:");
        assert_eq!(tree.pointed("#/e/f").and_then(|node| node.text()), Some("g"));
        assert!(!tree.is_json && Tree::parse("{\"a\": \"\\ud83d\\ude00\"}").unwrap().is_json);
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        for (text, part) in [
            ("", "empty"),
            ("a: 1\nb: 2\na: 3\n", "3:1"),
            ("a: [1,\n", "1:4: "),
            ("--- 1\n--- 2\n", "more than one"),
            ("{\"a\": 1,,}", "line 1"),
            ("a: *b\n", "1:"),
        ] {
            let error = Tree::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(Tree::parse(&deep).is_err());
        let bomb: String = (1..60).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)).collect();
        let tree = Tree::parse(&format!("a0: &a0 x\n{bomb}")).unwrap();
        assert_eq!(tree.root.members().len(), 60, "aliases are not multiplied");
    }
}
