//! `larder audit`: what of an API its policy leaves out or contradicts.
//!
//! Whether an answer contradicts its policy is asked of the exchange itself: a plain answer would be stored, and the one that the
//! document or the log tells of is not.

mod log;
mod openapi;
mod report;

use clap::{ArgGroup, Args};

use self::report::Report;
use crate::End;
use crate::input::Source;
use crate::paint::{Paint, say};

/// Options of `larder audit`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("of").required(true).args(["openapi", "log"]),
    after_help = "Exit codes: 0 nothing found, 1 findings, 2 not understood."
)]
pub struct Options {
    /// The policy
    #[arg(long, short, value_name = "FILE")]
    policy: Source,

    /// The API's OpenAPI document; - is standard input
    #[arg(long, value_name = "FILE")]
    openapi: Option<Source>,

    /// An access log: common, combined, Envoy's default or JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    log: Option<Source>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Audits.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let policy = crate::policy::read(&options.policy)?;
    let report: Report = match (&options.openapi, &options.log) {
        (Some(source), _) => openapi::audit(&policy, source)?,
        (None, Some(source)) => log::audit(&policy, source)?,
        (None, None) => Report::default(),
    };
    if options.json {
        say(&report.json()?)?;
    } else {
        say(&report.text(Paint::of_stdout()))?;
    }
    Ok(if report.findings.is_empty() { End::Done } else { End::Failed })
}
