//! `cargo xtask chaos`: real Envoys, nodes, a Redis Cluster and clients; then things are broken by turns, and it is held against the goals
//! what clients saw of it. `content` says what an answer must be, `load` asks, `purger` purges, `stage` starts and stops, `faults` break
//! things, `report` says what it cost; `soak` breaks nothing and waits.

mod content;
mod dice;
mod edges;
mod faults;
mod load;
mod net;
mod purger;
mod redis;
mod report;
mod small_disk;
mod soak;
mod span;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use self::faults::Fault;
use self::report::{Figures, Row};
use self::span::Span;
use self::stage::{Kept, Parts, Stage};
use crate::cargo::{NATIVE, cargo};
use crate::{Verdict, build, paths, process, setup};

/// Break things in real Envoys, nodes and Redis under load, and see what clients notice
///
/// Two Envoys with Larder and one without in front of the same origin, three nodes that share a Redis Cluster, clients at a fixed rate
/// that check every byte, a purger. For each fault a row: requests that failed and would not have failed without Larder (goal: 0), answers
/// older than a purge that had been delivered (0), wrong bytes (0), how long until hits are back, memory before and after. Ends with 1 if a goal
/// was missed.
#[derive(clap::Args)]
pub struct Args {
    /// These faults only
    #[arg(long, value_delimiter = ',', value_name = "FAULT")]
    only: Vec<Fault>,
    /// Name the faults and do nothing
    #[arg(long)]
    list: bool,
    /// Seconds before, during and after each fault
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Requests a second to each of the three Envoys
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    rate: u32,
    /// Purges a second
    #[arg(long, default_value_t = 4.0)]
    purges: f64,
    /// Worker threads of each Envoy
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Break nothing, run for so many minutes, and see whether memory grows
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["only", "seconds"])]
    soak: Option<f64>,
    /// Compile the nodes for speed
    #[arg(long)]
    release: bool,
    /// A module that is built already (faults that need a trap build their own)
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Only what must hold on the busiest machine counts: nothing failed, nothing stale, no wrong bytes
    #[arg(long)]
    lenient: bool,
    /// Write the figures there as JSON; - is standard output (the table then goes to standard error)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep logs and bootstraps
    #[arg(long)]
    keep: bool,
}

/// Builds what is needed, and runs it.
pub fn main(args: &Args) -> Result<Verdict> {
    let chosen: Vec<Fault> = if args.only.is_empty() { Fault::value_variants().to_vec() } else { args.only.clone() };
    if args.list {
        for fault in chosen {
            println!("{:<14}{}", fault.name(), fault.about());
        }
        return Ok(Verdict::Good);
    }
    ensure!(args.purges > 0.0 && args.purges <= 100.0, "--purges: more than 0 and at most 100");
    let parts = parts(args, args.soak.is_none() && chosen.contains(&Fault::Trap))?;
    let folder = paths::scratch(&format!("chaos-{}", std::process::id()));
    remove_left()?;
    let verdict = match args.soak {
        Some(minutes) => soaked(args, &parts, minutes, &folder),
        None => broken(args, &parts, &chosen, &folder),
    };
    if args.keep {
        eprintln!("logs are in {}", folder.display());
    } else if verdict.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    verdict
}

/// Logs of runs that were ended by a signal or an error, but for the last one that failed.
fn remove_left() -> Result<()> {
    let parent = paths::scratch("");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    for entry in fs::read_dir(&parent).with_context(|| format!("cannot read {}", parent.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("chaos-").and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn parts(args: &Args, trap: bool) -> Result<Parts> {
    setup::packages::ensure().context("Redis is needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = match &args.wasm {
        Some(module) => module.clone(),
        None => build::release(&toolchain)?.path,
    };
    let trapping = if trap { Some(build::trapping(&toolchain)?) } else { None };
    Ok(Parts {
        envoy,
        module,
        trapping,
        larder: larder(args.release)?,
        workers: args.workers,
        rate: f64::from(args.rate),
        purges: args.purges,
    })
}

/// The `larder` command; not for speed, it is the one that tests compile.
fn larder(release: bool) -> Result<PathBuf> {
    let mut command: Command = cargo();
    command.arg("build");
    if release {
        command.args(["--locked", "--release", "--package", "larder"]);
    } else {
        command.args(NATIVE).args(["--bin", "larder"]);
    }
    process::run_ok("building the larder binary", &mut command)?;
    Ok(paths::target().join(if release { "release" } else { "debug" }).join("larder"))
}

fn broken(args: &Args, parts: &Parts, chosen: &[Fault], folder: &Path) -> Result<Verdict> {
    let mut rows = Vec::new();
    for kept in [Kept::Shared, Kept::SharedApart, Kept::OnSmallDisk] {
        let faults: Vec<Fault> = chosen.iter().copied().filter(|fault| fault.stage() == kept).collect();
        if !faults.is_empty() {
            rows.extend(on_stage(args, parts, kept, &faults, folder)?);
        }
    }
    let missed: Vec<String> =
        rows.iter().flat_map(|row| if args.lenient { row.wrong() } else { row.missed() }).collect();
    say(args, &report::table(&rows), &rows, &missed)
}

fn on_stage(args: &Args, parts: &Parts, kept: Kept, faults: &[Fault], folder: &Path) -> Result<Vec<Row>> {
    if let Some(why) = forbidden(kept) {
        return Ok(faults.iter().map(|fault| Row::skipped(*fault, why.clone())).collect());
    }
    eprintln!("... starting Envoys, nodes and what they need ({kept:?})");
    let mut parts = parts.clone();
    if !faults.contains(&Fault::Trap) {
        parts.trapping = None;
    }
    let (mut open, mut rows) = (None, Vec::new());
    for fault in faults {
        let folder = folder.join(format!("{kept:?}-{}", rows.len()).to_lowercase());
        let mut stage = match open.take() {
            Some(stage) => stage,
            None => Stage::open(&parts, kept, &folder)?,
        };
        eprintln!("... {}: {}", fault.name(), fault.about());
        let row = match one(args, &mut stage, *fault) {
            Ok(row) => {
                open = Some(stage);
                row
            }
            // What comes after it begins with everything new.
            Err(error) => Row::broken(*fault, format!("{error:#}")),
        };
        eprint!("{}", report::table(std::slice::from_ref(&row)));
        rows.push(row);
    }
    Ok(rows)
}

/// Complaints that are shown of each fault.
const COMPLAINTS: usize = 8;

/// Why a stage cannot be had on this machine.
fn forbidden(kept: Kept) -> Option<String> {
    match kept {
        Kept::Shared | Kept::SharedForLong => None,
        Kept::SharedApart => net::Net::new().err(),
        Kept::OnSmallDisk => small_disk::SmallDisk::permitted().err(),
    }
    .map(|error| format!("{error:#}"))
}

fn one(args: &Args, stage: &mut Stage, fault: Fault) -> Result<Row> {
    drop((stage.load.take(), stage.load.complaints(), stage.purger.take(), stage.purger.refusal()));
    let mut span = Span::open(Duration::from_secs(args.seconds.into()));
    let before = stage.memory();
    fault.run(stage, &mut span)?;
    let closed = span.close();
    let after = stage.memory();
    stage.load.settled(closed);
    stage.purger.settled(closed);
    let (samples, purges) = (stage.load.take(), stage.purger.take());
    let figures = Figures::of(fault, &span, closed, &samples, &purges, (before, after));
    let begun = span.begun.unwrap_or(span.from);
    let complaints = stage.load.complaints();
    for complaint in complaints.iter().filter(|complaint| complaint.edge == load::Edge::Larder).take(COMPLAINTS) {
        let at = complaint.sent.saturating_duration_since(begun).as_secs_f64();
        span.note(format!("at {at:.2} s: {}", complaint.what));
    }
    let again = samples.iter().filter(|sample| sample.again && sample.sent >= begun).count();
    if again > 0 {
        span.note(format!(
            "{again} requests were sent again, since a kept connection was closed before the answer began"
        ));
    }
    if let Some(refusal) = stage
        .purger
        .refusal()
        .filter(|_| figures.acknowledged < figures.purges || figures.delivered < figures.acknowledged)
    {
        span.note(format!("the last that was said of a purge: {refusal}"));
    }
    Ok(Row { fault, skipped: None, broken: None, figures: Some(figures), notes: span.notes })
}

fn soaked(args: &Args, parts: &Parts, minutes: f64, folder: &Path) -> Result<Verdict> {
    ensure!(minutes.is_finite() && minutes > 0.0 && minutes <= 1e5, "--soak: some minutes");
    eprintln!("... starting Envoys, nodes and what they need");
    let stage = Stage::open(parts, Kept::SharedForLong, folder)?;
    let soak = soak::run(&stage, Duration::from_secs_f64(minutes * 60.0))?;
    drop(stage);
    let missed = soak.missed();
    let mut text = soak.table();
    for complaint in &soak.complaints {
        text.push_str(&format!("{complaint}\n"));
    }
    say(args, &text, &soak, &missed)
}

/// Prints table, JSON and what was missed.
fn say(args: &Args, table: &str, figures: &impl serde::Serialize, missed: &[String]) -> Result<Verdict> {
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    let verdict = match missed {
        [] => "every goal was reached\n".to_owned(),
        missed => missed.iter().map(|goal| format!("MISSED {goal}\n")).collect(),
    };
    if to_stdout {
        eprint!("{table}\n{verdict}");
    } else {
        print!("{table}\n{verdict}");
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(figures).context("cannot print JSON")?;
        if to_stdout {
            println!("{text}");
        } else {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(if missed.is_empty() { Verdict::Good } else { Verdict::Bad })
}
