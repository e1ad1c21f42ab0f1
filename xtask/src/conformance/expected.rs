//! The list of tests that do not pass, each with its reason, and how a run differs from it.
//! A line is `test: reason`; `#` begins a comment, blank lines are skipped. A line without a reason is an error.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::suite::{Kind, Outcome};

/// How a run differs from the list.
#[derive(Debug, PartialEq, Eq)]
pub enum Surprise {
    /// Not listed, and it did not pass.
    Fallen {
        /// The test.
        id: String,
        /// What its failure means.
        kind: Kind,
        /// What the suite says.
        why: String,
    },
    /// Listed, and it passes.
    Passes(String),
    /// Listed, and there is no such test.
    Unknown(String),
}

impl Surprise {
    /// Whether another run had the same to say of the same test, for whatever reason.
    fn is_again(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fallen { id, .. }, Self::Fallen { id: other, .. })
            | (Self::Passes(id), Self::Passes(other))
            | (Self::Unknown(id), Self::Unknown(other)) => id == other,
            _ => false,
        }
    }
}

/// The surprises that come again in another run. The suite waits by the real clock: on a busy machine a request can be late for
/// a lifetime of a second, in either direction.
pub fn lasting(surprises: Vec<Surprise>, again: &[Surprise]) -> Vec<Surprise> {
    surprises.into_iter().filter(|surprise| again.iter().any(|other| surprise.is_again(other))).collect()
}

/// Reads a list.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let mut list = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((id, reason)) = line.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty()) else {
            bail!("line {}: a line is `test: reason`, not {line:?}", number + 1);
        };
        if list.insert(id.to_owned(), reason.trim().to_owned()).is_some() {
            bail!("line {}: {id} is listed twice", number + 1);
        }
    }
    Ok(list)
}

/// Compares. Only a whole run can tell that a listed test does not exist.
pub fn compare(expected: &BTreeMap<String, String>, outcome: &Outcome, whole: bool) -> Vec<Surprise> {
    let mut surprises = Vec::new();
    for test in outcome.tests() {
        match (outcome.failure(test), expected.contains_key(&test.id)) {
            (Some(why), false) => surprises.push(Surprise::Fallen { id: test.id.clone(), kind: test.kind, why }),
            (None, true) => surprises.push(Surprise::Passes(test.id.clone())),
            (Some(_), true) | (None, false) => {}
        }
    }
    if whole {
        let unknown = expected.keys().filter(|id| !outcome.tests().any(|test| test.id == **id));
        surprises.extend(unknown.cloned().map(Surprise::Unknown));
    }
    surprises
}

/// The differences for people.
pub fn text(surprises: &[Surprise], list: &str) -> String {
    let mut out = String::new();
    for surprise in surprises {
        out.push_str(&match surprise {
            Surprise::Fallen { id, kind, why } => format!("FALLEN  {id} ({kind:?}): {why}\n"),
            Surprise::Passes(id) => format!("STALE   {id} passes: take its line out of {list}\n"),
            Surprise::Unknown(id) => format!("STALE   {id} is no test of this suite: take its line out of {list}\n"),
        });
    }
    if surprises.is_empty() {
        out.push_str(&format!("as {list} expects\n"));
    }
    out
}

/// The lines that a list lacks.
pub fn missing(surprises: &[Surprise]) -> String {
    let line = |surprise: &Surprise| match surprise {
        Surprise::Fallen { id, why, .. } => Some(format!("{id}: {why}\n")),
        Surprise::Passes(_) | Surprise::Unknown(_) => None,
    };
    surprises.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::suite::tests::outcome;
    use super::*;

    #[test]
    fn a_line_names_a_test_and_its_reason() {
        let list = parse("# why\n\na: the codec refuses it\nb: RFC 9111 4.2.4: no\n").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list["b"], "RFC 9111 4.2.4: no");
        for broken in ["a", "a:", "a: ", "a: x\na: y"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn only_what_comes_again_lasts() {
        let fallen = |id: &str, why: &str| Surprise::Fallen { id: id.into(), kind: Kind::Check, why: why.into() };
        let first = vec![fallen("a", "late"), fallen("b", "x"), Surprise::Passes("c".into())];
        let second = [fallen("b", "y"), fallen("c", "z")];
        assert_eq!(lasting(first, &second), [fallen("b", "x")]);
    }

    #[test]
    fn what_falls_and_what_is_stale_are_both_surprises() {
        let outcome = outcome(r#"{"a":true,"b":["Assertion","x"],"c":true,"d":["Assertion","y"]}"#);
        let list = parse("c: listed, and passes\nd: as listed\nz: gone").unwrap();
        let fallen = Surprise::Fallen { id: "b".into(), kind: Kind::Optimal, why: "x".into() };
        let surprises = compare(&list, &outcome, true);
        assert_eq!(surprises, [fallen, Surprise::Passes("c".into()), Surprise::Unknown("z".into())]);
        assert_eq!(compare(&list, &outcome, false).len(), 2);
        assert_eq!(missing(&surprises), "b: x\n");
        assert!(text(&[], "list").starts_with("as list"));
    }
}
