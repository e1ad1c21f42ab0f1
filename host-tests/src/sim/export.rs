//! A failing plan as a scenario file (`scenarios/README.md`): the same requests at the same times, the origin's answers in the order in
//! which they were given, and what the client that was wronged must get instead.
//!
//! Scenarios have one worker, no nodes and clocks that are right. So a plan becomes one where it fails without all else, too;
//! else it is said what it cannot do without.

use std::fmt::Write as _;

use super::catalog::policy;
use super::plan::{Plan, Purging, Step};
use super::world::{Violation, run};
use crate::host::{HostError, Plugin};

/// What scenarios are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A client's request: when, which one, method, path, fields, whether it has a body.
    Asked(u64, usize, String, String, Vec<(String, String)>, bool),
    /// A client goes away.
    Left(u64, usize),
    /// What the origin did with a request of this method and path.
    Origin(String, String, Deed),
}

/// What the origin did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// After so many milliseconds, this status with these fields and this body, broken off after some of it.
    Answered { after_ms: u64, status: u16, fields: Vec<(String, String)>, body: Vec<u8>, cut: Option<usize> },
    /// It could not be reached.
    Refused,
    /// The connection broke.
    Reset,
    /// Nothing.
    Silence,
}

/// Oracles whose word a scenario can say: about one answer.
const SAYABLE: [&str; 6] = ["errors", "bytes", "identity", "stored", "freshness", "purging"];

/// The text of a scenario that fails as this plan does, or why there is none.
///
/// # Errors
/// The module cannot be started.
pub fn scenario(plugin: &Plugin, plan: &Plan, violation: &Violation) -> Result<Result<String, String>, HostError> {
    if !SAYABLE.contains(&violation.oracle) {
        return Ok(Err(format!("no scenario: what {} says is not about one answer", violation.oracle)));
    }
    let (alone, without) = alone(plan);
    let report = run(plugin, &alone, true)?;
    let found = report.violation.as_ref().filter(|found| found.oracle == violation.oracle);
    let Some((client, found)) = found.and_then(|found| Some((found.client?, found))) else {
        return Ok(Err(format!(
            "no scenario: it does not fail without {}, which scenarios do not have",
            without.join(", ")
        )));
    };
    Ok(Ok(text(&alone, found, client, &report.said)))
}

/// The plan in a world as scenarios have it, and what was taken away.
fn alone(plan: &Plan) -> (Plan, Vec<&'static str>) {
    let mut alone = plan.clone();
    let mut without = Vec::new();
    let options = &mut alone.options;
    let mut take = |is_there: bool, what: &'static str| {
        if is_there {
            without.push(what);
        }
    };
    take(options.nodes > 0, "nodes");
    take(options.envoys > 1 || options.workers > 1, "other workers");
    take(options.l1_bytes < ROOMY, "small memories");
    take(options.skew_ms.iter().any(|skew| *skew != 0), "clocks that are wrong");
    (options.nodes, options.shared_store, options.reroute_above) = (0, false, None);
    (options.envoys, options.workers) = (1, 1);
    (options.l1_bytes, options.probed) = (ROOMY, false);
    options.skew_ms = vec![0];
    let mut steps = Vec::new();
    for (at, mut step) in alone.steps {
        match &mut step {
            Step::Ask(ask) => (ask.envoy, ask.worker) = (0, 0),
            Step::Write { purge, .. } => {
                take(*purge != Purging::None, "purges");
                *purge = Purging::None;
            }
            Step::OriginDown { .. } => {}
            Step::Policy(_) => {
                take(true, "pushed policies");
                continue;
            }
            Step::Trap { .. } | Step::EnvoyRestart { .. } | Step::Reload { .. } => {
                take(true, "VMs that end");
                continue;
            }
            Step::ClockForward { .. } => {
                take(true, "clocks that are set");
                continue;
            }
            Step::NodeDown { .. } | Step::NodeSlow { .. } | Step::Partition { .. } => continue,
        }
        steps.push((at, step));
    }
    alone.steps = steps;
    without.dedup();
    if without.is_empty() {
        without.push("the way in which its messages travelled");
    }
    (alone, without)
}

/// Memory of a worker, where nothing else is configured.
const ROOMY: u64 = 16 << 20;
/// Bodies are told by their first line; longer ones are by their length.
const LINE_BYTES_MAX: usize = 1000;

fn text(plan: &Plan, violation: &Violation, client: usize, said: &[Said]) -> String {
    let mut out = String::new();
    let why = violation.why.lines().next().unwrap_or_default();
    let _ = writeln!(out, "Seed {} of the simulation: {}: {why}\n", plan.seed, violation.oracle);
    let _ = writeln!(out, "policy");
    for line in policy(&plan.options, 0).lines() {
        let _ = writeln!(out, "  {}", line.trim());
    }
    out.push('\n');
    for one in said {
        if let Said::Origin(method, path, deed) = one {
            answer(&mut out, method, path, deed);
        }
    }
    let mut now = 0;
    for one in said {
        let at = match one {
            Said::Asked(at, ..) | Said::Left(at, _) => *at,
            Said::Origin(..) => continue,
        };
        if at > now {
            let _ = writeln!(out, "wait {}ms", at - now);
            now = at;
        }
        match one {
            Said::Asked(_, number, method, path, fields, has_body) => {
                let _ = writeln!(out, "R{number}: {method} {path}");
                fields_of(&mut out, fields);
                if *has_body {
                    let _ = writeln!(out, "  body: change");
                }
            }
            Said::Left(_, number) => _ = writeln!(out, "R{number} leaves"),
            Said::Origin(..) => {}
        }
    }
    // Whatever the origin would say now is the last of its answers.
    let status = said.iter().rev().find_map(|one| match one {
        Said::Origin(_, _, Deed::Answered { status, .. }) => Some(*status),
        _ => None,
    });
    let _ = writeln!(out, "R{client} -> {}", status.unwrap_or(200));
    if !matches!(violation.oracle, "errors" | "bytes") {
        let _ = writeln!(out, "  cache-status !~ hit");
    }
    out
}

fn answer(out: &mut String, method: &str, path: &str, deed: &Deed) {
    let _ = write!(out, "origin {method} {path} -> ");
    match deed {
        Deed::Refused => _ = writeln!(out, "refused"),
        Deed::Reset => _ = writeln!(out, "reset"),
        Deed::Silence => _ = writeln!(out, "silence"),
        Deed::Answered { after_ms, status, fields, body, cut } => {
            let _ = writeln!(out, "{status}");
            if *after_ms > 0 {
                let _ = writeln!(out, "  after {after_ms}ms");
            }
            let is_sent = |name: &str| !name.starts_with(':') && name != "content-length";
            let kept: Vec<(String, String)> = fields.iter().filter(|(name, _)| is_sent(name)).cloned().collect();
            fields_of(out, &kept);
            let line =
                String::from_utf8_lossy(body.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
            if body.len() > LINE_BYTES_MAX {
                let _ = writeln!(out, "  body {} bytes", body.len());
            } else if !body.is_empty() {
                let _ = writeln!(out, "  body: {line}");
            }
            if let Some(cut) = cut {
                let length = if body.len() > LINE_BYTES_MAX { body.len() } else { line.len() };
                let _ = writeln!(out, "  cut after {} bytes", (*cut).min(length.saturating_sub(1)));
            }
        }
    }
    out.push('\n');
}

fn fields_of(out: &mut String, fields: &[(String, String)]) {
    for (name, value) in fields {
        let value = if name == "date" { "{now}" } else { value };
        let _ = writeln!(out, "  {name}: {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use std::path::Path;

    #[test]
    fn what_is_written_is_a_scenario() {
        let plan = Plan::draw(3);
        let violation = Violation { oracle: "freshness", why: "9 ms old".into(), at_ms: 9, client: Some(1) };
        let fields = vec![("date".to_owned(), "x".to_owned()), ("etag".to_owned(), "\"0.0..\"".to_owned())];
        let deed =
            |cut| Deed::Answered { after_ms: 3, status: 200, fields: fields.clone(), body: b"obj=0\n".to_vec(), cut };
        let said = [
            Said::Asked(
                40,
                1,
                "GET".into(),
                "/plain/0".into(),
                vec![("authorization".into(), "Bearer u1".into())],
                false,
            ),
            Said::Origin("GET".into(), "/plain/0".into(), deed(Some(3))),
            Said::Asked(50, 2, "POST".into(), "/plain/0".into(), Vec::new(), true),
            Said::Left(60, 2),
            Said::Origin("POST".into(), "/plain/0".into(), Deed::Refused),
            Said::Origin("GET".into(), "/plain/0".into(), deed(None)),
        ];
        let text = text(&plan, &violation, 1, &said);
        let scenario = parse(Path::new("scenarios/sim/x.scn"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // The policy, the origin's answers, two requests and a departure with the wait before each, what is expected.
        assert_eq!(scenario.steps.len(), 1 + 3 + 3 * 2 + 1, "{text}");
    }
}
