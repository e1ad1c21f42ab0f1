//! The dashboard's page: its tools by npm, as its lock file has them, and what is built of it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process};

/// `npm` in the dashboard's folder.
pub fn npm(words: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(words).current_dir(paths::root().join("dashboard"));
    npm
}

/// Brings the tools. Nothing that comes with them is run.
pub fn install() -> Command {
    npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
}

/// Runs the page's tests; those whose name matches, where there is a filter. As `npm test` does, which takes no filter.
pub fn tests(filter: Option<&str>) -> Result<Command> {
    let dashboard = paths::root().join("dashboard");
    let mut node = Command::new("node");
    node.arg("--test").args(filter.map(|filter| format!("--test-name-pattern={filter}")));
    for entry in fs::read_dir(dashboard.join("tests")).context("the dashboard has no tests")? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            node.arg(path);
        }
    }
    node.current_dir(dashboard);
    Ok(node)
}

/// Builds `dashboard/dist`, which the node has in its binary, where npm is there. Says whether it was; it is checked in, so that
/// nobody needs npm to build a node.
pub fn build() -> Result<bool> {
    if paths::find_program("npm").is_none() {
        return Ok(false);
    }
    let dashboard = paths::root().join("dashboard");
    // What npm has installed, it says in this file; the lock file newer than that means that something is missing.
    let changed = |name: &str| dashboard.join(name).metadata().and_then(|about| about.modified());
    let is_installed = changed("node_modules/.package-lock.json")
        .is_ok_and(|installed| changed("package-lock.json").is_ok_and(|wanted| wanted <= installed));
    if !is_installed {
        quietly(&mut install())?;
    }
    quietly(&mut npm(&["run", "build"]))?;
    Ok(true)
}

/// Runs npm, whose output is of interest where it fails.
fn quietly(npm: &mut Command) -> Result<()> {
    let log = paths::scratch("npm.log");
    let (status, _) = process::capture(npm, &log)?;
    if !status.success() {
        bail!("{} failed ({status}). {}", process::line(npm), process::tail(&log));
    }
    Ok(())
}
