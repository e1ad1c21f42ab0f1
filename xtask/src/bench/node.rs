//! What the benches of the cluster share: a node as a process, and Envoys that run envoy/cluster.yaml, with Larder or without.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::envoy::{Envoy, Launch, pinned};
use crate::node::Node;
use crate::{cargo, paths, process};

const READY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Builds the `larder` binary and says where it is.
pub fn build() -> Result<PathBuf> {
    let mut command = cargo::cargo();
    command.args(["build", "--locked", "--release", "--package", "larder"]);
    process::run_ok("building the larder binary", &mut command)?;
    Ok(paths::target().join("release/larder"))
}

/// Starts a node with its store in memory and one thread, on a processor core if one is given.
pub fn start(binary: &Path, name: &str, folder: &Path, core: Option<usize>) -> Result<Node> {
    start_with(binary, name, folder, core, &[])
}

/// The same with further options.
pub fn start_with(binary: &Path, name: &str, folder: &Path, core: Option<usize>, options: &[&str]) -> Result<Node> {
    let mut command = pinned(binary, core);
    command.args(["node", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--store", "memory:"]);
    command.args(["--threads", "1", "--json"]).args(options);
    Node::spawn(name, &mut command, &folder.join(format!("{name}.log")))
}

/// What Larder is told beside its policy.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Members of the object `cluster`, beside its name.
    pub cluster: &'a str,
    /// Members beside `cluster` and `policy`.
    pub others: &'a str,
}

/// Where Envoys of a bench run, and whom they ask.
#[derive(Debug)]
pub struct Place<'a> {
    /// Envoy's binary.
    pub envoy: &'a Path,
    /// The module.
    pub module: &'a Path,
    /// Larder's policy.
    pub policy: &'a str,
    /// Where files are written.
    pub folder: &'a Path,
    /// The origin's port.
    pub origin: u16,
    /// The nodes' ports.
    pub nodes: &'a [u16],
    /// The processor core to stay on.
    pub core: Option<usize>,
    /// Worker threads.
    pub workers: u32,
}

impl Place<'_> {
    /// Starts an Envoy; without settings it is one without Larder. Returns when it may ask the node.
    pub fn start(&self, name: &str, settings: Option<Settings<'_>>) -> Result<Envoy> {
        let file = paths::root().join("envoy/cluster.yaml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let template = match settings {
            Some(settings) => with_settings(&text, settings),
            None => without_larder(&text),
        };
        let template = template.with_context(|| format!("{} is not what it was", file.display()))?;
        let endpoint = |node: &u16| {
            format!("{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {node} }} }} }} }}")
        };
        let endpoints: Vec<String> = self.nodes.iter().map(endpoint).collect();
        let values = BTreeMap::from([
            ("NODES", endpoints.join(", ")),
            ("LARDER_WASM", self.module.display().to_string()),
            ("ORIGIN_PORT", self.origin.to_string()),
            ("POLICY", self.policy.to_owned()),
        ]);
        let Self { envoy: binary, folder, core, workers, .. } = *self;
        let launch = Launch { name, binary, template: &template, values, folder, core, workers, epoch: None };
        let envoy = launch.start().with_context(|| format!("the Envoy {name} does not start"))?;
        let deadline = Instant::now() + READY_WITHIN;
        while envoy.stat("cluster.larder_nodes.membership_healthy")? < self.nodes.len() as u64 {
            ensure!(Instant::now() < deadline, "the Envoy {name} does not find its nodes healthy");
            thread::sleep(POLL);
        }
        Ok(envoy)
    }
}

const CLUSTER: &str = r#"{ "name": "larder_nodes", "reroute_above": "64KiB" },"#;

fn with_settings(template: &str, settings: Settings<'_>) -> Result<String> {
    ensure!(template.contains(CLUSTER), "no {CLUSTER}");
    let Settings { cluster, others } = settings;
    let comma = |text: &str| if text.is_empty() { String::new() } else { format!(", {text}") };
    let told = format!(r#"{{ "name": "larder_nodes"{} }}{},"#, comma(cluster), comma(others));
    Ok(template.replace(CLUSTER, &told))
}

fn without_larder(template: &str) -> Result<String> {
    let cut = || {
        let (before, rest) = template.split_once("          # larder begins\n")?;
        let (_, after) = rest.split_once("          # larder ends\n")?;
        Some(format!("{before}{after}"))
    };
    let Some(text) = cut() else { bail!("no lines \"larder begins\" and \"larder ends\"") };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_that_we_ship_can_be_varied() {
        let text = fs::read_to_string(paths::root().join("envoy/cluster.yaml")).unwrap();
        let settings = Settings { cluster: r#""reroute_above": "1B""#, others: r#""l1_bytes": "0B""# };
        let varied = with_settings(&text, settings).unwrap();
        let told = r#""cluster": { "name": "larder_nodes", "reroute_above": "1B" }, "l1_bytes": "0B","#;
        assert!(varied.contains(told), "{varied}");
        let plain = with_settings(&text, Settings { cluster: "", others: "" }).unwrap();
        assert!(plain.contains(r#""cluster": { "name": "larder_nodes" },"#), "{plain}");
        let without = without_larder(&text).unwrap();
        assert!(!without.contains("wasm.v3") && without.contains("router.v3") && without.contains("larder_nodes"));
        assert!(without_larder("").is_err() && with_settings("", settings).is_err());
    }
}
