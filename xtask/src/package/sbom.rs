//! Bills of materials in the form of CycloneDX 1.5: each crate in the command and in the module, with licence, digest and what depends on
//! what, as cargo has resolved it for what was compiled.
//!
//! Made from cargo's own answers: cargo-cyclonedx takes minutes to compile, writes beside every Cargo.toml, and puts this machine's
//! paths into what it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Inputs, binary, read, write};
use crate::cargo::{Metadata, Package, cargo};
use crate::{paths, process};

/// Writes a bill for the command and one for the module.
pub fn make(inputs: &Inputs, out: &Path) -> Result<Vec<PathBuf>> {
    let target = binary::target()?;
    let mut files = Vec::new();
    for (package, target, file) in [
        ("larder", target.as_str(), "larder.cdx.json"),
        ("larder-plugin", "wasm32-unknown-unknown", "larder.wasm.cdx.json"),
    ] {
        let bill = bill(inputs, package, target)?;
        let path = out.join(file);
        write(&path, format!("{}\n", serde_json::to_string_pretty(&bill).context("cannot write JSON")?).as_bytes())?;
        files.push(path);
    }
    Ok(files)
}

/// Seconds since 1970 as RFC 3339 has them.
pub fn timestamp(epoch: u64) -> Result<String> {
    let text =
        process::stdout(Command::new("date").args(["--utc", "--date", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"]))?;
    Ok(text.trim().to_owned())
}

fn bill(inputs: &Inputs, name: &str, target: &str) -> Result<Value> {
    let metadata = metadata(target)?;
    let compiled = compiled(name, target)?;
    let digests = digests(&String::from_utf8_lossy(&read(&paths::root().join("Cargo.lock"))?));
    let root = metadata.members().find(|package| package.name == name).with_context(|| format!("no package {name}"))?;
    let packages: BTreeMap<&str, &Package> = metadata
        .packages
        .iter()
        .filter(|package| compiled.contains(&(package.name.clone(), package.version.clone())))
        .map(|package| (package.id.as_str(), package))
        .collect();
    ensure!(packages.len() == compiled.len(), "cargo tree and cargo metadata disagree about {name}");
    let components = packages
        .values()
        .filter(|package| package.id != root.id)
        .map(|package| component(package, "library", &digests));
    let dependencies =
        metadata.resolve.nodes.iter().filter(|node| packages.contains_key(node.id.as_str())).map(|node| {
            let is_compiled =
                |edge: &&crate::cargo::Edge| edge.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
            let on: BTreeSet<String> = node
                .deps
                .iter()
                .filter(is_compiled)
                .filter_map(|edge| packages.get(edge.pkg.as_str()))
                .map(|package| purl(package))
                .collect();
            (packages.get(node.id.as_str()).map(|package| purl(package)), on)
        });
    let dependencies: BTreeMap<String, BTreeSet<String>> =
        dependencies.filter_map(|(package, on)| Some((package?, on))).collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": timestamp(inputs.epoch)?,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask package", "version": inputs.version }] },
            "component": component(root, "application", &digests),
            "properties": [{ "name": "larder:target", "value": target }],
        },
        "components": components.collect::<Vec<Value>>(),
        "dependencies": dependencies
            .into_iter()
            .map(|(package, on)| json!({ "ref": package, "dependsOn": on }))
            .collect::<Vec<Value>>(),
    }))
}

fn component(package: &Package, kind: &str, digests: &BTreeMap<(String, String), String>) -> Value {
    let purl = purl(package);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    });
    if let Some(license) = &package.license {
        // Cargo's old way of writing "or".
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(digest) = digests.get(&(package.name.clone(), package.version.clone())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": digest }]);
    }
    if let Some(repository) = package.repository.as_deref().filter(|url| url.starts_with("https://")) {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

fn purl(package: &Package) -> String {
    // `+` stands for itself in a version, and is written out in a package URL.
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

fn metadata(target: &str) -> Result<Metadata> {
    let words = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
    let text = process::stdout(cargo().args(words))?;
    serde_json::from_str(&text).context("cargo metadata prints something else than expected")
}

/// Names and versions of what is compiled for a package: cargo metadata knows features of the whole workspace only.
fn compiled(package: &str, target: &str) -> Result<BTreeSet<(String, String)>> {
    let words = ["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let text = process::stdout(cargo().args(words).args(["--package", package, "--target", target]))?;
    let parse = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// SHA-256 of each crate, from the text of a Cargo.lock.
fn digests(lock: &str) -> BTreeMap<(String, String), String> {
    let mut digests = BTreeMap::new();
    for block in lock.split("[[package]]") {
        let value = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
            line.strip_suffix('"').map(str::to_owned)
        };
        if let (Some(name), Some(version), Some(digest)) = (value("name"), value("version"), value("checksum")) {
            digests.insert((name, version), digest);
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_belong_to_a_name_and_a_version() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"77\"\n";
        let expected = BTreeMap::from([(("b".to_owned(), "2.0.0".to_owned()), "77".to_owned())]);
        assert_eq!(digests(lock), expected);
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(timestamp(0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_764_000_000).unwrap(), "2025-11-24T16:00:00Z");
    }
}
