//! From a scenario file's text to steps. Every error names its line, what was expected, and, where there is one, a hint.
//!
//! Grammar in `scenarios/README.md`. Blocks are by indentation: a step begins in the first column, its details are indented.

mod details;
mod step;

use std::fmt;
use std::path::{Path, PathBuf};

use super::model::{Action, Only, Scenario};

pub(super) use step::span;

/// Something in a file that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// A line that says something.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    line: usize,
    /// Without its indentation and what trails.
    text: &'a str,
    indented: bool,
}

/// A step's first line with its details.
#[derive(Debug)]
struct Block<'a> {
    head: Row<'a>,
    details: Vec<Row<'a>>,
}

/// What is wrong at a line, before the file's name is added.
type Wrong = (usize, String);

/// Reads a file.
pub fn read(path: &Path) -> Result<Scenario, SyntaxError> {
    let wrong = |message: String| SyntaxError { path: path.to_owned(), line: 0, message };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    parse(path, &text)
}

/// Reads a file's text. `path` gives the name and the place of `policies/`.
pub fn parse(path: &Path, text: &str) -> Result<Scenario, SyntaxError> {
    scenario(path, text).map_err(|(line, message)| SyntaxError { path: path.to_owned(), line, message })
}

fn scenario(path: &Path, text: &str) -> Result<Scenario, Wrong> {
    let rows = rows(text)?;
    let mut blocks = blocks(&rows)?.into_iter().peekable();
    let Some(title) = blocks.next().filter(|block| block.details.is_empty()) else {
        return Err((1, "a scenario begins with a line that says what holds, as a sentence".to_owned()));
    };
    if step::looks_like_one(title.head.text) {
        let message = "a scenario begins with a line that says what holds, as a sentence; this is a step already";
        return Err((title.head.line, message.to_owned()));
    }
    let only = blocks.next_if(|block| block.head.text.starts_with("only ")).map(|block| only(&block)).transpose()?;
    let mut steps = Vec::new();
    for block in blocks {
        steps.push(step::step(path, &block)?);
    }
    if !matches!(steps.first().map(|step| &step.action), Some(Action::Policy(_))) {
        let line = steps.first().map_or(title.head.line, |step| step.line);
        let message = "the first step loads the policy: `policy NAME` (a file in scenarios/policies) or `policy` and \
                       the JSON indented below it";
        return Err((line, message.to_owned()));
    }
    let title = title.head.text.to_owned();
    Ok(Scenario { path: path.to_owned(), name: name(path), title, only, host: None, steps })
}

fn name(path: &Path) -> String {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    format!("{}/{}", part(path.parent().and_then(Path::file_name)), part(path.file_stem()))
}

fn rows(text: &str) -> Result<Vec<Row<'_>>, Wrong> {
    let mut rows = Vec::new();
    for (index, whole) in text.lines().enumerate() {
        let (line, trimmed) = (index + 1, whole.trim());
        if trimmed.is_empty() || trimmed.starts_with("# ") || trimmed == "#" {
            continue;
        }
        if whole.starts_with('\t') {
            return Err((line, "indent with blanks, not with a tab".to_owned()));
        }
        rows.push(Row { line, text: trimmed, indented: whole.starts_with(' ') });
    }
    Ok(rows)
}

fn blocks<'a>(rows: &[Row<'a>]) -> Result<Vec<Block<'a>>, Wrong> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for row in rows {
        match (row.indented, blocks.last_mut()) {
            (false, _) => blocks.push(Block { head: *row, details: Vec::new() }),
            (true, Some(block)) => block.details.push(*row),
            (true, None) => return Err((row.line, "an indented line needs a step above it".to_owned())),
        }
    }
    Ok(blocks)
}

/// `only core, wasmtime because REASON`.
fn only(block: &Block<'_>) -> Result<Only, Wrong> {
    let usage = || (block.head.line, "expected `only core, wasmtime because REASON`".to_owned());
    let rest = block.head.text.strip_prefix("only ").ok_or_else(usage)?;
    let (names, reason) = rest.split_once(" because ").ok_or_else(usage)?;
    let executors: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if executors.iter().any(String::is_empty) || reason.trim().is_empty() || !block.details.is_empty() {
        return Err(usage());
    }
    Ok(Only { executors, reason: reason.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(Path::new("topic/file.scn"), text).expect_err("should be refused").to_string()
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (text, want) in [
            ("", "topic/file.scn:1: a scenario begins with a line that says what holds"),
            ("GET /a\n", "topic/file.scn:1: a scenario begins"),
            ("Title.\nGET /a\n", "topic/file.scn:2: the first step loads the policy"),
            ("Title.\npolicy\n  {}\nrelaese\n", "topic/file.scn:4: `relaese` is no step; did you mean `release`?"),
            ("Title.\npolicy\n  {}\nwait 5 s\n", "topic/file.scn:4: expected a span such as `30s`, `1h` or `500ms`"),
            ("Title.\npolicy\n  {}\nGET /a\n  accept text/plain\n", "topic/file.scn:5: expected `name: value`"),
            (
                "Title.\npolicy\n  {}\norigin GET /a 200\n",
                "topic/file.scn:4: expected `origin METHOD TARGET -> STATUS`",
            ),
            ("Title.\npolicy\n  {}\n-> twohundred\n", "topic/file.scn:4: expected a status such as `-> 200`"),
            ("Title.\nonly core\npolicy\n  {}\n", "topic/file.scn:2: expected `only core, wasmtime because REASON`"),
            ("Title.\npolicy\n  {\"version\": 1\n", "topic/file.scn:2: this policy is no JSON"),
            ("Title.\npolicy\n\t{}\n", "topic/file.scn:3: indent with blanks"),
        ] {
            let found = error(text);
            assert!(found.starts_with(want), "{text:?}\nwant {want}\ngot  {found}");
        }
    }
}
