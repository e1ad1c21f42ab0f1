//! What holds the files under deploy/ against their schemas: tools from PyPI and npm that carry the schemas of Kubernetes, Istio,
//! Compose and CycloneDX, in the cache folder. Nobody publishes Envoy Gateway's there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Report;
use crate::{paths, process};

/// Read YAML, hold it against the schemas of Compose and Kubernetes, and SBOMs against CycloneDX's.
const PYTHON: &[&str] = &[
    "check-jsonschema==0.39.0",
    "kubernetes-validate==1.37.0",
    "PyYAML==6.0.4",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];
/// Istio's resources.
const NPM: &[&str] = &["@kubernetes-models/istio@3.0.1"];

/// The tools, installed.
#[derive(Clone, Debug)]
pub struct Schemas {
    python: PathBuf,
    npm: PathBuf,
}

/// Sees to it that the tools are there.
pub fn ensure() -> Result<(Schemas, Report)> {
    let cache = paths::cache()?;
    let schemas =
        Schemas { python: cache.join(folder("schemas-python", PYTHON)), npm: cache.join(folder("schemas-npm", NPM)) };
    let detail = "schemas of Kubernetes, Istio, Compose, CycloneDX";
    if schemas.python.is_dir() && schemas.npm.is_dir() {
        return Ok((schemas, Report::found(detail)));
    }
    super::progress("fetching schemas and what reads them from PyPI and npm (about 80 MB)");
    install(&schemas.python, |partial| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--no-compile", "--no-cache-dir", "--only-binary", ":all:", "--target"]);
        pip.arg(partial).args(PYTHON);
        pip
    })?;
    install(&schemas.npm, |partial| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(partial).args(NPM);
        npm
    })?;
    Ok((schemas, Report::installed(detail)))
}

/// Other versions, another folder.
fn folder(name: &str, packages: &[&str]) -> String {
    let versions: Vec<&str> = packages.iter().filter_map(|package| package.rsplit(['=', '@']).next()).collect();
    format!("{name}-{}", versions.join("-"))
}

/// Whoever sees the folder sees all of it.
fn install(folder: &Path, command: impl FnOnce(&Path) -> Command) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    let log = paths::scratch("schemas.log");
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut command = command(&partial);
    let done = process::capture(&mut command, &log).and_then(|(status, _)| {
        if !status.success() {
            bail!("{} failed ({status}). {}", process::line(&command), process::tail(&log));
        }
        fs::rename(&partial, folder).with_context(|| format!("cannot write {}", folder.display()))
    });
    let _ = fs::remove_dir_all(&partial);
    done
}

impl Schemas {
    /// A Python that finds the tools.
    pub fn python(&self) -> Command {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &self.python).env("PYTHONDONTWRITEBYTECODE", "1");
        python
    }

    /// A Node that runs a script of deploy's, with the folder of the npm packages as its first argument.
    pub fn node(&self, script: &str) -> Command {
        let mut node = Command::new(if paths::find_program("node").is_some() { "node" } else { "nodejs" });
        node.args(["--no-warnings", "--input-type=module", "--eval", script, "--"]);
        node.arg(self.npm.join("node_modules"))
            .env("LC_ALL", env::var_os("LC_ALL").unwrap_or_else(|| "C.UTF-8".into()));
        node
    }
}
