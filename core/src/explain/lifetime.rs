//! The steps of a response that is stored: for how long, and what of it may be used stale.
//!
//! Which of several settings decided is found by asking `lifetime::of` again without it.

use super::case::Case;
use super::run::{Ended, Ran};
use super::{Because, Step, Went, setting};
use crate::decide::age;
use crate::decide::ahead::Ahead;
use crate::decide::freshness::{self, LifetimeSource};
use crate::decide::lifetime::{self, Lifetime};
use crate::policy::Policy;
use crate::policy::rules::{Rules, StaleWindow, Ttl};
use crate::time::Seconds;

pub(super) fn steps(policy: &Policy, case: &Case, lifetime: &Lifetime, ran: &Ran, steps: &mut Vec<Step>) {
    let Ended::Stored(got) = ran.verdict else { return };
    steps.push(fresh_for(policy, case, lifetime));
    let age = age::current_age(&case.times(), case.now);
    if age > Seconds::ZERO {
        let text = format!("the response is {age} s old already: {} s are left", lifetime.fresh_for.minus(age));
        steps.push(Step::new("age", Went::Told, text, vec![Because::Rfc("RFC 9111 4.2.3")]));
    }
    if let Some(got) = got.filter(|got| case.rules.jitter_percent > 0 && got.fresh_for < lifetime.fresh_for) {
        let text = format!("cut to {} s, so that not all expire together", got.fresh_for);
        steps.push(Step::new("jitter", Went::Told, text, vec![setting(policy, &case.rules, "jitter")]));
    }
    if lifetime.always_validate {
        let text = "the origin is asked before each use (no-cache)";
        steps.push(Step::new("no-cache", Went::Told, text, vec![Because::Rfc("RFC 9111 5.2.2.4")]));
    }
    steps.extend(ahead(policy, case, lifetime));
    steps.push(stale(policy, case, lifetime));
    steps.extend(tags(policy, case, ran));
}

fn of(rules: &Rules, case: &Case) -> Option<Seconds> {
    let lifetime = lifetime::of(rules, case.response.status, &case.directives(), &case.response.fields, &case.times());
    lifetime.map(|lifetime| lifetime.fresh_for)
}

/// The setting that gives this status its lifetime.
fn ttl_setting(case: &Case) -> &'static str {
    let named = case.rules.status_ttl.iter().any(|(pattern, _)| pattern.matches(case.response.status));
    if named { "status_ttl" } else { "ttl" }
}

/// The rules with another lifetime for this status.
pub(super) fn with_ttl(case: &Case, change: impl Fn(Ttl) -> Ttl) -> Rules {
    let mut rules = case.rules.clone();
    let status = case.response.status;
    match rules.status_ttl.iter_mut().find(|(pattern, _)| pattern.matches(status)) {
        Some((_, ttl)) => *ttl = change(*ttl),
        None => rules.ttl = change(rules.ttl),
    }
    rules
}

fn fresh_for(policy: &Policy, case: &Case, lifetime: &Lifetime) -> Step {
    let fresh = lifetime.fresh_for;
    let by = setting(policy, &case.rules, ttl_setting(case));
    let without = |change: fn(Ttl) -> Ttl| of(&with_ttl(case, change), case).filter(|other| *other != fresh);
    let silent = |_| Ttl::Respect { floor: None, ceiling: None, absent: None };
    let explicit = freshness::explicit_lifetime(&case.directives(), &case.response.fields, &case.times());
    let (what, mut because) = match explicit {
        Some((said, source)) => {
            (format!("the origin says {said} s ({})", word(source)), vec![Because::Rfc(section(source))])
        }
        None => ("the origin gives no lifetime".to_owned(), vec![Because::Rfc("RFC 9111 4.2.1")]),
    };
    let raised = without(|ttl| match ttl {
        Ttl::Respect { ceiling, absent, .. } => Ttl::Respect { floor: None, ceiling, absent },
        other => other,
    });
    let cut = without(|ttl| match ttl {
        Ttl::Respect { floor, absent, .. } => Ttl::Respect { floor, ceiling: None, absent },
        other => other,
    });
    let text = if let Some(less) = raised {
        because.push(by);
        format!("fresh for {fresh} s: {what}, and the policy raises {less} s to its floor")
    } else if let Some(more) = cut {
        because.push(by);
        format!("fresh for {fresh} s: {what}, and the policy cuts {more} s to its ceiling")
    } else if without(silent).is_some() || explicit.is_none() && of(&with_ttl(case, silent), case) != Some(fresh) {
        because.push(by);
        format!("fresh for {fresh} s by the policy: {what}")
    } else if explicit.is_none() && fresh > Seconds::ZERO {
        because = vec![Because::Rfc("RFC 9111 4.2.2"), setting(policy, &case.rules, "heuristic")];
        format!("fresh for {fresh} s: {what}, so that it is guessed from Last-Modified")
    } else if fresh == Seconds::ZERO {
        because.push(by);
        format!("never fresh: {what}; it is stored to be validated, or for use when stale")
    } else {
        because.push(by);
        format!("fresh for {fresh} s: {what}")
    };
    Step::new("lifetime", Went::On, text, because)
}

fn ahead(policy: &Policy, case: &Case, lifetime: &Lifetime) -> Option<Step> {
    let rule = case.rules.refresh_ahead?;
    let text = match Ahead::of(rule, lifetime, &case.times()) {
        Some(ahead) => format!(
            "refreshed in the background in the last {} s of its lifetime, once a worker has used it {} times",
            ahead.within(),
            rule.hits
        ),
        None => "not refreshed ahead: its lifetime is too short for that".to_owned(),
    };
    Some(Step::new("refresh-ahead", Went::Told, text, vec![setting(policy, &case.rules, "refresh_ahead")]))
}

fn stale(policy: &Policy, case: &Case, lifetime: &Lifetime) -> Step {
    if lifetime.never_stale {
        let rfc = if lifetime.always_validate { "RFC 9111 5.2.2.4" } else { "RFC 9111 5.2.2.2" };
        return Step::new("stale", Went::Told, "never used stale: the response forbids it", vec![Because::Rfc(rfc)]);
    }
    let (revalidate, error) = (lifetime.stale_while_revalidate, lifetime.stale_if_error);
    let by = |rule: StaleWindow, rfc, name| match rule {
        StaleWindow::Policy(_) => setting(policy, &case.rules, name),
        StaleWindow::Origin => Because::Rfc(rfc),
    };
    let because = vec![
        by(case.rules.stale.while_revalidate, "RFC 5861 3", "stale.while_revalidate"),
        by(case.rules.stale.if_error, "RFC 5861 4", "stale.if_error"),
    ];
    let text = match (revalidate, error) {
        (Seconds::ZERO, Seconds::ZERO) => "not used stale".to_owned(),
        _ => format!("used stale for {revalidate} s while it is refreshed, and for {error} s where the origin fails"),
    };
    Step::new("stale", Went::Told, text, because)
}

fn tags(policy: &Policy, case: &Case, ran: &Ran) -> Option<Step> {
    let facts = ran.stored.as_ref()?.entry.facts();
    if facts.tags.is_empty() {
        return None;
    }
    let mut because = Vec::new();
    if !case.rules.tags.templates.is_empty() {
        because.push(setting(policy, &case.rules, "tags"));
    }
    if case.rules.tags.fields.iter().any(|name| case.response.fields.has(name)) {
        because.push(setting(policy, &case.rules, "tag_fields"));
    }
    Some(Step::new("tags", Went::Told, format!("purged by its URL and the tags {}", facts.tags.join(", ")), because))
}

const fn word(source: LifetimeSource) -> &'static str {
    match source {
        LifetimeSource::Targeted => "a targeted field",
        LifetimeSource::SMaxage => "s-maxage",
        LifetimeSource::MaxAge => "max-age",
        LifetimeSource::Expires => "Expires",
        LifetimeSource::Heuristic => "a guess",
        LifetimeSource::None => "nothing",
    }
}

const fn section(source: LifetimeSource) -> &'static str {
    match source {
        LifetimeSource::Targeted => "RFC 9213 2.2",
        LifetimeSource::SMaxage => "RFC 9111 5.2.2.10",
        LifetimeSource::MaxAge => "RFC 9111 5.2.2.1",
        LifetimeSource::Expires => "RFC 9111 5.3",
        LifetimeSource::Heuristic => "RFC 9111 4.2.2",
        LifetimeSource::None => "RFC 9111 4.2.1",
    }
}
