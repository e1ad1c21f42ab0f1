//! One thing that is wrong or odd, whoever found it.

use std::ops::Range;

use larder_core::policy::lint::{Lint, span_at};
use larder_core::policy::{PolicyError, PolicyErrors};

use super::levels::Level;

/// One thing that is wrong or odd.
#[derive(Clone, Debug)]
pub struct Finding {
    pub level: Level,
    /// The lint's id; errors have none.
    pub id: Option<&'static str>,
    pub message: String,
    pub help: Option<String>,
    pub path: String,
    pub line: usize,
    pub column: usize,
    /// Bytes of the file.
    pub span: Range<usize>,
}

impl Finding {
    /// A lint.
    pub fn of_lint(level: Level, lint: Lint) -> Self {
        let Lint { rule, message, help, path, line, column, span, .. } = lint;
        Self { level, id: Some(rule.id), message, help: Some(help), path, line, column, span }
    }

    /// The errors of a file, in order.
    pub fn of_errors(text: &str, errors: &PolicyErrors) -> Vec<Self> {
        let mut lines = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            lines.push((at, line));
            at += line.len();
        }
        // The end of a file that ends with a line's end is a line of its own.
        lines.push((at, ""));
        errors.iter().map(|error| Self::of_error(text, &lines, error)).collect()
    }

    fn of_error(text: &str, lines: &[(usize, &str)], error: &PolicyError) -> Self {
        let (line_at, line) = lines.get(error.line.saturating_sub(1)).copied().unwrap_or((text.len(), ""));
        // A byte order mark is no column.
        let columns = line.char_indices().filter(|(_, c)| *c != '\u{feff}');
        let offset = columns.map(|(offset, _)| offset).nth(error.column.saturating_sub(1)).unwrap_or(line.len());
        let mut message = error.message.clone();
        for (word, part) in [("expected", &error.expected), ("found", &error.found)] {
            if let Some(part) = part {
                let separator = if message.is_empty() {
                    ""
                } else if message == error.message {
                    ": "
                } else {
                    ", "
                };
                message.push_str(&format!("{separator}{word} {part}"));
            }
        }
        Self {
            level: Level::Error,
            id: None,
            message,
            help: error.nearest.as_ref().map(|nearest| format!("did you mean \"{nearest}\"?")),
            path: error.path.clone(),
            line: error.line,
            column: error.column,
            span: span_at(text, line_at + offset),
        }
    }
}
