//! Calls of cargo (the same one that runs us, without the variables that `cargo run` sets for us alone) and what it knows
//! about the workspace. Builds nothing.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{paths, process};

/// The packages for this machine: all but the two that are wasm modules, and the features of larder-origin that none of them turns on
/// by itself. Every native build and test selects exactly these, so that cargo finds the same features each time and compiles
/// nothing twice.
pub const NATIVE: &[&str] = &[
    "--locked",
    "--workspace",
    "--exclude",
    "larder-plugin",
    "--exclude",
    "larder-probe",
    "--features",
    "larder-origin/invalidator-tls,larder-origin/postgres,larder-origin/sqlite",
];

/// `cargo` in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    clean(&mut command);
    command
}

/// Takes away what `cargo run` told us about this package: passed on, it would make cargo rebuild crates that look at it.
pub fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(&name);
        }
    }
}

/// The workspace as `cargo metadata` tells it, with the whole graph of resolved dependencies.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// All packages of the graph.
    pub packages: Vec<Package>,
    /// The ids of our own.
    pub workspace_members: Vec<String>,
    /// The graph.
    pub resolve: Resolve,
}

/// A package of the graph.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Unique in the graph.
    pub id: String,
    /// As in its Cargo.toml.
    pub name: String,
    /// As in its Cargo.toml.
    pub version: String,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Where its sources are kept.
    pub repository: Option<String>,
    /// Where its Cargo.toml is.
    pub manifest_path: PathBuf,
    /// What its Cargo.toml asks for.
    pub dependencies: Vec<Dependency>,
}

/// A line of a `[dependencies]` table.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package asked for.
    pub name: String,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// One node for each package.
    pub nodes: Vec<Node>,
}

/// A package in the graph and its edges.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// The package's id.
    pub id: String,
    /// Its edges.
    pub deps: Vec<Edge>,
}

/// An edge of the graph.
#[derive(Debug, Deserialize)]
pub struct Edge {
    /// The id of the package depended on.
    pub pkg: String,
    /// Why: normal, for the build script, for tests.
    pub dep_kinds: Vec<EdgeKind>,
}

/// A reason for an edge.
#[derive(Debug, Deserialize)]
pub struct EdgeKind {
    /// `None` is a normal dependency, else `build` or `dev`.
    pub kind: Option<String>,
}

/// Asks cargo for the workspace's packages and their dependencies.
pub fn metadata() -> Result<Metadata> {
    let text = process::stdout(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).context("cargo metadata prints something else than expected")
}

impl Metadata {
    /// Our own packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}
