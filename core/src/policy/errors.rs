//! What is wrong with a policy: every error of a file at once, each with its place.
//!
//! Holds no rules of its own; `decode` and `compile` find the errors, this collects, places and prints them.

use std::fmt;

use super::spanned::{Node, Value};

/// Most errors that are reported for one file.
pub const ERRORS_MAX: usize = 100;

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyError {
    /// Path of the value in the file: `routes[2].class`. Empty for the file as a whole.
    pub path: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// The known name that is closest to what is there.
    pub nearest: Option<String>,
}

impl fmt::Display for PolicyError {
    /// `12:15: routes[2].class: unknown class "catlog"; did you mean "catalog"?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        let mut separator = if self.message.is_empty() { "" } else { ": " };
        for (word, part) in [("expected", &self.expected), ("found", &self.found)] {
            if let Some(part) = part {
                write!(f, "{separator}{word} {part}")?;
                separator = ", ";
            }
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean \"{nearest}\"?")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}

/// Everything that is wrong with a policy, in order of the file, at most [`ERRORS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    errors: Vec<PolicyError>,
    left_out: usize,
}

impl PolicyErrors {
    /// The errors, in order of the file. Never empty.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.errors.iter()
    }

    /// Number of errors reported.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many more there are than are reported.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// One line an error, each opening with the name of the file: `shop.json:12:15: routes[2].class: ...`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { errors: self, file }
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_file("policy.json").fmt(f)
    }
}

impl std::error::Error for PolicyErrors {}

struct InFile<'a> {
    errors: &'a PolicyErrors,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{error}", self.file)?;
        }
        match self.errors.left_out {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.file),
        }
    }
}

/// What is wrong, before it has a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    pub message: String,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub nearest: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn expected(expected: impl Into<String>) -> Self {
        Self::default().and_expected(expected)
    }

    pub fn and_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn nearest(mut self, nearest: Option<impl Into<String>>) -> Self {
        self.nearest = nearest.map(Into::into);
        self
    }
}

/// One step of a path into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A path such as `routes[2].key.headers[0]`; keys that are no plain names are quoted.
pub(crate) fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                let plain = !key.is_empty()
                    && key.len() <= 64
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
                match (plain, text.is_empty()) {
                    (true, true) => text.push_str(key),
                    (true, false) => text.push_str(&format!(".{key}")),
                    (false, _) => text.push_str(&format!("[{}]", super::spanned::Quoted(key))),
                }
            }
        }
    }
    text
}

/// Errors being collected for a text.
pub(crate) struct Collected {
    found: Vec<(usize, String, Problem)>,
    left_out: usize,
}

impl Collected {
    pub const fn new() -> Self {
        Self { found: Vec::new(), left_out: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether there is an error whose path is as asked.
    pub fn is_about(&self, path: impl Fn(&str) -> bool) -> bool {
        self.found.iter().any(|(_, found, _)| path(found))
    }

    /// Whether further errors are only counted.
    pub fn is_full(&self) -> bool {
        self.found.len() >= ERRORS_MAX
    }

    /// Adds an error at byte `at`. The same error at the same place counts once.
    pub fn add(&mut self, at: usize, path: &[Step], problem: Problem) {
        if self.is_full() {
            self.left_out += 1;
            return;
        }
        let entry = (at, path_text(path), problem);
        if !self.found.contains(&entry) {
            self.found.push(entry);
        }
    }

    /// Adds an error about the value at `path` under `root`, or about the deepest part of the path that is there.
    pub fn add_at_path(&mut self, root: &Node, path: &[Step], problem: Problem) {
        self.add(locate(root, path), path, problem);
    }

    /// The errors with lines and columns, sorted by place.
    pub fn placed(mut self, text: &str) -> PolicyErrors {
        self.found.sort_by_key(|(at, ..)| *at);
        let mut places = Places::of_text(text);
        let errors = self
            .found
            .into_iter()
            .map(|(at, path, problem)| {
                let (line, column) = places.of(at);
                let Problem { message, expected, found, nearest } = problem;
                PolicyError { path, line, column, message, expected, found, nearest }
            })
            .collect();
        PolicyErrors { errors, left_out: self.left_out }
    }
}

/// Offset of the value at `path`, or of the deepest part of it that is there.
pub(crate) fn locate(root: &Node, path: &[Step]) -> usize {
    let mut node = root;
    for step in path {
        let next = match (step, &node.value) {
            (Step::Key(key), Value::Object(members)) => members.iter().find(|m| m.key == *key).map(|m| &m.node),
            (Step::Index(index), Value::Array(nodes)) => nodes.get(*index),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node.at
}

/// Turns ascending offsets into lines and columns in one pass over the text.
pub(crate) struct Places<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_at: usize,
}

impl<'t> Places<'t> {
    pub const fn of_text(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, line_at: 0 }
    }

    /// Line and column of a byte; no earlier one than before.
    pub fn of(&mut self, at: usize) -> (usize, usize) {
        for (offset, _) in self.text.get(self.at..at).unwrap_or_default().match_indices('\n') {
            self.line += 1;
            self.line_at = self.at + offset + 1;
        }
        self.at = self.at.max(at);
        let before = self.text.get(self.line_at..at).unwrap_or_default();
        (self.line, before.chars().filter(|c| *c != '\u{feff}').count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn errors_come_in_order_of_the_file_with_lines_and_columns() {
        let text = "{\n  \"é\": 1,\n  \"b\": 2\n}";
        let root = crate::policy::spanned::parse(text).unwrap();
        let mut collected = Collected::new();
        collected.add_at_path(&root, &["b".into()], Problem::new("wrong").nearest(Some("right")));
        collected.add_at_path(&root, &["b".into()], Problem::new("wrong").nearest(Some("right")));
        collected.add_at_path(&root, &["é".into(), 3.into()], Problem::expected("x").found("y"));
        let errors = collected.placed(text);
        assert_eq!(
            errors.in_file("f").to_string(),
            "f:2:8: [\"é\"][3]: expected x, found y\nf:3:8: b: wrong; did you mean \"right\"?"
        );
    }

    #[test]
    fn past_a_hundred_errors_the_rest_is_counted() {
        let mut collected = Collected::new();
        for index in 0..250 {
            collected.add(0, &[Step::Index(index)], Problem::new("no"));
        }
        let errors = collected.placed("");
        assert_eq!((errors.len(), errors.left_out()), (100, 150));
        assert!(errors.to_string().ends_with("policy.json: and 150 more"));
    }
}
