//! Classes that nothing uses.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::rules::UNUSED_CLASS;
use super::{Policy, Subject};

pub(super) fn check(policy: &Policy, subjects: &[Subject<'_>], findings: &mut Findings<'_>) {
    let used: BTreeSet<&str> = subjects.iter().map(|subject| &*subject.rules.class).collect();
    let classes = policy.file.classes.iter().flat_map(|named| &named.0);
    for (name, _) in classes.filter(|(name, _)| !used.contains(name.0.as_str())) {
        let message = format!("no route uses the class \"{}\"", name.0);
        let help = "name it in a route's \"class\", or take it out";
        findings.add(&UNUSED_CLASS, &["classes".into(), name.0.as_str().into()], message, help);
    }
}
