//! `cargo xtask sim`: the simulated world with the release module, for many seeds. `cargo xtask mutants`: the same with modules that were
//! broken on purpose, to see that each is found.

mod mutants;

use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::cargo::{NATIVE, cargo};
use crate::setup::wasm;
use crate::{Verdict, build, paths};

pub use mutants::{Args as MutantArgs, main as mutants};

/// Simulate Envoys, nodes, an origin and clients on one clock, and hold what clients see against the RFCs
#[derive(Debug, Parser)]
pub struct Args {
    /// A module that is built already
    #[arg(long)]
    wasm: Option<std::path::PathBuf>,
    /// Compile the simulation for speed: worth it from some ten thousand seeds on
    #[arg(long)]
    release: bool,
    /// Passed on; `cargo xtask sim -- --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds what is needed and runs it.
pub fn main(args: &Args) -> Result<Verdict> {
    let module = match &args.wasm {
        Some(module) => module.clone(),
        None => build::release(&wasm::ensure()?.0)?.path,
    };
    let mut command = command(args.release)?;
    let status = command.args(&args.rest).env("LARDER_WASM", module).status().context("larder-sim does not start")?;
    Ok(if status.success() { Verdict::Good } else { Verdict::Bad })
}

/// The program, built.
pub fn command(release: bool) -> Result<Command> {
    let mut build = cargo();
    build.arg("build").arg("--quiet").args(NATIVE).args(["--bin", "larder-sim"]);
    if release {
        build.arg("--release");
    }
    let status = build.status().context("cargo does not start")?;
    anyhow::ensure!(status.success(), "larder-sim does not compile");
    let profile = if release { "release" } else { "debug" };
    let mut command = Command::new(paths::target().join(profile).join("larder-sim"));
    command.current_dir(paths::root());
    Ok(command)
}
