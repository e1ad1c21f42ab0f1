//! Policies: how commands read them, and `larder policy`, which ships them to the cluster.
//!
//! Map: `read` (files), `change` (what changes something on nodes: push, rollback, withdraw, and a shadow's end), `delivery` (waiting until
//! workers have it), `list` and `show` (what there is), `diff`, `shadow` and `report` (what a shadow would have done), `words`.

mod change;
mod delivery;
mod diff;
mod list;
mod read;
mod report;
mod shadow;
mod show;
mod summary;
mod words;

use clap::{Args, Subcommand};

pub use self::read::read;
use crate::End;

/// Options of `larder policy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, and every worker that was heard from has it; 1 refused, or not every worker has it in time; 2 not understood."
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a policy in force on every worker, and wait until they have it
    Push(change::Push),
    /// List what was pushed, and which workers have it
    List(list::Options),
    /// Show the history under a name, or the text of a version
    Show(show::Options),
    /// Show what differs between what is in force and a file, or between versions
    Diff(diff::Options),
    /// Put an older version in force again
    Rollback(change::Rollback),
    /// Run a policy in the shadow of the one in force: evaluated and reported on, without effect
    Shadow(shadow::Options),
    /// Let workers run what they were configured with; the history stays
    Withdraw(change::Withdraw),
}

/// Does what is asked.
pub fn run(options: &Options) -> anyhow::Result<End> {
    match &options.command {
        Command::Push(options) => change::push(options),
        Command::List(options) => list::run(options),
        Command::Show(options) => show::run(options),
        Command::Diff(options) => diff::run(options),
        Command::Rollback(options) => change::rollback(options),
        Command::Shadow(options) => shadow::run(options),
        Command::Withdraw(options) => change::withdraw(options),
    }
}
