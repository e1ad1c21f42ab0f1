//! Hit ratios that no traffic can reach.
//!
//! A response that is asked for R times a second and kept for T seconds is a miss once and a hit R·T times: a ratio of
//! R·T / (1 + R·T) at best. How often a URL is asked for is not in the policy; [`BUSY`] is more than most are.

use super::Subject;
use super::findings::Findings;
use super::reach::{longest, span};
use super::rules::TARGET_ABOVE_TTL;
use crate::policy::rules::{StaleWindow, Ttl};
use crate::time::Seconds;

/// Requests a second for one URL that are many, of one variant.
const BUSY: f64 = 10.0;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let (Some(target), true) = (subject.aims.target_hit_ratio, subject.stores()) else { return };
    let rules = subject.rules;
    let place = subject.place("target_hit_ratio");
    if target >= 1.0 {
        let message = "a ratio of 1 is out of reach: the first request for anything is a miss";
        findings.add(&TARGET_ABOVE_TTL, &place, message, "aim a little lower");
        return;
    }
    // Stale responses served while they are refreshed count as hits.
    let stale = match rules.stale.while_revalidate {
        StaleWindow::Policy(span) => span,
        StaleWindow::Origin => Seconds::ZERO,
    };
    let (Some(lifetime), false) = (longest(rules.ttl), rules.ttl == Ttl::Never) else { return };
    let lifetime = lifetime.plus(stale);
    let best = BUSY * f64::from(lifetime.get()) / (1.0 + BUSY * f64::from(lifetime.get()));
    if target > best {
        let message = format!(
            "{target} is more than a lifetime of {} gives: {best:.2}, even where each URL is asked for {BUSY} times a second",
            span(lifetime)
        );
        findings.add(
            &TARGET_ABOVE_TTL,
            &place,
            message,
            "lengthen \"ttl\" or \"stale.while_revalidate\", or aim lower",
        );
    }
}
