//! `larder policy shadow`: begins a shadow, reports on it, ends it.

use clap::{ArgGroup, Args};

use super::change::{On, Wanted, change};
use super::{report, words};
use crate::End;
use crate::input::Source;

/// Options of `larder policy shadow`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["report", "stop", "promote"]))]
#[command(
    after_help = "With --report, the exit code is 1 where the shadow would have given clients what they must not get."
)]
pub struct Options {
    /// The policy to run in the shadow; with --report, --stop or --promote, the policy's name
    #[arg(value_name = "FILE|NAME")]
    target: Source,

    /// Say what the shadow would have done: hits, bytes, and whether it would have been safe
    #[arg(long)]
    report: bool,

    /// End the shadow
    #[arg(long)]
    stop: bool,

    /// Put it in force
    #[arg(long)]
    promote: bool,

    /// What to say about this version
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "what")]
    comment: String,

    /// Only if this version is in the shadow; 0 is none
    #[arg(long, value_name = "VERSION", conflicts_with = "what")]
    base: Option<u64>,

    #[command(flatten)]
    on: On,
}

/// Does what is asked.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let Options { target, report, stop, promote, comment, base, on } = options;
    if !(*report || *stop || *promote) {
        return change(&Wanted::Push { file: target, comment, base: *base, shadow: true }, on);
    }
    let name = words::name(&target.to_string()).map_err(anyhow::Error::msg)?;
    if *report {
        return report::run(&name, &on.nodes, on.json);
    }
    let name = name.as_str();
    change(&if *promote { Wanted::Promote { name } } else { Wanted::StopShadow { name } }, on)
}
