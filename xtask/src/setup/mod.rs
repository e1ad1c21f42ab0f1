//! `cargo xtask setup`: whatever the other commands need and this machine lacks. Knows the order and the report;
//! each tool has a file here that knows how to find it and how to get it.
//!
//! Every step looks first and changes something only where the look found nothing, so a second run changes nothing.

pub mod crates;
pub mod deny;
pub mod envoy;
pub mod packages;
pub mod runner;
pub mod schemas;
pub mod wasm;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::Verdict;

/// Install what the other commands need and this machine lacks (a second run changes nothing)
///
/// Looks for each tool first. Debian packages are installed with apt-get, as root or by `sudo -n`; where neither works, the
/// step fails and prints the command to run. Everything else goes to the user's cache folder (~/.cache/larder).
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Do these steps only
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Tool>,
    /// Fetch these versions of Envoy, too, for `cargo xtask test --envoy`
    #[arg(long, value_delimiter = ',', value_name = "VERSION")]
    envoy: Vec<String>,
    /// Print the steps as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A step of the setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// Debian packages: C compiler, servers, load generator, Node, pip
    Packages,
    /// The sources of all crates in Cargo.lock, so that later steps need no network
    Crates,
    /// A compiler for wasm32-unknown-unknown
    Wasm,
    /// An Envoy to run the plugin in
    Envoy,
    /// wasm-bindgen's test runner, of the version in Cargo.lock
    Runner,
    /// cargo-deny, which checks licences and sources
    Deny,
    /// Schemas of Kubernetes, Istio, Compose and CycloneDX, for what is under deploy/ and for packages
    Schemas,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was there.
    Found,
    /// It is there now.
    Installed,
    /// It is not needed (yet); the detail says why.
    Skipped,
    /// It is not there; the detail says what to do.
    Failed,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Step {
    step: &'static str,
    outcome: Outcome,
    detail: String,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let tools = if args.only.is_empty() { Tool::value_variants() } else { &args.only };
    let mut steps = Vec::new();
    let mut add = |step: Step| {
        if !args.json {
            println!("{}", step.line());
        }
        steps.push(step);
    };
    tools.iter().for_each(|&tool| add(take(tool)));
    args.envoy.iter().for_each(|version| add(step("envoy", envoy::fetched(version))));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&steps).context("cannot print JSON")?);
    }
    let bad = steps.iter().any(|step| step.outcome == Outcome::Failed);
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

/// Takes one step; a failure is in the report, so that the steps after it still run.
pub fn take(tool: Tool) -> Step {
    let (name, found) = match tool {
        Tool::Packages => ("packages", packages::ensure()),
        Tool::Crates => ("crates", crates::ensure()),
        Tool::Wasm => ("wasm", wasm::ensure().map(|(_, report)| report)),
        Tool::Envoy => ("envoy", envoy::ensure().map(|(_, report)| report)),
        Tool::Runner => ("runner", runner::ensure().map(|(_, report)| report)),
        Tool::Deny => ("deny", deny::ensure().map(|(_, report)| report)),
        Tool::Schemas => ("schemas", schemas::ensure().map(|(_, report)| report)),
    };
    step(name, found)
}

fn step(step: &'static str, found: Result<Report>) -> Step {
    let Report { outcome, detail } = found.unwrap_or_else(|error| Report::new(Outcome::Failed, format!("{error:#}")));
    Step { step, outcome, detail }
}

impl Step {
    /// The step as one line for a person.
    pub fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Found => "found",
            Outcome::Installed => "installed",
            Outcome::Skipped => "skipped",
            Outcome::Failed => "FAILED",
        };
        format!("{:<10}{:<11}{}", self.step, outcome, self.detail)
    }

    /// Whether the step left its tool missing.
    pub fn failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

/// What a tool's file says about it: its outcome and one sentence.
#[derive(Debug)]
pub struct Report {
    outcome: Outcome,
    detail: String,
}

impl Report {
    /// A report of `outcome`, with where the tool is or why it is not.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into() }
    }

    /// A tool that was found.
    pub fn found(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Found, detail)
    }

    /// A tool that has just been installed.
    pub fn installed(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Installed, detail)
    }
}

/// Says on standard error what is about to take a while.
pub fn progress(message: &str) {
    eprintln!("... {message}");
}
