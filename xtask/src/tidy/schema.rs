//! policies/schema.json and policies/test-schema.json are what core's example `schema` prints: the JSON Schemas of policies and of their
//! test cases. Knows the places; what is in the schemas is core's business.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Finding;
use crate::cargo::{NATIVE, cargo};
use crate::{paths, process};

/// Files, and what the example is asked for.
const FILES: [(&str, &str); 2] = [("policies/schema.json", "policies"), ("policies/test-schema.json", "tests")];
const EXAMPLE: &str = "core/examples/schema.rs";

/// A finding for each file that is not what the types say. Nothing to hold against while there is no such example.
pub fn check() -> Result<Vec<Finding>> {
    if !paths::root().join(EXAMPLE).exists() {
        return Ok(Vec::new());
    }
    let finding = |file: &str, message: String| Finding { file: PathBuf::from(file), line: 1, message };
    let example = match example() {
        Ok(example) => example,
        Err(error) => {
            let (file, _) = FILES[0];
            return Ok(vec![finding(file, format!("cannot be compared with the types: {error:#}"))]);
        }
    };
    let mut findings = Vec::new();
    for (file, what) in FILES {
        let stored = fs::read_to_string(paths::root().join(file)).unwrap_or_default();
        if stored != print(&example, what)? {
            findings.push(finding(file, "is not what the types say: run cargo xtask tidy --fix".to_owned()));
        }
    }
    Ok(findings)
}

/// Writes the files anew.
pub fn write() -> Result<()> {
    if !paths::root().join(EXAMPLE).exists() {
        return Ok(());
    }
    let example = example()?;
    for (file, what) in FILES {
        fs::write(paths::root().join(file), print(&example, what)?).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

/// Builds the example.
fn example() -> Result<PathBuf> {
    let mut build = cargo();
    // The same packages as in the test steps, so that their dependencies are compiled once.
    build.arg("build").args(NATIVE).args(["--features", "larder-core/schema", "--example", "schema"]);
    let log = paths::scratch("schema.log");
    let (status, _) = process::capture(&mut build, &log)?;
    anyhow::ensure!(status.success(), "{EXAMPLE} does not build. {}", process::tail(&log));
    Ok(paths::target().join("debug/examples/schema"))
}

fn print(example: &Path, what: &str) -> Result<String> {
    process::stdout(Command::new(example).arg(what))
}
