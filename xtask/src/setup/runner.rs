//! wasm-bindgen's test runner, which runs core's tests in wasm under Node. It must be of the very version that
//! Cargo.lock has, so it is installed by version into the cache folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Outcome, Report};
use crate::{cargo, paths, process};

/// The runner, installed if need be. `None` while Cargo.lock holds no wasm-bindgen.
pub fn ensure() -> Result<(Option<PathBuf>, Report)> {
    let lock = paths::root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let Some(version) = locked_version(&lock, "wasm-bindgen") else {
        return Ok((None, Report::new(Outcome::Skipped, "Cargo.lock holds no wasm-bindgen")));
    };
    if paths::find_program("node").is_none() {
        bail!("Node is missing: cargo xtask setup --only packages");
    }
    let root = paths::cache()?.join(format!("wasm-bindgen-{version}"));
    let runner = root.join("bin/wasm-bindgen-test-runner");
    let detail = format!("wasm-bindgen-test-runner {version} at {}", runner.display());
    if paths::is_executable(&runner) {
        return Ok((Some(runner), Report::found(detail)));
    }
    install("wasm-bindgen-cli", version, &root)?;
    if !paths::is_executable(&runner) {
        bail!("wasm-bindgen-cli {version} brought no {}", runner.display());
    }
    Ok((Some(runner), Report::installed(detail)))
}

/// `cargo install` into a folder of our own, compiled fast rather than to be fast.
pub fn install(name: &str, version: &str, root: &Path) -> Result<()> {
    super::progress(&format!("compiling {name} {version}, some minutes, once for each version"));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo::clean(&mut command);
    command
        .args(["install", name, "--version", version, "--no-default-features", "--root"])
        .arg(root)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // Not beside our own build: cargo then uses a temporary folder and removes it.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    let log = paths::scratch(&format!("install-{name}.log"));
    let (status, _) = process::capture(&mut command, &log)?;
    if !status.success() {
        bail!("cargo install {name} --version {version} failed. {}", process::tail(&log));
    }
    Ok(())
}

/// The version of a package in the text of a Cargo.lock.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_the_one_of_that_very_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-test\"\nversion = \"0.3.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
