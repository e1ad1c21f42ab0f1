//! The program with libFuzzer and all targets, and the module with counters. Our crates are compiled once more, with counters; all others
//! are those that tests use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Target;
use crate::cargo::{NATIVE, cargo};
use crate::setup::wasm;
use crate::{paths, process};

/// What is built.
pub struct Built {
    program: PathBuf,
    module: Option<PathBuf>,
}

/// What runs often is optimized more than what takes long to compile is worth.
const OPTIMIZED: &[(&str, u8)] =
    &[("larder-core", 2), ("larder-fuzz", 1), ("larder-host-tests", 1), ("larder-node", 1), ("libfuzzer-sys", 2)];
/// The module runs in wasmtime and is small.
const OPTIMIZED_MODULE: &[(&str, u8)] = &[("larder-core", 3), ("larder-plugin", 3)];

impl Built {
    /// Builds the program.
    pub fn program() -> Result<Self> {
        let mut command = cargo();
        command.arg("build").args(NATIVE).args(["--features", "larder-fuzz/engine", "--bin", "larder-fuzz"]);
        instrumented(&mut command, OPTIMIZED);
        process::run_ok("building the fuzz targets", &mut command)?;
        Ok(Self { program: in_debug(&paths::target(), "larder-fuzz"), module: None })
    }

    /// Builds the module, too: without LTO, with every check on, and with counters that the wasmtime host reads.
    pub fn with_module(self) -> Result<Self> {
        let (toolchain, _) = wasm::ensure().context("no compiler for wasm")?;
        let mut command = toolchain.cargo();
        command.args(["build", "--locked", "--package", "larder-plugin"]).args(toolchain.flags());
        instrumented(&mut command, OPTIMIZED_MODULE);
        process::run_ok("building the module for the fuzz targets", &mut command)?;
        let module = in_debug(&toolchain.target().join(wasm::TARGET), "larder_plugin.wasm");
        Ok(Self { module: Some(module), ..self })
    }

    /// All targets.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let list = process::stdout(Command::new(&self.program).env("LARDER_FUZZ_TARGET", "--list"))?;
        serde_json::from_str(&list).context("the list of targets does not read")
    }

    /// The program for a target; libFuzzer's arguments follow.
    pub fn command(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(paths::root()).env("LARDER_FUZZ_TARGET", &target.name);
        if let Some(module) = self.module.as_ref().filter(|_| target.needs_module) {
            // libFuzzer makes inputs longer as thousands of shorter ones find nothing new; at some hundred a second it would stay at a few
            // bytes, which are a callback or two.
            command.env("LARDER_WASM", module).arg("-len_control=0");
        }
        command.arg(format!("-max_len={}", target.bytes_max)).args([
            "-timeout=120",
            "-rss_limit_mb=4096",
            "-use_value_profile=0",
        ]);
        command
    }
}

/// Has cargo put counters into what `fuzz/rustc.sh` names. Cargo keeps the work of such a wrapper apart from that of the plain compiler, so
/// that neither throws away the other's; crates that are not ours do not go through it.
fn instrumented(command: &mut Command, optimized: &[(&str, u8)]) {
    command.env("RUSTC_WORKSPACE_WRAPPER", paths::root().join("fuzz/rustc.sh")).env("CARGO_INCREMENTAL", "0");
    for (package, level) in optimized {
        command.args(["--config", &format!("profile.dev.package.{package}.opt-level={level}")]);
    }
}

fn in_debug(target: &Path, name: &str) -> PathBuf {
    target.join("debug").join(name)
}
