//! `cargo xtask profile WAY`: where a real Envoy's processor time goes while it answers from memory, from a node, from the origin.
//!
//! Envoy is sampled by `perf` under load, with stacks, and the module's functions are named: `perforated` says how. Prints shares, not times;
//! `bench` has those. Not a test: nothing here is good or bad.

mod native;
mod perforated;
mod report;
mod samples;
mod stage;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::bench::cpu;
use crate::setup::packages;
use crate::{Verdict, build, paths, process, setup};

/// Show where Envoy's processor time goes: the module's functions by name, its host calls, Envoy itself, the kernel
///
/// Samples a real Envoy under load with perf, on the processor's clock, which virtual machines have, too. Percentages are of all of
/// Envoy's time; a function's own time is without that of what it calls.
#[derive(clap::Args)]
pub struct Args {
    /// The way of the requests
    way: Way,
    /// Seconds to sample
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Functions to list
    #[arg(long, default_value_t = 25)]
    top: usize,
    /// Samples a second
    #[arg(long, default_value_t = 2999, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    frequency: u32,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A worker's memory, 1 KB.
    L1,
    /// A node, through the module, 1 KB.
    L2,
    /// The origin, after a node was asked; stored in both.
    Miss,
    /// The origin, because the policy says so.
    Pass,
    /// No Envoy: the core by itself, in instructions (callgrind).
    Core,
}

/// Load before sampling: V8 compiles nothing after it, connections are open.
const SETTLE: Duration = Duration::from_secs(2);

pub fn main(args: &Args) -> Result<Verdict> {
    if args.way == Way::Core {
        packages::ensure_tool("valgrind", "valgrind")?;
        let folder = paths::scratch("profile-core");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        native::run(&folder, args.top)?;
        return Ok(Verdict::Good);
    }
    packages::ensure().context("nginx and wrk are needed")?;
    packages::ensure_tool("perf", "linux-perf")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::named(&toolchain)?;
    let folder = paths::scratch("profile");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let envoy = perforated::copy(&envoy, &folder)?;
    let cores = cpu::cores()?;
    let stage = stage::set(args.way, &envoy, &module, &folder, cores)?;
    let map = perforated::map(stage.envoy.pid());
    let log = folder.join("wrk.log");
    let seconds = args.seconds + 2 * SETTLE.as_secs() as u32;
    let samples = thread::scope(|scope| {
        let load = scope.spawn(|| stage.load(cores.client).run(seconds, &log));
        thread::sleep(SETTLE);
        let samples = sample(stage.envoy.pid(), args, &folder);
        let run = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))?;
        run.context("no load")?;
        samples
    });
    let _ = fs::remove_file(map);
    print!("{}", report::text(&samples::read(&samples?), args.top));
    Ok(Verdict::Good)
}

/// Stacks as `perf script` prints them.
fn sample(pid: u32, args: &Args, folder: &Path) -> Result<String> {
    let (data, log) = (folder.join("perf.data"), folder.join("perf.log"));
    let (seconds, frequency) = (args.seconds.to_string(), args.frequency.to_string());
    let mut record = Command::new("perf");
    record.args([
        "record",
        "--call-graph",
        "fp",
        "--event",
        "cpu-clock",
        "--freq",
        &frequency,
        "--pid",
        &pid.to_string(),
    ]);
    record.arg("--output").arg(&data).args(["--", "sleep", &seconds]);
    let within = Duration::from_secs(u64::from(args.seconds)) + Duration::from_secs(60);
    let (status, _) = process::capture_within(&mut record, &log, within)?;
    ensure!(status.success(), "perf record failed ({status}). {}", process::tail(&log));
    let mut script = Command::new("perf");
    script.arg("script").arg("--input").arg(&data).args(["--fields", "ip,sym,dso"]);
    let (status, text) = process::capture_within(&mut script, &log, Duration::from_secs(300))?;
    ensure!(status.success(), "perf script failed ({status}). {}", process::tail(&log));
    Ok(text)
}
