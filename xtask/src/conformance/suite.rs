//! The suite's files, its origin, and a run of its client. Installs with npm what conformance/package-lock.json locks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::process::{self, Service};
use crate::{paths, ports};

const ORIGIN_WITHIN: Duration = Duration::from_secs(30);
const RUN_WITHIN: Duration = Duration::from_secs(300);

/// The suite on this machine.
#[derive(Debug)]
pub struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// The release in the lock file, installed below `scratch`.
    pub fn installed(scratch: &Path) -> Result<Self> {
        let home = scratch.join("npm");
        let folder = home.join("node_modules/http-cache-tests");
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        let source = paths::root().join("conformance");
        let mut same = folder.join("package.json").exists();
        for name in ["package.json", "package-lock.json"] {
            let wanted = fs::read(source.join(name)).with_context(|| format!("conformance/{name} is missing"))?;
            let file = home.join(name);
            same &= fs::read(&file).is_ok_and(|found| found == wanted);
            fs::write(&file, wanted).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if !same {
            eprintln!("... installing the test suite from npm");
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home);
            let log = scratch.join("npm.log");
            let (status, _) = process::capture(&mut npm, &log).context("npm is needed: cargo xtask setup")?;
            if !status.success() {
                // Half an installation must not look like a whole one the next time.
                let _ = fs::remove_file(home.join("package-lock.json"));
                bail!("npm cannot install the test suite ({status}). {}", process::tail(&log));
            }
        }
        Self::checkout(&folder)
    }

    /// A folder with the suite's files.
    pub fn checkout(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder).context("no path to the suite")?;
        ensure!(folder.join("tests/index.mjs").exists(), "{} is not the test suite", folder.display());
        Ok(Self { folder })
    }

    /// Has the suite's client send everything (or one test) to a port of this machine.
    pub fn run(&self, port: u16, scratch: &Path, id: Option<&str>) -> Result<Outcome> {
        let output = scratch.join("outcome.json");
        let _ = fs::remove_file(&output);
        let mut node = Command::new("node");
        node.arg("--no-warnings").arg(paths::root().join("conformance/suite.mjs")).arg(&self.folder);
        node.arg(format!("http://127.0.0.1:{port}")).arg(&output).args(id);
        // The client looks at npm's variables; they have been given as arguments.
        node.current_dir(&self.folder).env("npm_config_id", "").env("npm_package_config_id", "");
        let log = scratch.join("client.log");
        let (status, text) = process::capture_within(&mut node, &log, RUN_WITHIN).context("the suite's client")?;
        if id.is_some() {
            print!("{text}");
        }
        ensure!(status.success(), "the suite's client fails ({status}). {}", process::tail(&log));
        let text = fs::read_to_string(&output).context("the suite's client wrote no results")?;
        serde_json::from_str(&text).context("the suite's client wrote something else than results")
    }
}

/// The suite's origin server.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub port: u16,
    _service: Service,
}

impl Origin {
    /// Starts it and waits until it answers.
    pub fn start(suite: &Suite, scratch: &Path) -> Result<Self> {
        let port = ports::free()?;
        let moved = suite.folder.join("test-engine").exists();
        let script = if moved { "test-engine/server/server.mjs" } else { "server/server.mjs" };
        let mut node = Command::new("node");
        node.arg(script).current_dir(&suite.folder);
        node.env("npm_config_protocol", "http").env("npm_config_port", port.to_string());
        node.env("npm_config_pidfile", scratch.join("origin.pid"));
        let mut service = Service::spawn("the suite's origin", &mut node, &scratch.join("origin.log"))
            .context("Node.js is needed: cargo xtask setup")?;
        service.wait_for_port(port, ORIGIN_WITHIN)?;
        Ok(Self { port, _service: service })
    }
}

/// What the suite asked and what came out.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// The tests, as the suite groups them.
    pub groups: Vec<Group>,
    /// `true`, or the kind of failure and its message, by test.
    results: BTreeMap<String, Value>,
}

/// A group of tests.
#[derive(Debug, Deserialize)]
pub struct Group {
    /// Its name for people.
    pub name: String,
    /// Its tests.
    pub tests: Vec<Test>,
}

/// A test.
#[derive(Debug, Deserialize)]
pub struct Test {
    /// Its name for machines.
    pub id: String,
    /// What a failure means.
    pub kind: Kind,
    /// Tests that have to pass for this one to mean anything.
    depends_on: Vec<String>,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A requirement of the RFCs is not met.
    Required,
    /// A better cache would do more.
    Optimal,
    /// Nothing: both answers are allowed.
    Check,
}

impl Outcome {
    /// Why a test did not pass; `None` where it did.
    pub fn failure(&self, test: &Test) -> Option<String> {
        let (kind, message) = match self.results.get(&test.id) {
            Some(Value::Bool(true)) => return None,
            Some(Value::Array(parts)) => {
                let part = |index: usize| parts.get(index).and_then(Value::as_str).unwrap_or_default();
                (part(0), part(1))
            }
            _ => ("not run", ""),
        };
        let told = match kind {
            "Assertion" => message.to_owned(),
            "Setup" => format!("while preparing: {message}"),
            other => format!("{other}: {message}"),
        };
        let first = told.lines().next().unwrap_or_default();
        let depends = test.depends_on.iter().find(|id| self.results.get(*id).is_some_and(|found| *found != true));
        Some(depends.map_or_else(|| first.to_owned(), |id| format!("{first} ({id} does not pass either)")))
    }

    /// All tests.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.groups.iter().flat_map(|group| &group.tests)
    }

    /// The results in the suite's own format.
    pub fn json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(&self.results).context("cannot write JSON")?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn outcome(results: &str) -> Outcome {
        let test = |id: &str, kind: &str, depends: &str| {
            format!(r#"{{"id":"{id}","name":"","kind":"{kind}","depends_on":[{depends}]}}"#)
        };
        let tests = [
            test("a", "required", ""),
            test("b", "optimal", "\"a\""),
            test("c", "check", ""),
            test("d", "required", ""),
        ];
        let text =
            format!(r#"{{"groups":[{{"id":"g","name":"Group","tests":[{}]}}],"results":{results}}}"#, tests.join(","));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn failures_say_what_kind_they_are_of() {
        let outcome =
            outcome(r#"{"a":["Setup","no 201"],"b":["Assertion","Response 2 comes from cache\nand more"],"c":true}"#);
        let failures: Vec<Option<String>> = outcome.tests().map(|test| outcome.failure(test)).collect();
        assert_eq!(failures[0].as_deref(), Some("while preparing: no 201"));
        assert_eq!(failures[1].as_deref(), Some("Response 2 comes from cache (a does not pass either)"));
        assert_eq!(failures[2], None);
        assert_eq!(failures[3].as_deref(), Some("not run: "));
    }
}
