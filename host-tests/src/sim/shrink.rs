//! The smallest plan that still fails: steps are left out, in halves and then one by one, and what is odd about the world is taken away.

use super::plan::{Plan, Step};
use super::world::{Violation, run};
use crate::host::{HostError, Plugin};

/// Leaves out of a failing plan whatever it fails without. The oracle stays the same. Stops after `tries` runs.
///
/// # Errors
/// The module cannot be started.
pub fn shrink(plugin: &Plugin, plan: &Plan, violation: &Violation, tries: usize) -> Result<Plan, HostError> {
    let mut best = plan.clone();
    let mut left = tries;
    let mut fails = |candidate: &Plan| -> Result<bool, HostError> {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        let found = run(plugin, candidate, false)?.violation;
        Ok(found.is_some_and(|found| found.oracle == violation.oracle))
    };
    loop {
        let before = best.clone();
        let mut size = best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut candidate = best.clone();
                let end = (at + size).min(candidate.steps.len());
                candidate.steps.drain(at..end);
                if fails(&candidate)? {
                    best = candidate;
                } else {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        for calmer in calmer(&best) {
            if fails(&calmer)? {
                best = calmer;
                break;
            }
        }
        if best == before {
            return Ok(best);
        }
    }
}

fn calmer(plan: &Plan) -> Vec<Plan> {
    let changes: [fn(&mut Plan); 13] = [
        |plan| plan.options.probed = false,
        |plan| plan.options.reroute_above = None,
        |plan| plan.options.slow_ms = 0,
        |plan| plan.options.poll_ms = 200,
        |plan| plan.steps.iter_mut().for_each(|(_, step)| harden(step)),
        |plan| plan.options.lies_per_mille = 0,
        |plan| plan.options.lost_per_mille = 0,
        |plan| plan.options.twice_per_mille = 0,
        |plan| plan.options.origin_fails_per_mille = 0,
        |plan| plan.options.link_ms = (1, 1),
        |plan| plan.options.origin_ms = (5, 5),
        |plan| plan.options.skew_ms.iter_mut().for_each(|skew| *skew = 0),
        |plan| plan.options.l1_bytes = 4 << 20,
    ];
    let changed = changes.iter().map(|change| {
        let mut calmer = plan.clone();
        change(&mut calmer);
        calmer
    });
    changed.filter(|calmer| calmer != plan).collect()
}

fn harden(step: &mut Step) {
    if let Step::Write { soft, .. } = step {
        *soft = false;
    }
}
