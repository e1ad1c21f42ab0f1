//! The program with libFuzzer and all targets, and the module with counters, in a target folder of their own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Target;
use crate::cargo::cargo;
use crate::setup::wasm::{self, Toolchain};
use crate::{build, paths, process};

/// What is built.
pub struct Built {
    program: PathBuf,
    module: Option<PathBuf>,
}

/// Instrumented crates are others than those that tests use.
fn folder() -> PathBuf {
    paths::target().join("fuzz")
}

/// Which crates get counters.
fn wrapper() -> PathBuf {
    paths::root().join("fuzz/rustc.sh")
}

impl Built {
    /// Builds the program.
    pub fn program() -> Result<Self> {
        let mut command = cargo();
        command
            .args(["build", "--locked", "--package", "larder-fuzz", "--bin", "larder-fuzz", "--features", "engine"])
            .args(["--profile", "fuzz"])
            .env("CARGO_TARGET_DIR", folder())
            .env("RUSTC_WRAPPER", wrapper())
            // As cargo-fuzz has it: some crates then check more of themselves.
            .env("RUSTFLAGS", "--cfg fuzzing");
        process::run_ok("building the fuzz targets", &mut command)?;
        Ok(Self { program: folder().join("fuzz/larder-fuzz"), module: None })
    }

    /// Builds the module, too: without LTO, with every check on, and with counters that the wasmtime host reads.
    pub fn with_module(self) -> Result<Self> {
        let (toolchain, _) = wasm::ensure().context("no compiler for wasm")?;
        let folder = match toolchain {
            Toolchain::Own => folder(),
            Toolchain::Debian { .. } => folder().join("debian"),
        };
        let mut command = toolchain.cargo();
        command
            .args(["build", "--locked", "--package", "larder-plugin", "--profile", "fuzz"])
            .args(toolchain.flags())
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTC_WRAPPER", wrapper())
            // The constructor of the counters tells the host where they are.
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
                format!("{} -Clink-arg=--allow-undefined", build::remapped()),
            );
        process::run_ok("building the module for the fuzz targets", &mut command)?;
        let module = folder.join(wasm::TARGET).join("fuzz/larder_plugin.wasm");
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
            command.env("LARDER_WASM", module);
        }
        command.arg(format!("-max_len={}", target.bytes_max)).args([
            "-timeout=120",
            "-rss_limit_mb=4096",
            "-use_value_profile=0",
        ]);
        command
    }
}
