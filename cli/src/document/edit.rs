//! Edits to a document: members are added to mappings and items to sequences, in the way that these are written. Everything else
//! stays as it is, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tree::{Kind, Node, Style, Tree};
use super::write::{New, quoted, yaml_key};

/// Edits being collected for a text.
pub struct Editor<'t> {
    text: &'t str,
    is_json: bool,
    /// What a level of JSON is indented by.
    unit: String,
    edits: Vec<Edit>,
    /// Empty flow collections, by where they begin.
    filled: BTreeMap<usize, Filled>,
    /// Empty values that have become mappings.
    begun: BTreeSet<usize>,
}

/// What comes into an empty flow collection.
struct Filled {
    /// What is between its brackets.
    inside: Range<usize>,
    /// The indentation of its line, where its parts get lines of their own.
    base: Option<String>,
    parts: Vec<String>,
}

struct Edit {
    bytes: Range<usize>,
    /// Of two edits at the same place the deeper one comes first: it ends what the other goes on after.
    depth: usize,
    text: String,
}

impl<'t> Editor<'t> {
    /// Begins.
    pub fn new(text: &'t str, tree: &Tree) -> Self {
        let first = tree.root.members().first().map(|member| indent_of(text, member.key_bytes.start));
        let unit = first.flatten().filter(|unit| tree.is_json && !unit.is_empty()).unwrap_or("  ").to_owned();
        Self { text, is_json: tree.is_json, unit, edits: Vec::new(), filled: BTreeMap::new(), begun: BTreeSet::new() }
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.filled.is_empty()
    }

    /// The text with all edits.
    pub fn finish(mut self) -> String {
        for filled in self.filled.into_values() {
            let Filled { inside, base, parts } = filled;
            let text = match &base {
                Some(base) => {
                    let indent = format!("\n{base}{}", self.unit);
                    format!("{indent}{}\n{base}", parts.join(&format!(",{indent}")))
                }
                None => parts.join(", "),
            };
            // Blanks between the brackets give way; a remark of YAML's stays.
            let blank = self.text.get(inside.clone()).is_some_and(|inside| inside.trim().is_empty());
            let bytes = if blank { inside } else { inside.end..inside.end };
            self.edits.push(Edit { bytes, depth: 0, text });
        }
        if self.text.contains("\r\n") {
            self.edits.iter_mut().for_each(|edit| edit.text = edit.text.replace('\n', "\r\n"));
        }
        self.edits.sort_by(|a, b| {
            (a.bytes.start, std::cmp::Reverse(a.depth)).cmp(&(b.bytes.start, std::cmp::Reverse(b.depth)))
        });
        let mut out =
            String::with_capacity(self.text.len() + self.edits.iter().map(|edit| edit.text.len()).sum::<usize>());
        let mut at = 0;
        for edit in &self.edits {
            out.push_str(self.text.get(at..edit.bytes.start).unwrap_or_default());
            out.push_str(&edit.text);
            at = edit.bytes.end.max(at);
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        out
    }

    /// Adds a member at the end of a mapping, or of an empty value that can be one.
    pub fn add(&mut self, map: &Node, key: &str, value: &New) {
        match &map.kind {
            Kind::Map { flow: true, members, .. } => {
                let last = members.last().map(|member| (member.key_bytes.start, member.node.bytes.end));
                let tight =
                    members.last().is_some_and(|member| self.is_tight(member.key_bytes.end, member.node.bytes.start));
                self.add_flow(map, last, tight, |indent, unit| match indent {
                    Some(indent) => format!("{}: {}", quoted(key), value.json(indent, unit)),
                    None if tight => format!("{}:{}", quoted(key), value.inline("")),
                    None => format!("{}: {}", quoted(key), value.inline(" ")),
                });
            }
            Kind::Map { flow: false, members, .. } => {
                let Some(column) = members.first().map(|member| column_of(self.text, member.key_bytes.start)) else {
                    return;
                };
                let text = format!("{:column$}{}:{}", "", yaml_key(key), value.yaml(column));
                self.add_line(map, column, text);
            }
            _ if map.is_null() => self.add_below_null(map, key, value),
            _ => {}
        }
    }

    /// Adds an item at the end of a sequence.
    pub fn push(&mut self, list: &Node, value: &New) {
        match &list.kind {
            Kind::List { flow: true, items } => {
                let last = items.last().map(|item| (item.bytes.start, item.bytes.end));
                self.add_flow(list, last, false, |indent, unit| match indent {
                    Some(indent) => value.json(indent, unit),
                    None => value.inline(" "),
                });
            }
            Kind::List { flow: false, items } => {
                let Some(first) = items.first() else { return };
                let Some(dash) = self.text.get(..first.bytes.start).and_then(|before| before.rfind('-')) else {
                    return;
                };
                let column = column_of(self.text, dash);
                let text = value.yaml_item(column);
                self.add_line(list, column, text.trim_start_matches('\n').to_owned());
            }
            _ => {}
        }
    }

    /// Puts another value in the place of a member's.
    pub fn replace(&mut self, map: &Node, key: &str, value: &New) {
        let Some(member) = map.member(key) else { return };
        if let Kind::Map { flow: false, .. } = map.kind {
            let column = column_of(self.text, member.key_bytes.start);
            let colon = member.key_bytes.end
                + self.text.get(member.key_bytes.end..).and_then(|rest| rest.find(':')).unwrap_or(0)
                + 1;
            let end = self.content_end(&member.node);
            let old = self.text.get(colon..end.max(colon)).unwrap_or_default();
            let end = colon + old.trim_end().len();
            self.edits.push(Edit { bytes: colon..end, depth: column, text: value.yaml(column) });
        } else {
            let indent = indent_of(self.text, member.key_bytes.start);
            let text = match indent {
                Some(indent) => value.json(indent, &self.unit),
                None => value.inline(" "),
            };
            self.edits.push(Edit { bytes: member.node.bytes.clone(), depth: 0, text });
        }
    }

    fn add_flow(
        &mut self,
        collection: &Node,
        last: Option<(usize, usize)>,
        tight: bool,
        written: impl Fn(Option<&str>, &str) -> String,
    ) {
        let unit = self.unit.clone();
        if let Some((start, end)) = last {
            let rest = self.text.get(end..).unwrap_or_default();
            let comma = rest.trim_start().starts_with(',').then(|| end + rest.find(',').unwrap_or(0) + 1);
            let at = comma.unwrap_or(end);
            let separator = if comma.is_some() { "" } else { "," };
            let text = match indent_of(self.text, start) {
                Some(indent) => format!("{separator}\n{indent}{}", written(Some(indent), &unit)),
                None if tight => format!("{separator}{}", written(None, &unit)),
                None => format!("{separator} {}", written(None, &unit)),
            };
            // YAML allows a comma at the end; what comes after another addition needs one before it.
            let text = if comma.is_some() { text + "," } else { text };
            self.edits.push(Edit { bytes: at..at, depth: 0, text });
            return;
        }
        let line =
            self.text.get(..collection.bytes.start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
        let base: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let base = (self.is_json && self.text.contains('\n')).then_some(base);
        let indent = base.as_ref().map(|base| format!("{base}{unit}"));
        let part = written(indent.as_deref(), &unit);
        let filled = self.filled.entry(collection.bytes.start).or_insert_with(|| Filled {
            inside: collection.bytes.start + 1..collection.bytes.end.saturating_sub(1),
            base,
            parts: Vec::new(),
        });
        filled.parts.push(part);
    }

    /// A line, or several, after a block collection.
    fn add_line(&mut self, collection: &Node, column: usize, text: String) {
        let at = self.content_end(collection);
        let at = self.line_end(at);
        let before = self.text.get(..at).unwrap_or_default();
        let text = if before.is_empty() || before.ends_with('\n') { format!("{text}\n") } else { format!("\n{text}") };
        self.edits.push(Edit { bytes: at..at, depth: column, text });
    }

    fn add_below_null(&mut self, null: &Node, key: &str, value: &New) {
        let at = null.bytes.start;
        let line = self.text.get(..at).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
        let column = line.chars().take_while(|c| matches!(c, ' ' | '-')).count();
        let inner = column + 2;
        let text = format!("\n{:inner$}{}:{}", "", yaml_key(key), value.yaml(inner));
        // `~` and `null` make room; a remark behind them stays behind the key.
        let first = self.begun.insert(at);
        if first && !null.bytes.is_empty() {
            self.edits.push(Edit { bytes: null.bytes.clone(), depth: usize::MAX, text: String::new() });
        }
        let end = self
            .text
            .get(null.bytes.end..)
            .and_then(|rest| rest.find('\n'))
            .map_or(self.text.len(), |newline| null.bytes.end + newline);
        let end = if self.text.get(..end).is_some_and(|before| before.ends_with('\r')) { end - 1 } else { end };
        self.edits.push(Edit { bytes: end..end, depth: inner, text });
    }

    /// Where the last thing in a block collection ends.
    fn content_end(&self, node: &Node) -> usize {
        match &node.kind {
            Kind::Map { flow: false, members, .. } => {
                members.last().map_or(node.bytes.end, |member| self.content_end(&member.node).max(member.key_bytes.end))
            }
            Kind::List { flow: false, items } => items.last().map_or(node.bytes.end, |item| self.content_end(item)),
            Kind::Scalar { style: Style::Block, .. } => {
                // It reaches into the indentation of what comes next; blank lines at its end may be part of it.
                let line_at = self
                    .text
                    .get(..node.bytes.end)
                    .and_then(|before| before.rfind('\n'))
                    .map_or(0, |newline| newline + 1);
                let blank = self.text.get(line_at..node.bytes.end).is_some_and(|rest| rest.trim().is_empty());
                if blank && line_at > node.bytes.start { line_at } else { node.bytes.end }
            }
            _ => node.bytes.end,
        }
    }

    /// The beginning of the next line; where `at` begins one already, that.
    fn line_end(&self, at: usize) -> usize {
        if self.text.get(..at).is_some_and(|before| before.ends_with('\n')) {
            return at;
        }
        self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |newline| at + newline + 1)
    }

    fn is_tight(&self, key_end: usize, value_start: usize) -> bool {
        self.text.get(key_end..value_start) == Some(":")
    }
}

/// The blanks before `at`, where nothing else is before it on its line.
fn indent_of(text: &str, at: usize) -> Option<&str> {
    let from = text.get(..at)?.rfind('\n')? + 1;
    text.get(from..at).filter(|before| before.chars().all(|c| matches!(c, ' ' | '\t')))
}

/// In which column, from zero, `at` is.
fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}').chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> New {
        New::map([("x", New::text("1")), ("z", New::List(vec![New::Bool(true)]))])
    }

    /// Adds `new` to the mapping at `path`, and to the whole.
    fn added(text: &str, path: &[&str]) -> String {
        let tree = Tree::parse(text).unwrap();
        let map = path.iter().fold(&tree.root, |node, key| &node.member(key).unwrap().node);
        let mut editor = Editor::new(text, &tree);
        editor.add(&tree.root, "whole", &New::text("w"));
        editor.add(map, "new", &value());
        let got = editor.finish();
        let again = Tree::parse(&got).unwrap_or_else(|error| panic!("{error}\n{got}"));
        assert!(tree.root.is_within(&again.root), "{got}");
        let map = path.iter().fold(&again.root, |node, key| again.get(node, key).unwrap());
        assert_eq!(
            again.get(map, "new").and_then(|new| again.get(new, "x")).and_then(|x| x.text()),
            Some("1"),
            "{got}"
        );
        got
    }

    #[test]
    fn members_are_added_in_the_way_of_their_neighbours() {
        for (text, path, want) in [
            (
                "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
                &["a"][..],
                "{\n  \"a\": {\n    \"b\": 1,\n    \"new\": {\n      \"x\": \"1\",\n      \"z\": [true]\n    }\n  },\n  \"whole\": \"w\"\n}\n",
            ),
            ("{\"a\":{\"b\":1}}", &["a"], "{\"a\":{\"b\":1,\"new\":{\"x\":\"1\",\"z\":[true]}},\"whole\":\"w\"}"),
            (
                "{\n\t\"a\": {}\n}",
                &["a"],
                "{\n\t\"a\": {\n\t\t\"new\": {\n\t\t\t\"x\": \"1\",\n\t\t\t\"z\": [true]\n\t\t}\n\t},\n\t\"whole\": \"w\"\n}",
            ),
            (
                "a:\n  b: 1 # one\n# two\n",
                &["a"],
                "a:\n  b: 1 # one\n  new:\n    x: \"1\"\n    z:\n      - true\nwhole: \"w\"\n# two\n",
            ),
            ("a:\n    b: c", &["a"], "a:\n    b: c\n    new:\n      x: \"1\"\n      z:\n        - true\nwhole: \"w\""),
            ("a: {b: 1}\n", &["a"], "a: {b: 1, \"new\": {\"x\": \"1\", \"z\": [true]}}\nwhole: \"w\"\n"),
            ("a: {} # none\n", &["a"], "a: {\"new\": {\"x\": \"1\", \"z\": [true]}} # none\nwhole: \"w\"\n"),
            (
                "a: # none\nb: 1\n",
                &["a"],
                "a: # none\n  new:\n    x: \"1\"\n    z:\n      - true\nb: 1\nwhole: \"w\"\n",
            ),
            (
                "a:\r\n  b: |+\r\n    t\r\n\r\nc: 1\r\n",
                &["a"],
                "a:\r\n  b: |+\r\n    t\r\n\r\n  new:\r\n    x: \"1\"\r\n    z:\r\n      - true\r\nc: 1\r\nwhole: \"w\"\r\n",
            ),
            ("a:\n- b\nc:\n- d: 1\n  e:\n  - f\n", &[], "a:\n- b\nc:\n- d: 1\n  e:\n  - f\n"),
        ] {
            let got = added(text, path);
            assert!(
                got == want || path.is_empty() && got.starts_with(want),
                "{text}\n--- got\n{got}\n--- want\n{want}"
            );
        }
    }

    #[test]
    fn items_are_pushed_and_values_replaced() {
        for (text, want) in [
            ("l:\n- a\n- b: 1\n", "l:\n- a\n- b: 1\n- x: \"1\"\n  z:\n    - true\n"),
            ("l:\n  - a\nm: 1\n", "l:\n  - a\n  - x: \"1\"\n    z:\n      - true\nm: 1\n"),
            ("l: [a]\n", "l: [a, {\"x\": \"1\", \"z\": [true]}]\n"),
            ("{\"l\": []}", "{\"l\": [{\"x\": \"1\", \"z\": [true]}]}"),
        ] {
            let tree = Tree::parse(text).unwrap();
            let mut editor = Editor::new(text, &tree);
            editor.push(&tree.root.member("l").unwrap().node, &value());
            let got = editor.finish();
            assert_eq!(got, want);
            assert!(tree.root.is_within(&Tree::parse(&got).unwrap().root));
        }
        for (text, want) in [
            ("l:\n  a: 1\n  b: |\n    x\nm: 1\n", "l:\n  x: \"1\"\n  z:\n    - true\nm: 1\n"),
            ("l: 1 # one\n", "l:\n  x: \"1\"\n  z:\n    - true # one\n"),
            ("{\"l\": 1, \"m\": 2}", "{\"l\": {\"x\": \"1\", \"z\": [true]}, \"m\": 2}"),
        ] {
            let tree = Tree::parse(text).unwrap();
            let mut editor = Editor::new(text, &tree);
            editor.replace(&tree.root, "l", &value());
            let got = editor.finish();
            assert_eq!(got, want);
            Tree::parse(&got).unwrap();
        }
    }
}
