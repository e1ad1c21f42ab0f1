//! Lints: what is allowed in a policy and most likely not meant.
//!
//! Errors are found by `decode` and `compile`; a policy with errors has no lints. Each lint has a stable id, by which tools allow
//! and deny it, and a place in the file. Linear in the size of the file: what concerns two routes is asked of the router and of
//! sorted tables, never by comparing all with all. Nothing that serves requests calls this.

mod classes;
mod findings;
mod lifetimes;
mod privacy;
mod purging;
mod reach;
mod routing;
mod rules;
mod span;
mod targets;
mod variants;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use rules::{LINTS, LintRule};
pub use span::span_at;

use self::findings::Findings;
use super::errors::{PolicyErrors, Step};
use super::model::{Class, Route, Settings};
use super::rules::Rules;
use super::sources::{FileLayers, Setting};
use super::{Aims, Policy, spanned};

/// How bad a lint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong by itself.
    Note,
    /// Most likely a mistake.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

/// Something in a policy that is most likely not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// Which lint it is.
    pub rule: &'static LintRule,
    /// What is odd.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Path of the value in the file: `routes[2].ttl`.
    pub path: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// Bytes of the file that are meant.
    pub span: Range<usize>,
}

impl fmt::Display for Lint {
    /// `12:15: routes[2].ttl: ... [ttl-without-bound]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {} [{}]", self.line, self.column, self.path, self.message, self.rule.id)
    }
}

/// A policy without errors, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The policy.
    pub policy: Policy,
    /// The lints, in order of the file.
    pub lints: Vec<Lint>,
}

/// Reads a policy and lints it.
pub fn check(text: &str) -> Result<Checked, PolicyErrors> {
    let policy = Policy::parse(text)?;
    let lints = lints(text, &policy);
    Ok(Checked { policy, lints })
}

/// Lints a policy that was read from `text`.
fn lints(text: &str, policy: &Policy) -> Vec<Lint> {
    let Ok(root) = spanned::parse(text) else { return Vec::new() };
    let mut findings = Findings::new(&root);
    let unmatched = (Route::default(), Aims::default());
    let mut subjects = subjects(policy);
    classes::check(policy, &subjects, &mut findings);
    routing::check(policy, &subjects, &mut findings);
    purging::check(policy, &subjects, &mut findings);
    subjects.push(Subject::unmatched(policy, &unmatched));
    for subject in &subjects {
        lifetimes::check(subject, &mut findings);
        targets::check(subject, &mut findings);
        variants::check(subject, &mut findings);
        privacy::check(subject, &mut findings);
    }
    findings.placed(text)
}

/// A route under examination.
pub(super) struct Subject<'a> {
    pub index: usize,
    pub route: &'a Route,
    pub rules: &'a Arc<Rules>,
    pub aims: &'a Aims,
    pub class: Option<(&'a str, &'a Class)>,
    layers: FileLayers<'a>,
}

impl<'a> Subject<'a> {
    /// The route's name.
    pub fn name(&self) -> &str {
        &self.rules.route
    }

    /// Requests that no route matches: they are under `defaults` alone.
    fn unmatched(policy: &'a Policy, (route, aims): &'a (Route, Aims)) -> Self {
        let rules = policy.unmatched();
        let layers = FileLayers::of(policy, rules.index);
        Self { index: rules.index, route, rules, aims, class: None, layers }
    }

    /// The path of something in the route.
    pub fn at(&self, part: &str) -> Vec<Step> {
        match self.layers.route {
            Some((index, _)) => vec!["routes".into(), index.into(), part.into()],
            None => vec!["defaults".into()],
        }
    }

    /// The uppermost layer that has a setting, and where it stands.
    pub fn owner(&self, setting: &'static str) -> Option<(&'a Settings, Vec<Step>)> {
        self.layers.owner(Setting(setting))
    }

    /// Where a setting stands, or the route itself where the file says nothing.
    pub fn place(&self, setting: &'static str) -> Vec<Step> {
        self.owner(setting).map_or_else(|| self.at("path"), |(_, place)| place)
    }

    /// A setting of the route or its class, not of `defaults`: said about this, and not in general.
    pub fn own(&self, setting: &'static str) -> Option<Vec<Step>> {
        let (settings, place) = self.owner(setting)?;
        let general = self.layers.defaults.is_some_and(|defaults| std::ptr::eq(defaults, settings));
        (!general).then_some(place)
    }

    /// Whether anything under this route is stored.
    pub fn stores(&self) -> bool {
        reach::stores(self.rules)
    }
}

fn subjects(policy: &Policy) -> Vec<Subject<'_>> {
    let classes: BTreeMap<&str, &Class> =
        policy.file.classes.iter().flat_map(|named| &named.0).map(|(name, class)| (name.0.as_str(), class)).collect();
    let routes = policy.routes().enumerate();
    routes
        .map(|(index, summary)| {
            let class = classes.get_key_value(&*summary.rules.class).map(|(name, class)| (*name, *class));
            let layers =
                FileLayers::new((index, summary.route), class, policy.file.defaults.as_ref(), summary.rules.kind);
            Subject { index, route: summary.route, rules: summary.rules, aims: summary.aims, class, layers }
        })
        .collect()
}
