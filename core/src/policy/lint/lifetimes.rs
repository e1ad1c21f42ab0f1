//! Lifetimes that nothing bounds, and settings that do nothing because of the lifetime.

use super::Subject;
use super::findings::Findings;
use super::reach::{longest, span};
use super::rules::{BROWSER_OUTLIVES_EDGE, ERROR_KEPT_LONG, NO_EFFECT, STALE_WITHOUT_TTL, TTL_WITHOUT_BOUND};
use crate::policy::decode::Key;
use crate::policy::model::{TtlBounds, TtlSetting};
use crate::policy::rules::{StatusPattern, Ttl};
use crate::time::Seconds;

/// An outage that is shorter than this is not worth keeping answers from.
const SERVER_ERROR_MAX: Seconds = Seconds::saturating(60);
/// What was missing is there after this, most often.
const CLIENT_ERROR_MAX: Seconds = Seconds::saturating(3600);

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    bound(subject, findings);
    errors(subject, findings);
    browser(subject, findings);
    if subject.stores() {
        useless_when_fixed(subject, findings);
    } else {
        useless_when_not_stored(subject, findings);
    }
}

fn bound(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((settings, place)) = subject.owner("ttl") else { return };
    let written = matches!(&settings.ttl, Some(TtlSetting::Bounds(TtlBounds { floor, absent, .. }))
        if floor.is_some() || absent.is_some());
    if let (true, Ttl::Respect { ceiling: None, .. }) = (written, subject.rules.ttl) {
        let message = "nothing bounds this lifetime: an origin that says max-age=31536000 is taken at its word";
        findings.add(&TTL_WITHOUT_BOUND, &place, message, "add a \"ceiling\"");
    }
}

fn errors(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((settings, place)) = subject.owner("status_ttl") else { return };
    for (pattern, _) in settings.status_ttl.iter().flat_map(|named| &named.0) {
        let Some((_, ttl)) = subject.rules.status_ttl.iter().find(|(known, _)| known == pattern) else { continue };
        let (most, what) = match pattern {
            StatusPattern::Exact(410) => continue, // gone for good, as RFC 9110 15.5.11 has it
            StatusPattern::Exact(500..) | StatusPattern::Class(5) => (SERVER_ERROR_MAX, "a failure"),
            StatusPattern::Exact(400..) | StatusPattern::Class(4) => (CLIENT_ERROR_MAX, "an error"),
            _ => continue,
        };
        if let Ttl::Fixed(ttl) = ttl
            && *ttl > most
        {
            let mut at = place.clone();
            at.push(pattern.text().as_str().into());
            let message = format!("{what} is kept for {}, though the origin may be well long before", span(*ttl));
            findings.add(&ERROR_KEPT_LONG, &at, message, format!("keep it for {} at most", span(most)));
        }
    }
}

fn browser(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let rules = subject.rules;
    let Some(told) = &rules.client.cache_control else { return };
    let (Some(browser), Some(edge)) = (told.browser_ttl, longest(rules.ttl)) else { return };
    if subject.stores() && !told.immutable && browser > edge {
        let message = format!(
            "browsers keep this for {}, the edge for {}: what is purged here is not purged there",
            span(browser),
            span(edge)
        );
        let help = "a short \"browser_ttl\" costs little: with an ETag browsers ask, and get a 304";
        findings.add(&BROWSER_OUTLIVES_EDGE, &subject.place("client.cache_control.browser_ttl"), message, help);
    }
}

fn useless_when_not_stored(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if let Some(place) = subject.own("stale") {
        let message = "nothing is stored here, so that there is nothing stale to use";
        findings.add(&STALE_WITHOUT_TTL, &place, message, "give it a lifetime (\"0s\" will do), or take this out");
    }
    const USELESS: [&str; 9] = [
        "jitter",
        "heuristic",
        "tags",
        "tag_fields",
        "vary",
        "collapse",
        "limits.variants_per_key",
        "limits.tags_per_entry",
        "target_hit_ratio",
    ];
    for setting in USELESS {
        if let Some(place) = subject.own(setting) {
            let message = format!("\"{setting}\" is about what is stored, and nothing is stored here");
            findings.add(&NO_EFFECT, &place, message, "give it a lifetime, or take this out");
        }
    }
}

fn useless_when_fixed(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let rules = subject.rules;
    let fixed = |ttl: &Ttl| !matches!(ttl, Ttl::Respect { absent: None, .. });
    let all_fixed = fixed(&rules.ttl) && rules.status_ttl.iter().all(|(_, ttl)| fixed(ttl));
    if let Some(place) = subject.own("heuristic")
        && rules.heuristic.is_some()
        && all_fixed
    {
        let message = "the lifetime is never guessed: \"ttl\" says what it is where the origin says nothing";
        findings.add(&NO_EFFECT, &place, message, "take it out, or let \"ttl\" be \"respect\"");
    }
    let methods = subject.route.methods.as_deref().unwrap_or_default();
    if rules.store_post && !methods.is_empty() && !methods.iter().any(|method| method.0 == "POST") {
        let message = "the route's \"methods\" do not have POST";
        findings.add(&NO_EFFECT, &subject.place("post"), message, "add POST to the methods, or take this out");
    }
}
