//! The sources of every crate in Cargo.lock, for all targets. Builds fetch what they need; `cargo metadata` and cargo-deny
//! without a network need the rest as well.

use anyhow::Result;

use super::Report;
use crate::cargo::cargo;
use crate::process;

/// Sees to it that all sources are in cargo's cache.
pub fn ensure() -> Result<Report> {
    let offline = process::stdout(cargo().args(["fetch", "--locked", "--offline", "--quiet"]));
    if offline.is_ok() {
        return Ok(Report::found("all sources of Cargo.lock are in cargo's cache"));
    }
    super::progress("fetching the sources of all crates in Cargo.lock");
    process::run_ok("fetching crates (is crates.io within reach?)", cargo().args(["fetch", "--locked", "--quiet"]))?;
    Ok(Report::installed("fetched the sources of Cargo.lock"))
}
