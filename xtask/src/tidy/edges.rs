//! Which of our crates may know which, and what core must never reach. The tables below are the design's arrows:
//! a new edge is a decision and a line here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::Finding;
use crate::cargo::{Metadata, Package};
use crate::paths;

const CORE: &str = "larder-core";
const NODE: &str = "larder-node";
const ORIGIN: &str = "larder-origin";
const HOST_TESTS: &str = "larder-host-tests";

/// Every crate of the workspace and those of ours that it may depend on (in tests, too).
const EDGES: &[(&str, &[&str])] = &[
    (CORE, &[]),
    ("larder-plugin", &[CORE]),
    (NODE, &[CORE]),
    (ORIGIN, &[CORE, NODE]),
    // `larder test` runs policies' test cases in host-tests' wasmtime host.
    ("larder", &[CORE, NODE, ORIGIN, HOST_TESTS]),
    (HOST_TESTS, &[CORE, NODE, ORIGIN]),
    ("larder-probe", &[]),
    // Its tests need a real node, and what one keeps.
    ("shop-api", &[CORE, NODE, ORIGIN]),
    ("larder-bench-origin", &[ORIGIN]),
    // What reads bytes in each of them.
    ("larder-fuzz", &[CORE, NODE, HOST_TESTS]),
    ("xtask", &[]),
];

/// What core must not reach, not even by a dependency's dependency: it does no I/O, has no clock and no host.
const NOT_IN_CORE: &[&str] =
    &["getrandom", "hyper", "mio", "proxy-wasm", "rand", "reqwest", "socket2", "tokio", "tower", "ureq"];

/// Holds the workspace's dependencies against the tables.
pub fn check(metadata: &Metadata) -> Vec<Finding> {
    let ours: HashSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut findings: Vec<Finding> = metadata.members().flat_map(|package| strange_edges(package, &ours)).collect();
    if let Some(core) = metadata.members().find(|package| package.name == CORE) {
        findings.extend(reached_from_core(metadata, core));
    }
    findings
}

fn strange_edges(package: &Package, ours: &HashSet<&str>) -> Vec<Finding> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
        let message =
            format!("{} is a new crate: say in xtask/src/tidy/edges.rs which of ours it may depend on", package.name);
        return vec![finding(package, &package.name, message)];
    };
    let strange = |name: &&str| ours.contains(name) && !allowed.contains(name) && *name != package.name;
    let edges = package.dependencies.iter().map(|dependency| dependency.name.as_str()).filter(strange);
    edges
        .map(|name| {
            let message = format!(
                "{} must not depend on {name}; if it must, change the design and xtask/src/tidy/edges.rs",
                package.name
            );
            finding(package, name, message)
        })
        .collect()
}

/// Crates from the table that a build of core needs, each with the way that leads there.
fn reached_from_core(metadata: &Metadata, core: &Package) -> Vec<Finding> {
    let names: HashMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let nodes: HashMap<&str, _> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut ways: HashMap<&str, Vec<&str>> = HashMap::from([(core.id.as_str(), vec![CORE])]);
    let mut queue = VecDeque::from([core.id.as_str()]);
    let mut findings = Vec::new();
    while let Some(id) = queue.pop_front() {
        let way = ways.get(id).cloned().unwrap_or_default();
        let edges = nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default();
        // The dependencies of core's tests do not end up in any product.
        for edge in
            edges.iter().filter(|edge| edge.dep_kinds.iter().any(|reason| reason.kind.as_deref() != Some("dev")))
        {
            let id = edge.pkg.as_str();
            if ways.contains_key(id) {
                continue;
            }
            let name = names.get(id).copied().unwrap_or(id);
            let way = [way.as_slice(), &[name]].concat();
            if NOT_IN_CORE.contains(&name) {
                let message =
                    format!("{}: core must do without {name}; drop the dependency or its feature", way.join(" -> "));
                findings.push(finding(core, way.get(1).copied().unwrap_or(name), message));
            }
            ways.insert(id, way);
            queue.push_back(id);
        }
    }
    findings
}

/// A finding in a package's Cargo.toml, at the line that begins with `name`.
fn finding(package: &Package, name: &str, message: String) -> Finding {
    let text = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
    let line = text.lines().position(|line| line.starts_with(name)).map_or(1, |index| index + 1);
    Finding { file: relative(&package.manifest_path), line, message }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(paths::root()).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A graph from `package: dependency dependency?`, where `?` marks a dependency of tests.
    fn check_graph(graph: &[(&str, &str)]) -> Vec<String> {
        let bare = |name: &str| name.trim_end_matches('?').to_owned();
        let packages: Vec<_> = graph
            .iter()
            .map(|(name, deps)| {
                let deps: Vec<_> = deps.split_whitespace().map(|name| json!({"name": bare(name)})).collect();
                let manifest = format!("{name}/Cargo.toml");
                json!({"id": name, "name": name, "version": "1.0.0", "manifest_path": manifest, "dependencies": deps})
            })
            .collect();
        let nodes: Vec<_> = graph
            .iter()
            .map(|(name, deps)| {
                let kind = |name: &str| if name.ends_with('?') { json!("dev") } else { json!(null) };
                let deps = deps.split_whitespace();
                let deps: Vec<_> =
                    deps.map(|name| json!({"pkg": bare(name), "dep_kinds": [{"kind": kind(name)}]})).collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        let members: Vec<_> =
            graph.iter().map(|(name, _)| *name).filter(|name| name.starts_with("larder") || *name == "xtask").collect();
        let metadata = json!({"packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}});
        check(&serde_json::from_value(metadata).unwrap()).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn edges_along_the_arrows_pass() {
        let graph = [
            ("larder-core", "sha2"),
            ("sha2", ""),
            ("larder-plugin", "larder-core proxy-wasm"),
            ("proxy-wasm", ""),
            ("xtask", ""),
        ];
        assert_eq!(check_graph(&graph), Vec::<String>::new());
    }

    #[test]
    fn an_edge_against_the_arrows_is_found_even_in_tests() {
        let found = check_graph(&[("larder-core", ""), ("xtask", "larder-core?")]);
        assert!(
            matches!(found.as_slice(), [only] if only.starts_with("xtask must not depend on larder-core")),
            "{found:?}"
        );
    }

    #[test]
    fn what_core_must_not_reach_is_found_with_the_way_there() {
        let found = check_graph(&[
            ("larder-core", "cache insta?"),
            ("cache", "tokio"),
            ("tokio", ""),
            ("insta", "rand"),
            ("rand", ""),
        ]);
        assert!(matches!(found.as_slice(), [only] if only.starts_with("larder-core -> cache -> tokio: ")), "{found:?}");
    }

    #[test]
    fn a_new_crate_needs_a_line_in_the_table() {
        let found = check_graph(&[("larder-core", ""), ("larder-extra", "")]);
        assert!(matches!(found.as_slice(), [only] if only.starts_with("larder-extra is a new crate")), "{found:?}");
    }
}
