//! What writes invalidate, and what nothing does.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::reach::{filled, get, hosts, longest, span};
use super::rules::{INVALIDATE_NEVER, INVALIDATE_PATH, INVALIDATE_TAG, LONG_TTL};
use super::{Policy, Subject};
use crate::decide::invalidation::is_unsafe;
use crate::policy::nearest::nearest;
use crate::policy::rules::{Kind, Ttl};
use crate::time::Seconds;

/// Unknown tags that are held against every known one, to say which was meant.
const HINTS_MAX: usize = 100;

/// A lifetime that a wrong answer should not have.
const LONG: Seconds = Seconds::saturating(86_400);

pub(super) fn check(policy: &Policy, subjects: &[Subject<'_>], findings: &mut Findings<'_>) {
    let given: BTreeSet<String> =
        subjects.iter().flat_map(|s| &s.rules.tags.templates).map(|tag| filled(&tag.to_string(), "{}")).collect();
    let paths: BTreeSet<String> =
        subjects.iter().filter_map(|s| s.route.path.as_ref()).map(|path| filled(&path.to_string(), "{}")).collect();
    let mut hints_left = HINTS_MAX;
    for subject in subjects {
        never(subject, findings);
        tags(subject, &given, &mut hints_left, findings);
        invalidated_paths(policy, subject, &paths, findings);
        long_lived(subject, findings);
    }
}

fn never(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let methods = subject.route.methods.as_deref().unwrap_or_default();
    let invalidate = &subject.rules.invalidate;
    let says = !invalidate.tags.is_empty() || !invalidate.paths.is_empty();
    if let (true, false, Some(place)) = (says, methods.is_empty(), subject.own("invalidate"))
        && !methods.iter().any(|method| is_unsafe(&method.0))
    {
        let message = format!("the route \"{}\" has no method that changes anything", subject.name());
        findings.add(
            &INVALIDATE_NEVER,
            &place,
            message,
            "take \"methods\" out, or add POST, PUT, PATCH or DELETE to them",
        );
    }
}

fn tags(subject: &Subject<'_>, given: &BTreeSet<String>, hints_left: &mut usize, findings: &mut Findings<'_>) {
    let Some((_, place)) = subject.owner("invalidate.tags") else { return };
    for (index, tag) in subject.rules.invalidate.tags.iter().enumerate() {
        let text = tag.to_string();
        let shape = filled(&text, "{}");
        if given.contains(&shape) {
            continue;
        }
        let mut at = place.clone();
        at.push(index.into());
        *hints_left = hints_left.saturating_sub(1);
        let meant = if *hints_left > 0 { nearest(&shape, given.iter().map(String::as_str)) } else { None };
        let help = match meant {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => "give it to what it is about, by \"tags\"; where the origin gives it (Surrogate-Key, Cache-Tag), allow this lint".to_owned(),
        };
        findings.add(&INVALIDATE_TAG, &at, format!("no route gives its responses the tag \"{text}\""), help);
    }
}

fn invalidated_paths(policy: &Policy, subject: &Subject<'_>, paths: &BTreeSet<String>, findings: &mut Findings<'_>) {
    let Some((_, place)) = subject.owner("invalidate.paths") else { return };
    for (index, template) in subject.rules.invalidate.paths.iter().enumerate() {
        let text = template.to_string();
        let path = filled(text.trim_end_matches('*'), "x");
        let shape = filled(text.trim_end_matches('*'), "{}");
        let under = |path: &str| {
            let routed =
                |host: &String| policy.compiled.rules.get(policy.route(&get(host, path)).rules.index).is_some();
            hosts(subject.route).iter().any(routed)
        };
        let begins = || paths.range(shape.clone()..).next().is_some_and(|path| path.starts_with(&shape));
        let found =
            under(&path) || text.ends_with('*') && (begins() || under(&format!("{}/x", path.trim_end_matches('/'))));
        if !found {
            let mut at = place.clone();
            at.push(index.into());
            let help = "an invalidated path is one of the request's own host";
            findings.add(&INVALIDATE_PATH, &at, format!("no route has a path like \"{text}\""), help);
        }
    }
}

fn long_lived(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let rules = subject.rules;
    let purged = !rules.tags.templates.is_empty() || !rules.invalidate.paths.is_empty();
    if purged || rules.kind == Kind::Static || !matches!(rules.ttl, Ttl::Fixed(_)) {
        return;
    }
    if let Some(ttl) = longest(rules.ttl).filter(|ttl| *ttl > LONG) {
        let message = format!("kept for {}, and only a purge of its URL takes it out before", span(ttl));
        let help = "give it \"tags\", so that what changes it can purge it, or a shorter lifetime";
        findings.add(&LONG_TTL, &subject.place("ttl"), message, help);
    }
}
