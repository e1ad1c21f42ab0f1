//! `bench origin`: a hot hit in larder-origin's layer of two sizes, and a 304 to If-None-Match, against the crates tower-http-cache
//! and http-cache-tower-server and against the same handler without a cache.
//!
//! Twice: over HTTP, each subject in an axum server of its own with one thread (requests, p99 and CPU); and without a network, the
//! layer's service called in a process of its own each turn (processor time and allocations). Neither peer answers conditional requests: they
//! send the whole document.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::cpu::{self, Cores};
use super::frame::{self, Answer, Asked, Case, Counter, Effort, Server, Shot, Use};
use super::l1::browser;
use super::row::{Bound, Figures, Goal, Metric, Row};
use crate::envoy::pinned;
use crate::process::{self, Service};
use crate::{cargo, paths, setup};

const BENCH: &str = "origin";
const PACKAGE: &str = "larder-bench-origin";

/// What is asked: the case, the document, its length, whether it is asked if it has changed.
const CASES: [(&str, &str, usize, bool); 3] = [
    ("hit 1 KiB", "1k.json", 1 << 10, false),
    ("hit 64 KiB", "64k.json", 64 << 10, false),
    ("304 of 1 KiB", "1k.json", 1 << 10, true),
];
/// The handler's.
const ENTITY_TAG: &str = "\"5f1b2c3d-400\"";

const LARDER: &str = "larder";
const BARE: &str = "bare";
const PEERS: [&str; 2] = ["tower-http-cache", "http-cache-tower-server"];
const SUBJECTS: [&str; 4] = [LARDER, PEERS[0], PEERS[1], BARE];

const READY_WITHIN: Duration = Duration::from_secs(20);
/// What a turn without a network may take beyond its time: a slow subject's batches are long.
const SLACK: Duration = Duration::from_secs(30);

/// Ahead of both peers, in everything.
fn goals() -> Vec<Goal> {
    let ahead = [
        (Metric::RequestsPerSecond, Bound::AtLeast(1.0)),
        (Metric::LatencyP99, Bound::AtMost(1.0)),
        (Metric::CpuPerRequest, Bound::AtMost(1.0)),
        (Metric::TimePerHit, Bound::AtMost(1.0)),
        (Metric::AllocationsPerHit, Bound::AtMost(1.0)),
    ];
    let goal = |case, against, (metric, bound)| Goal { case, subject: LARDER, against, metric, bound };
    let of_case = |(case, ..): (&'static str, &str, usize, bool)| {
        PEERS.into_iter().flat_map(move |peer| ahead.map(|figure| goal(case, peer, figure)))
    };
    CASES.into_iter().flat_map(of_case).collect()
}

/// Sets everything up, measures, and stops everything.
pub fn run(effort: Effort) -> Result<Vec<Row>> {
    setup::packages::ensure().context("wrk is needed")?;
    let program = build()?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-origin");
    let _ = fs::remove_dir_all(&folder);
    eprintln!(
        "... {} rounds of {} s for each subject; servers on core {}, client on core {}",
        effort.rounds, effort.seconds, cores.server, cores.client
    );
    let mut rows = over_http(&program, effort, cores, &folder)?;
    rows.extend(in_process(&program, effort, cores, &folder.join("hits.log"))?);
    Ok(rows)
}

fn build() -> Result<PathBuf> {
    let mut command = cargo::cargo();
    command.args(["build", "--locked", "--release", "--package", PACKAGE]);
    process::run_ok("building the subjects", &mut command)?;
    Ok(paths::target().join("release").join(PACKAGE))
}

/// A subject as a server.
#[derive(Debug)]
struct Running {
    service: Service,
    ports: Ports,
}

/// What it says when it listens.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Ports {
    port: u16,
    counts: u16,
}

impl Running {
    fn start(program: &Path, subject: &str, folder: &Path, core: usize) -> Result<Self> {
        let log = folder.join(format!("{subject}.log"));
        let mut command = pinned(program, Some(core));
        command.args(["--subject", subject, "serve"]);
        let mut service = Service::spawn(subject, &mut command, &log)?;
        let mut ports = None;
        service.wait_until("tell its ports", READY_WITHIN, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            ports = text.lines().find_map(|line| serde_json::from_str(line).ok());
            ports.is_some()
        })?;
        Ok(Self { service, ports: ports.context("it tells no ports")? })
    }
}

fn over_http(program: &Path, effort: Effort, cores: Cores, folder: &Path) -> Result<Vec<Row>> {
    let start = |subject| Ok((subject, Running::start(program, subject, folder, cores.server)?));
    let servers = SUBJECTS.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let case = |(name, file, bytes, conditional): (&'static str, &str, usize, bool)| {
        let request = browser(file);
        let request = if conditional { request.field("if-none-match", ENTITY_TAG) } else { request };
        let shot = |(subject, running): &(&'static str, Running)| {
            let of_it = if *subject == BARE { Use::Always } else { Use::Never };
            let unchanged = conditional && *subject == LARDER;
            Shot {
                subject,
                server: Server { port: running.ports.port, pid: running.service.pid() },
                behind: Vec::new(),
                asked: vec![Asked { counter: Counter::Handler(running.ports.counts), of_it }],
                request: request.clone(),
                script: None,
                answer: Answer {
                    status: if unchanged { 304 } else { 200 },
                    bytes: if unchanged { 0 } else { bytes },
                    field: (*subject == LARDER).then_some(("cache-status", "; hit")),
                },
            }
        };
        Case { name, compared: 1, shots: servers.iter().map(shot).collect() }
    };
    let cases: Vec<Case<'_>> = CASES.into_iter().map(case).collect();
    frame::measure(BENCH, &cases, &goals(), effort, cores, &folder.join("wrk.log"))
}

/// What a subject says of a turn.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Turn {
    status: u16,
    ns_per_hit: f64,
    allocations_per_hit: f64,
    bytes_per_hit: f64,
}

fn in_process(program: &Path, effort: Effort, cores: Cores, log: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (case, _, bytes, conditional) in CASES {
        let mut figures: Vec<Figures> = SUBJECTS.into_iter().map(Figures::new).collect();
        for round in 1..=effort.rounds {
            eprint!("... {case}, no network: round {round} of {}:", effort.rounds);
            for (subject, figures) in SUBJECTS.into_iter().zip(&mut figures) {
                let turn = turn(program, subject, bytes, conditional, effort.seconds, cores.server, log);
                let turn = turn.with_context(|| format!("{case}: {subject} in round {round}"))?;
                eprint!("  {subject} {:.0} ns", turn.ns_per_hit);
                figures.push(Metric::TimePerHit, turn.ns_per_hit);
                figures.push(Metric::AllocationsPerHit, turn.allocations_per_hit);
                figures.push(Metric::AllocatedPerHit, turn.bytes_per_hit);
            }
            eprintln!();
        }
        rows.extend(Row::of_case(BENCH, case, 1, &figures, &goals()));
    }
    Ok(rows)
}

fn turn(
    program: &Path,
    subject: &str,
    bytes: usize,
    conditional: bool,
    seconds: u32,
    core: usize,
    log: &Path,
) -> Result<Turn> {
    let mut command = pinned(program, Some(core));
    command.args(["--subject", subject, "hits", "--bytes", &bytes.to_string()]);
    command.args(["--millis", &(u64::from(seconds) * 1000).to_string()]);
    if conditional {
        command.arg("--conditional");
    }
    let within = Duration::from_secs(seconds.into()) + SLACK;
    let (status, text) = process::capture_within(&mut command, log, within)?;
    ensure!(status.success(), "it failed ({status}). {}", process::tail(log));
    let turn: Turn = serde_json::from_str(text.trim()).with_context(|| format!("it says {text:?}"))?;
    let expected = if conditional && subject == LARDER { 304 } else { 200 };
    ensure!(turn.status == expected, "status {} instead of {expected}", turn.status);
    Ok(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_goals_against_both_peers_and_none_against_the_handler() {
        let goals = goals();
        for (case, ..) in CASES {
            for peer in PEERS {
                assert_eq!(goals.iter().filter(|goal| goal.case == case && goal.against == peer).count(), 5);
            }
        }
        assert!(goals.iter().all(|goal| goal.subject == LARDER && goal.against != BARE));
    }

    #[test]
    fn what_the_subjects_print_is_read() {
        let ports: Ports = serde_json::from_str(r#"{"counts":2,"port":1}"#).unwrap();
        assert_eq!((ports.port, ports.counts), (1, 2));
        let turn: Turn = serde_json::from_str(
            r#"{"hits":9,"status":304,"ns_per_hit":1.5,"allocations_per_hit":43.0,"bytes_per_hit":2958.0}"#,
        )
        .unwrap();
        assert_eq!((turn.status, turn.ns_per_hit), (304, 1.5));
        assert_eq!((turn.allocations_per_hit, turn.bytes_per_hit), (43.0, 2958.0));
    }
}
