//! `cargo xtask deploy`: everything under deploy/ held against what will read it. Collects the checks and prints how they came out;
//! `prometheus`, `schemas`, `embedded` and `systemd` are the checks, `yaml` reads files.
//!
//! What embeds configuration of Envoy is taken out and loaded by a real Envoy with the real module.

mod embedded;
mod prometheus;
mod schemas;
mod systemd;
mod yaml;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::setup;
use crate::{Verdict, build, paths};

/// Check everything under deploy/ against what will read it
///
/// Prometheus rules and their tests by promtool; the Grafana dashboard's expressions and the names in them; Kubernetes manifests,
/// Istio's resources and the compose file by their schemas; systemd units by systemd-analyze; and the Envoy configuration inside
/// Istio's, Envoy Gateway's and the compose files by a real Envoy that loads the module with the policy in them. No registry has
/// the schema of Envoy Gateway's resources, so of those only the content is checked.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Use this module instead of building one
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Print the checks as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    /// What is wrong; nothing where all is well.
    error: Option<String>,
}

/// The checks so far.
#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: impl Into<String>, outcome: Result<()>) {
        self.0.push(Check { name: name.into(), error: outcome.err().map(|error| format!("{error:#}")) });
    }
}

pub fn main(args: &Args) -> Result<Verdict> {
    let (tools, _) = setup::schemas::ensure().context("no schemas")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let module = match &args.wasm {
        Some(file) => std::path::absolute(file).context("no path to the module")?,
        None => build::release(&setup::wasm::ensure().context("no compiler for wasm")?.0)?.path,
    };
    let mut checks = Checks::default();
    prometheus::check(&mut checks, &tools);
    schemas::check(&mut checks, &tools);
    systemd::check(&mut checks);
    embedded::check(&mut checks, &tools, &envoy, &module);
    let failed = checks.0.iter().filter(|check| check.error.is_some()).count();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&checks.0).context("cannot print JSON")?);
    } else {
        for Check { name, error } in &checks.0 {
            match error {
                None => println!("ok      {name}"),
                Some(error) => println!("FAILED  {name}\n        {}", error.replace('\n', "\n        ")),
            }
        }
        println!("{} passed, {failed} failed", checks.0.len() - failed);
    }
    Ok(if failed == 0 { Verdict::Good } else { Verdict::Bad })
}

/// A file or folder under deploy/.
fn file(name: &str) -> PathBuf {
    paths::root().join("deploy").join(name)
}
