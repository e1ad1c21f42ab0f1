//! policies/schema.json is what core's example `schema` prints: the JSON Schema of the policy types.
//! Knows the two places; what is in the schema is core's business.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Finding;
use crate::cargo::{NATIVE, cargo};
use crate::{paths, process};

const FILE: &str = "policies/schema.json";
const EXAMPLE: &str = "core/examples/schema.rs";

/// A finding if the file is not what the types say. Nothing to hold against while there is no such example.
pub fn check() -> Result<Option<Finding>> {
    if !paths::root().join(EXAMPLE).exists() {
        return Ok(None);
    }
    let finding = |message: String| Some(Finding { file: PathBuf::from(FILE), line: 1, message });
    let printed = match print() {
        Ok(printed) => printed,
        Err(error) => return Ok(finding(format!("cannot be compared with the types: {error:#}"))),
    };
    let stored = fs::read_to_string(paths::root().join(FILE)).unwrap_or_default();
    if stored == printed {
        return Ok(None);
    }
    Ok(finding("is not what the policy types say: run cargo xtask tidy --fix".to_owned()))
}

/// Writes the file anew.
pub fn write() -> Result<()> {
    if paths::root().join(EXAMPLE).exists() {
        fs::write(paths::root().join(FILE), print()?).with_context(|| format!("cannot write {FILE}"))?;
    }
    Ok(())
}

fn print() -> Result<String> {
    let mut build = cargo();
    // The same packages as in the test steps, so that their dependencies are compiled once.
    build.arg("build").args(NATIVE).args(["--features", "larder-core/schema", "--example", "schema"]);
    let log = paths::scratch("schema.log");
    let (status, _) = process::capture(&mut build, &log)?;
    anyhow::ensure!(status.success(), "{EXAMPLE} does not build. {}", process::tail(&log));
    process::stdout(&mut Command::new(paths::target().join("debug/examples/schema")))
}
