//! `cargo xtask bench NAME`: measures, prints a table and writes JSON rows. One file a bench; `frame` is what they share.
//! No figure makes the command fail: it fails where something could not be measured.

mod cold;
pub mod cpu;
mod frame;
mod growth;
pub mod l1;
pub mod l2;
mod layer;
pub mod load;
mod memory;
pub mod nginx;
pub mod node;
mod objects;
pub mod pass;
mod purge;
mod routes;
mod row;
mod stats;
mod varnish;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{Verdict, cargo, process};
use frame::Effort;

/// Measure Larder against its peers: CPU per request, requests per second and p99, and how soon a purge is everywhere
///
/// The subjects take turns in each round; a figure is the median of the rounds with the least and the greatest. The server and the
/// client stay on a processor core each. What else runs on the machine is in the figures: look at the ratios first.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure
    name: Name,
    /// Measured rounds
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of load for each subject in each round
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Purges of `bench purge`
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    purges: u32,
    /// Two rounds of a second, 50 purges: to see that it works, not to quote
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "purges"])]
    quick: bool,
    /// Write the figures there as JSON, one row each; - is standard output (the table then goes to standard error)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The benches.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Hits in a worker's own memory, and 304s, against Envoy's direct_response, its cache_v2 filter, proxying to nginx and to
    /// Varnish, and against nginx's cache and Varnish by themselves
    L1,
    /// Hits in a node and misses that asked it, against proxying to nginx; a node alone against nginx; memory by store
    L2,
    /// Requests that the policy says to pass, against an Envoy without Larder
    Pass,
    /// A hit under a policy of 10,000 routes, against one of 10
    Routes,
    /// Memory of a worker with 10,000 objects of 4 KB
    Objects,
    /// The core's hot functions by themselves (criterion; its own output, and no JSON: target/criterion has that)
    Core,
    /// How cost grows with objects, tags, purge records, routes, workers and nodes: curves for docs/performance.md
    Growth,
    /// Hits and 304s in larder-origin's layer, against two caches for tower of the same kind and the handler by itself
    Origin,
    /// From a purge's acknowledgement to the last stale byte, over two Envoys with two workers each
    Purge,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let effort = if args.quick {
        Effort { rounds: 2, seconds: 1 }
    } else {
        Effort { rounds: args.rounds, seconds: args.seconds }
    };
    let rows = match args.name {
        Name::L1 => l1::run(effort)?,
        Name::L2 => l2::run(effort)?,
        Name::Pass => pass::run(effort)?,
        Name::Routes => routes::run(effort)?,
        Name::Objects => objects::run(effort.rounds)?,
        Name::Core => return core(args.quick),
        Name::Growth => return growth::run(effort, args.json.as_deref()),
        Name::Origin => layer::run(effort)?,
        Name::Purge => purge::run(if args.quick { 50 } else { args.purges as usize })?,
    };
    let table = row::table(&rows);
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    if to_stdout {
        eprint!("{table}");
    } else {
        print!("{table}");
    }
    if let Some(path) = &args.json {
        let text = row::json(&rows).context("cannot write JSON")?;
        if to_stdout {
            print!("{text}");
        } else {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(Verdict::Good)
}

fn core(quick: bool) -> Result<Verdict> {
    let mut command = cargo::cargo();
    command.args(["bench", "--locked", "--package", "larder-core", "--bench", "hot", "--"]);
    if quick {
        command.arg("--quick");
    }
    process::run_ok("the core's benches", &mut command)?;
    Ok(Verdict::Good)
}
