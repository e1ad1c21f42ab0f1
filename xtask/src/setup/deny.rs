//! cargo-deny, which holds the dependencies against deny.toml. The user's, or one compiled into the cache folder.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{Report, runner};
use crate::paths;

const VERSION: &str = "0.20.2";

/// The program `cargo-deny`, installed if need be.
pub fn ensure() -> Result<(PathBuf, Report)> {
    if let Some(program) = paths::find_program("cargo-deny") {
        let detail = format!("{} (PATH)", program.display());
        return Ok((program, Report::found(detail)));
    }
    let root = paths::cache()?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    let detail = format!("cargo-deny {VERSION} at {}", program.display());
    if paths::is_executable(&program) {
        return Ok((program, Report::found(detail)));
    }
    runner::install("cargo-deny", VERSION, &root)?;
    if !paths::is_executable(&program) {
        bail!("cargo-deny {VERSION} brought no {}", program.display());
    }
    Ok((program, Report::installed(detail)))
}
