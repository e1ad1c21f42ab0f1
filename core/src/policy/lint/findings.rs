//! Lints being collected: one a place and rule, however many routes share the line that is to blame.

use std::collections::BTreeMap;

use super::{Lint, LintRule, span_at};
use crate::policy::errors::{Places, Step, locate, path_text};
use crate::policy::spanned::Node;

/// What was found so far.
pub(super) struct Findings<'a> {
    root: &'a Node,
    found: BTreeMap<(usize, &'static str, String), Found>,
}

struct Found {
    rule: &'static LintRule,
    message: String,
    help: String,
    more: usize,
}

impl<'a> Findings<'a> {
    pub const fn new(root: &'a Node) -> Self {
        Self { root, found: BTreeMap::new() }
    }

    /// Notes a finding about what stands at `path`.
    pub fn add(&mut self, rule: &'static LintRule, path: &[Step], message: impl Into<String>, help: impl Into<String>) {
        let key = (locate(self.root, path), rule.id, path_text(path));
        match self.found.get_mut(&key) {
            Some(found) => found.more += 1,
            None => {
                self.found.insert(key, Found { rule, message: message.into(), help: help.into(), more: 0 });
            }
        }
    }

    /// The lints with lines and columns, in order of the file.
    pub fn placed(self, text: &str) -> Vec<Lint> {
        let mut places = Places::of_text(text);
        let found = self.found.into_iter();
        found
            .map(|((at, _, path), Found { rule, mut message, help, more })| {
                let (line, column) = places.of(at);
                match more {
                    0 => {}
                    1 => message.push_str(" (and so for another route)"),
                    more => message.push_str(&format!(" (and so for {more} other routes)")),
                }
                Lint { rule, message, help, path, line, column, span: span_at(text, at) }
            })
            .collect()
    }
}
