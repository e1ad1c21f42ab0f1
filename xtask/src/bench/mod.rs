//! `cargo xtask bench NAME`: measures, prints a table and writes JSON rows. One file a bench; `frame` is what they share.
//! No figure makes the command fail: it fails where something could not be measured.

mod cold;
mod cpu;
mod frame;
mod l1;
mod l2;
mod layer;
mod load;
mod memory;
mod nginx;
mod node;
mod purge;
mod row;
mod stats;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::Verdict;
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
    /// Hits in a worker's own memory, and 304s, against Envoy's direct_response, its cache_v2 filter, and proxying to nginx
    L1,
    /// Hits in a node and misses that asked it, against proxying to nginx; a node alone against nginx; memory by store
    L2,
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
