//! `cargo xtask fuzz`: the fuzz targets under libFuzzer. Builds them once, runs them with a bounded number at a time, tells how far each has
//! come, and what it has found with the command that does it again. What a target holds is in the crate `fuzz/`.

mod build;
mod report;
mod running;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{Verdict, paths, process};
use build::Built;
use report::Outcome;
use running::Running;

/// Feed the fuzz targets with inputs that reach new code, and hold properties against each
///
/// Needs no nightly compiler and no cargo-fuzz: our crates are compiled with coverage counters by the stable compiler,
/// larder.wasm too, and linked with libFuzzer. Inputs that reach something new go to target/xtask/fuzz/corpus/TARGET, those that break a
/// property to target/xtask/fuzz/found/TARGET; fuzz/corpus and fuzz/regressions are read, and written by --merge only.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Run these targets only
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    target: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Processes at a time: of several targets, or of the one that is chosen
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Where chance begins, so that two runs of the same program try the same [default: somewhere else each time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seed: Option<u32>,
    /// Print the targets, and run none
    #[arg(long)]
    list: bool,
    /// Give the one target chosen this input, and nothing else
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
    /// Instead: put what is needed of all that was gathered into fuzz/corpus, and take out what is not
    #[arg(long, conflicts_with = "replay")]
    merge: bool,
    /// Print the results as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A target, as the program tells it.
#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    about: String,
    bytes_max: usize,
    needs_module: bool,
    seeds: Vec<String>,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let built = Built::program()?;
    let all = built.targets()?;
    if args.list {
        for target in &all {
            println!("{:<15}{}", target.name, target.about);
        }
        return Ok(Verdict::Good);
    }
    if let Some(unknown) = args.target.iter().find(|name| !all.iter().any(|target| target.name == **name)) {
        let names: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
        bail!("there is no target {unknown}; there are {}", names.join(", "));
    }
    let chosen: Vec<Target> =
        all.into_iter().filter(|target| args.target.is_empty() || args.target.contains(&target.name)).collect();
    let built = if chosen.iter().any(|target| target.needs_module) { built.with_module()? } else { built };
    if let Some(input) = &args.replay {
        let [target] = &chosen[..] else { bail!("--replay wants one --target") };
        let status = process::run(built.command(target).arg(input))?;
        return Ok(if status.success() { Verdict::Good } else { Verdict::Bad });
    }
    if args.merge {
        chosen.iter().try_for_each(|target| merge(&built, target, args))?;
        return Ok(Verdict::Good);
    }
    let outcomes = run(&built, &chosen, args)?;
    report::print(&outcomes, args.json)?;
    let found = outcomes.iter().any(Outcome::is_bad);
    Ok(if found { Verdict::Bad } else { Verdict::Good })
}

/// How often running targets say how far they have come.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// Runs the targets, `args.jobs` processes at a time, each for `args.seconds`.
fn run(built: &Built, targets: &[Target], args: &Args) -> Result<Vec<Outcome>> {
    // One target alone gets all the processes; they share what they gather.
    let copies = if targets.len() == 1 { args.jobs } else { 1 };
    let mut waiting: VecDeque<(&Target, u32)> =
        targets.iter().flat_map(|target| (0..copies).map(move |copy| (target, copy))).collect();
    let mut running: Vec<Running> = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut told = Instant::now();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < args.jobs as usize
            && let Some((target, copy)) = waiting.pop_front()
        {
            running.push(Running::start(built, target, copy, args)?);
        }
        thread::sleep(POLL);
        for ended in running.extract_if(.., Running::has_ended) {
            let outcome = ended.outcome()?;
            say(args, &outcome.line());
            outcomes.push(outcome);
        }
        if told.elapsed() >= PROGRESS_EVERY {
            running.iter().for_each(|one| say(args, &one.progress()));
            told = Instant::now();
        }
    }
    Ok(report::together(outcomes))
}

fn say(args: &Args, line: &str) {
    if args.json { eprintln!("{line}") } else { println!("{line}") }
}

/// Reads what was gathered and what is kept, and keeps the smallest inputs that reach what all of them reach.
fn merge(built: &Built, target: &Target, args: &Args) -> Result<()> {
    let kept = kept(target, "corpus");
    let new = paths::scratch("fuzz").join("merged").join(&target.name);
    let _ = std::fs::remove_dir_all(&new);
    create(&new)?;
    create(&kept)?;
    let mut command = built.command(target);
    command.arg("-merge=1").arg(&new).arg(&kept);
    command.args([gathered(target)].iter().filter(|folder| folder.is_dir()));
    command.args(target.seeds.iter().map(|folder| paths::root().join(folder)));
    let log = paths::scratch("fuzz").join("logs").join(format!("{}-merge.log", target.name));
    let (status, _) = process::capture(&mut command, &log)?;
    if !status.success() {
        bail!("{}: an input breaks a property already. {}", target.name, process::tail(&log));
    }
    std::fs::remove_dir_all(&kept)
        .and_then(|()| std::fs::rename(&new, &kept))
        .context("cannot put the corpus there")?;
    let (files, bytes) = sizes(&kept)?;
    say(args, &format!("{:<15}{files} inputs, {bytes} bytes in {}", target.name, kept.display()));
    Ok(())
}

fn sizes(folder: &Path) -> Result<(usize, u64)> {
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        sum = (sum.0 + 1, sum.1 + entry?.metadata()?.len());
    }
    Ok(sum)
}

/// A target's folder in the repository: `corpus` or `regressions`.
fn kept(target: &Target, what: &str) -> PathBuf {
    paths::root().join("fuzz").join(what).join(&target.name)
}

/// Where inputs gather that reach something new.
fn gathered(target: &Target) -> PathBuf {
    paths::scratch("fuzz").join("corpus").join(&target.name)
}

/// Where inputs are put that break a property.
fn found(target: &Target) -> PathBuf {
    paths::scratch("fuzz").join("found").join(&target.name)
}

fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
