//! What a lint counts for: its own severity, unless the command line says otherwise.

use larder_core::policy::lint::{LintRule, Severity};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Fails the command.
    Error,
    /// Shown.
    Warning,
    /// Shown.
    Note,
}

impl Level {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Lints as the command line names them.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// All of a severity.
    All(Severity),
    /// One.
    One(&'static LintRule),
}

/// Reads `warnings`, `notes` or an id.
pub fn named(text: &str) -> Result<Named, String> {
    match text {
        "warnings" => Ok(Named::All(Severity::Warning)),
        "notes" => Ok(Named::All(Severity::Note)),
        id => LintRule::by_id(id).map(Named::One).ok_or_else(|| {
            "no lint of this name: `larder check --lints` lists them, `warnings` and `notes` are all of a kind".into()
        }),
    }
}

/// What was said about lints. A lint that is named itself wins over all of its severity; what is both denied and allowed is denied.
pub struct Levels<'a> {
    pub deny: &'a [Named],
    pub allow: &'a [Named],
}

impl Levels<'_> {
    /// What the lint counts for; `None` is nothing.
    pub fn of(&self, rule: &'static LintRule) -> Option<Level> {
        let one = |list: &[Named]| list.iter().any(|named| matches!(named, Named::One(one) if *one == rule));
        let all = |list: &[Named]| list.iter().any(|named| matches!(named, Named::All(all) if *all == rule.severity));
        if one(self.deny) {
            return Some(Level::Error);
        }
        if one(self.allow) {
            return None;
        }
        match rule.severity {
            _ if all(self.deny) => Some(Level::Error),
            _ if all(self.allow) => None,
            Severity::Warning => Some(Level::Warning),
            Severity::Note => Some(Level::Note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lint_wins_over_its_severity_and_deny_over_allow() {
        let (unused, note) = (named("unused-class").unwrap(), named("long-ttl-without-purge").unwrap());
        let rule = |named| if let Named::One(rule) = named { rule } else { panic!("one lint") };
        let of = |deny: &[Named], allow: &[Named]| Levels { deny, allow }.of(rule(unused));
        let warnings = named("warnings").unwrap();
        assert_eq!(of(&[], &[]), Some(Level::Warning));
        assert_eq!(of(&[warnings], &[]), Some(Level::Error));
        assert_eq!(of(&[warnings], &[unused]), None);
        assert_eq!(of(&[unused], &[unused]), Some(Level::Error));
        assert_eq!(of(&[], &[warnings]), None);
        assert_eq!(Levels { deny: &[warnings], allow: &[] }.of(rule(note)), Some(Level::Note));
        assert!(named("warning").is_err());
    }
}
