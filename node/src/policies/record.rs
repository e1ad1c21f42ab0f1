//! What there is under a name, and how it changes. Pure: no store, no clock.
//!
//! Invariants: `active`, `shadow` and everything in `before` are among `versions`; versions are in the order of their numbers; a
//! generation is greater than the one before it and never 0. Versions are bounded: of those that are not in force, not in the shadow and not what
//! was in force just before, the oldest go.

use larder_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most versions that are kept under one name.
pub const VERSIONS_MAX: usize = 50;

/// The longest comment, in characters. What is longer is cut.
pub const COMMENT_CHARS_MAX: usize = 500;

/// The longest name of whoever changes something, in characters.
const WHO_CHARS_MAX: usize = 128;

/// The longest name, in bytes: as policies have it.
const NAME_BYTES_MAX: usize = 64;

/// Whether a policy can have this name. Names are parts of keys and paths.
pub fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= NAME_BYTES_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// What there is under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Another one with every change.
    pub generation: u64,
    /// What workers run; `None` where it is what they were configured with.
    pub active: Option<InForce>,
    /// What they evaluate beside it and report on.
    pub shadow: Option<InForce>,
    /// What was active before, the newest last.
    pub before: Vec<u64>,
    /// The newest version's number, whether or not it is kept.
    pub last: u64,
    /// The change that made this generation.
    pub changed: Changed,
    /// Those that are kept, by number.
    pub versions: Vec<Version>,
}

/// A version in force, or in the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Which one.
    pub version: u64,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Counts from 1.
    pub version: u64,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub sha256: String,
    /// How long its text is.
    pub bytes: u64,
    /// When it was pushed, in milliseconds since 1970.
    pub pushed_ms: u64,
    /// Who pushed it.
    pub by: String,
    /// What the one who pushed it said about it.
    pub comment: String,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What was done.
    pub kind: Kind,
    /// The version that it is about.
    pub version: Option<u64>,
    /// Who did it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A version was pushed and is in force.
    Push,
    /// A version was pushed and runs in the shadow.
    Shadow,
    /// An older version is in force again.
    Rollback,
    /// What ran in the shadow is in force.
    Promote,
    /// Nothing runs in the shadow any more.
    StopShadow,
    /// Workers run what they were configured with.
    Withdraw,
}

impl Kind {
    /// Past tense, for people: `version 3 pushed`.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Push => "pushed",
            Self::Shadow => "in the shadow",
            Self::Rollback => "in force again",
            Self::Promote => "promoted from the shadow",
            Self::StopShadow => "no longer in the shadow",
            Self::Withdraw => "withdrawn",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new version, in force or in the shadow.
    Push {
        /// The policy.
        text: &'a str,
        /// What to say about it.
        comment: &'a str,
        /// Whether it is to run in the shadow.
        shadow: bool,
        /// Even where the same text is there already: what is stored of it is damaged.
        again: bool,
    },
    /// A version that is kept is to be in force.
    Rollback {
        /// Which one; the one that was in force before where none is named.
        to: Option<u64>,
    },
    /// What runs in the shadow is to be in force.
    Promote,
    /// Nothing is to run in the shadow.
    StopShadow,
    /// Workers are to run what they were configured with.
    Withdraw,
}

/// What comes of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so already.
    Unchanged,
    /// Another record.
    Next(Box<Next>),
}

/// The record that is to take the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The record.
    pub record: Record,
    /// The text of the version `record.last`, where that is new.
    pub text: Option<String>,
    /// Versions that are no longer kept.
    pub dropped: Vec<u64>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDone {
    /// Somebody else has changed it since.
    #[error("{what} is version {is} by now, not {base} (0 is none): look at what changed, and push again")]
    Base {
        /// What would be replaced.
        what: &'static str,
        /// Which version that is.
        is: u64,
        /// Which one it was taken for.
        base: u64,
    },
    /// There is nothing under that name.
    #[error("no policy of that name was pushed")]
    NoName,
    /// There is no such version.
    #[error("version {0} is not kept")]
    NoVersion(u64),
    /// There is nothing to go back to.
    #[error("no other version was in force before: say which one to go back to")]
    NothingBefore,
    /// Nothing runs in the shadow.
    #[error("nothing runs in the shadow")]
    NoShadow,
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Record {
    /// A version that is kept.
    pub fn version(&self, version: u64) -> Option<&Version> {
        self.versions.iter().find(|kept| kept.version == version)
    }

    /// The version in force.
    pub fn active_version(&self) -> Option<&Version> {
        self.version(self.active?.version)
    }

    /// The version in the shadow.
    pub fn shadow_version(&self) -> Option<&Version> {
        self.version(self.shadow?.version)
    }

    /// Whether it is what this module makes: a store may hold anything.
    pub(crate) fn is_sound(&self) -> bool {
        let known = |in_force: &Option<InForce>| in_force.is_none_or(|it| self.version(it.version).is_some());
        let in_order = self.versions.is_sorted_by(|a, b| a.version < b.version);
        let last = self.versions.last().map_or(0, |version| version.version);
        self.generation != 0 && known(&self.active) && known(&self.shadow) && in_order && last <= self.last
    }

    /// What comes of a change to the record under a name (none where nothing was pushed yet). With a `base`, only where that is the version
    /// which is replaced: the one in force, or the one in the shadow where that is what changes.
    pub fn change(
        current: Option<&Self>,
        change: &Change<'_>,
        base: Option<u64>,
        by: &str,
        now: Timestamp,
    ) -> Result<Outcome, NotDone> {
        let mut next = current.cloned().unwrap_or_else(Self::nothing);
        if next.is_so(change) {
            return Ok(Outcome::Unchanged);
        }
        let replaced = match change {
            Change::Push { shadow: true, .. } | Change::StopShadow => ("what runs in the shadow", next.shadow),
            _ => ("what is in force", next.active),
        };
        if let (Some(base), (what, in_force)) = (base, replaced) {
            let is = in_force.map_or(0, |it| it.version);
            if is != base {
                return Err(NotDone::Base { what, is, base });
            }
        }
        if current.is_none() && !matches!(change, Change::Push { .. }) {
            return Err(NotDone::NoName);
        }
        let by = cut(by, WHO_CHARS_MAX);
        let (kind, version, text) = next.apply(change, &by, now)?;
        next.generation = next.generation.saturating_add(1).max(now.0);
        next.changed = Changed { kind, version, by, at_ms: now.0 };
        let dropped = next.drop_oldest();
        Ok(Outcome::Next(Box::new(Next { record: next, text, dropped })))
    }

    fn nothing() -> Self {
        let changed = Changed { kind: Kind::Withdraw, version: None, by: String::new(), at_ms: 0 };
        let (before, versions) = (Vec::new(), Vec::new());
        Self { generation: 0, active: None, shadow: None, before, last: 0, changed, versions }
    }

    /// Whether a change would change nothing.
    fn is_so(&self, change: &Change<'_>) -> bool {
        match change {
            Change::Push { again: true, .. } => false,
            Change::Push { text, shadow, .. } => {
                let there = if *shadow { self.shadow_version() } else { self.active_version() };
                there.is_some_and(|there| there.sha256 == sha256(text))
            }
            Change::Rollback { to } => to.is_some() && *to == self.active.map(|active| active.version),
            Change::Withdraw => self.generation != 0 && self.active.is_none() && self.shadow.is_none(),
            Change::Promote | Change::StopShadow => false,
        }
    }

    fn apply(
        &mut self,
        change: &Change<'_>,
        by: &str,
        now: Timestamp,
    ) -> Result<(Kind, Option<u64>, Option<String>), NotDone> {
        let in_force = |version| Some(InForce { version, since_ms: now.0 });
        Ok(match change {
            Change::Push { text, comment, shadow, .. } => {
                let version = self.add(text, comment, by, now);
                let text = Some((*text).to_owned());
                if *shadow {
                    self.shadow = in_force(version);
                    (Kind::Shadow, Some(version), text)
                } else {
                    self.leave();
                    self.active = in_force(version);
                    (Kind::Push, Some(version), text)
                }
            }
            Change::Rollback { to } => {
                let to = match to {
                    Some(to) => *to,
                    None => *self.before.last().ok_or(NotDone::NothingBefore)?,
                };
                self.version(to).ok_or(NotDone::NoVersion(to))?;
                match self.before.iter().rposition(|before| *before == to) {
                    // What was in force after it is not gone back to again.
                    Some(at) => self.before.truncate(at),
                    None => self.leave(),
                }
                self.active = in_force(to);
                (Kind::Rollback, Some(to), None)
            }
            Change::Promote => {
                let version = self.shadow.take().ok_or(NotDone::NoShadow)?.version;
                self.leave();
                self.active = in_force(version);
                (Kind::Promote, Some(version), None)
            }
            Change::StopShadow => {
                let version = self.shadow.take().ok_or(NotDone::NoShadow)?.version;
                (Kind::StopShadow, Some(version), None)
            }
            Change::Withdraw => {
                let version = self.active.map(|active| active.version);
                self.leave();
                (self.active, self.shadow) = (None, None);
                (Kind::Withdraw, version, None)
            }
        })
    }

    fn add(&mut self, text: &str, comment: &str, by: &str, now: Timestamp) -> u64 {
        self.last = self.last.saturating_add(1);
        self.versions.push(Version {
            version: self.last,
            sha256: sha256(text),
            bytes: text.len() as u64,
            pushed_ms: now.0,
            by: by.to_owned(),
            comment: cut(comment, COMMENT_CHARS_MAX),
        });
        self.last
    }

    /// What is in force is about to be what was in force before.
    fn leave(&mut self) {
        if let Some(active) = self.active {
            self.before.retain(|before| *before != active.version);
            self.before.push(active.version);
        }
    }

    fn drop_oldest(&mut self) -> Vec<u64> {
        let mut over = self.versions.len().saturating_sub(VERSIONS_MAX);
        let [active, shadow] = [self.active, self.shadow].map(|in_force| in_force.map(|it| it.version));
        let needed = [active, shadow, self.before.last().copied()];
        let mut dropped = Vec::new();
        self.versions.retain(|kept| {
            let keep = over == 0 || needed.contains(&Some(kept.version));
            if !keep {
                over -= 1;
                dropped.push(kept.version);
            }
            keep
        });
        self.before.retain(|before| !dropped.contains(before));
        dropped
    }
}

/// The first characters, none of which are for a terminal to act on.
fn cut(text: &str, chars_max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: Change<'static> = Change::Push { text: "a", comment: "", shadow: false, again: false };

    fn push(text: &str) -> Change<'_> {
        Change::Push { text, comment: "c", shadow: false, again: false }
    }

    fn shadow(text: &str) -> Change<'_> {
        Change::Push { text, comment: "", shadow: true, again: false }
    }

    fn done(record: &mut Option<Record>, change: &Change<'_>) -> Next {
        let now = Timestamp(1000);
        match Record::change(record.as_ref(), change, None, "ci", now).expect("done") {
            Outcome::Next(next) => {
                assert!(next.record.is_sound(), "{next:?}");
                assert!(next.record.generation > record.as_ref().map_or(0, |record| record.generation));
                *record = Some(next.record.clone());
                *next
            }
            Outcome::Unchanged => panic!("unchanged by {change:?}"),
        }
    }

    fn active(record: &Option<Record>) -> Option<u64> {
        record.as_ref()?.active.map(|active| active.version)
    }

    #[test]
    fn a_rollback_goes_back_step_by_step_to_what_was_in_force() {
        let mut record = None;
        for text in ["a", "b"] {
            done(&mut record, &push(text));
        }
        // Never in force, so never gone back to.
        done(&mut record, &shadow("s"));
        done(&mut record, &push("c"));
        assert_eq!(active(&record), Some(4));
        for want in [2, 1] {
            done(&mut record, &Change::Rollback { to: None });
            assert_eq!(active(&record), Some(want));
        }
        let nothing = Record::change(record.as_ref(), &Change::Rollback { to: None }, None, "ci", Timestamp(0));
        assert_eq!(nothing, Err(NotDone::NothingBefore));
        done(&mut record, &Change::Rollback { to: Some(4) });
        done(&mut record, &Change::Withdraw);
        assert_eq!((active(&record), record.as_ref().and_then(|record| record.shadow)), (None, None));
        done(&mut record, &Change::Rollback { to: None });
        assert_eq!(active(&record), Some(4));
    }

    #[test]
    fn a_shadow_is_pushed_promoted_and_stopped() {
        let mut record = None;
        let generation = done(&mut record, &shadow("a")).record.generation;
        assert_eq!((active(&record), generation), (None, 1000));
        let next = done(&mut record, &Change::Promote);
        assert_eq!((active(&record), next.record.shadow, next.text), (Some(1), None, None));
        assert_eq!(next.record.generation, 1001, "also where the clock stands still");
        let change = |change| Record::change(record.as_ref(), &change, None, "ci", Timestamp(0));
        assert_eq!(change(Change::Promote), Err(NotDone::NoShadow));
        assert_eq!(change(Change::StopShadow), Err(NotDone::NoShadow));
        assert_eq!(change(Change::Rollback { to: Some(9) }), Err(NotDone::NoVersion(9)));
        done(&mut record, &shadow("b"));
        done(&mut record, &Change::StopShadow);
        assert_eq!(record.map(|record| (record.shadow, record.versions.len())), Some((None, 2)));
    }

    #[test]
    fn what_is_so_already_changes_nothing_and_a_base_that_is_not_so_refuses() {
        let mut record = None;
        done(&mut record, &PUSH);
        let change = |change: &Change<'_>, base| Record::change(record.as_ref(), change, base, "ci", Timestamp(0));
        assert_eq!(change(&PUSH, Some(7)), Ok(Outcome::Unchanged), "whoever pushes twice is no rival");
        assert_eq!(change(&Change::Rollback { to: Some(1) }, None), Ok(Outcome::Unchanged));
        let base = Err(NotDone::Base { what: "what is in force", is: 1, base: 0 });
        assert_eq!(change(&push("b"), Some(0)), base);
        assert!(change(&push("b"), Some(1)).is_ok() && change(&shadow("b"), Some(0)).is_ok());
        for other in [Change::Promote, Change::StopShadow, Change::Withdraw, Change::Rollback { to: None }] {
            assert_eq!(Record::change(None, &other, None, "ci", Timestamp(0)), Err(NotDone::NoName), "{other:?}");
        }
    }

    #[test]
    fn the_oldest_versions_go_and_never_those_in_use() {
        let mut record = None;
        done(&mut record, &push("active"));
        done(&mut record, &shadow("shadow"));
        let mut dropped = Vec::new();
        for number in 0..VERSIONS_MAX + 5 {
            done(&mut record, &shadow(&format!("s{number}")));
            dropped.extend(done(&mut record, &Change::StopShadow).dropped);
            let kept = record.as_ref().expect("a record");
            assert!(kept.versions.len() <= VERSIONS_MAX && kept.active_version().is_some());
        }
        assert_eq!(active(&record), Some(1));
        done(&mut record, &push("next"));
        assert_eq!(record.as_ref().map(|record| record.before.clone()), Some(vec![1]));
        for number in 0..VERSIONS_MAX {
            done(&mut record, &push(&format!("p{number}")));
        }
        let record = record.expect("a record");
        assert!(record.version(1).is_none() && record.before.len() == VERSIONS_MAX - 1, "{:?}", record.before);
    }

    #[test]
    fn names_and_remarks_are_bounded() {
        for (name, good) in [("shop", true), ("a_B-9", true), ("", false), ("-a", false), ("a/b", false), ("..", false)]
        {
            assert_eq!(is_name(name), good, "{name:?}");
        }
        assert!(!is_name(&"x".repeat(65)));
        assert_eq!(cut("a\u{1b}[31m\nb", 9), "a[31mb");
        assert_eq!(cut(&"ü".repeat(999), 3), "üüü");
    }
}
