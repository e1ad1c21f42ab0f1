//! What the tour plays on: the shop API with a database of its own, Envoy with Larder in front of it, and a node of the cluster.
//! Starts, stops and counts; knows no requests of the tour.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::envoy::{Envoy, Launch};
use crate::process::Service;
use crate::{http, paths, ports};

const READY_WITHIN: Duration = Duration::from_secs(60);
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// What has been built and chosen.
#[derive(Debug)]
pub struct Parts {
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// The plugin.
    pub module: PathBuf,
    /// The shop API's binary.
    pub api: PathBuf,
    /// The `larder` command.
    pub larder: PathBuf,
    /// Where Envoy shall listen.
    pub port: Option<u16>,
}

/// Everything that runs. Stopped on drop.
#[derive(Debug)]
pub struct Stage {
    /// `None` while it is started anew.
    envoy: Option<Envoy>,
    /// Where Envoy listens, whichever one it is.
    port: u16,
    envoy_admin: u16,
    envoy_log: PathBuf,
    node: Node,
    parts: Parts,
    api: Option<Service>,
    api_port: u16,
    folder: PathBuf,
    /// Queries of API processes that have ended.
    queries_before: u64,
    /// Queries of the one that runs, as last read.
    queries: u64,
}

/// Where a person can look.
#[derive(Clone, Debug, Serialize)]
pub struct Urls {
    /// The shop through Envoy and Larder.
    pub shop: String,
    /// The shop API itself.
    pub api: String,
    /// Envoy's admin interface.
    pub admin: String,
    /// The node's admin plane.
    pub node: String,
    /// The dashboard.
    pub dashboard: String,
    /// The `larder` command.
    pub larder: PathBuf,
    /// The policy that is in force.
    pub policy: PathBuf,
}

/// A node of the cluster, in memory.
#[derive(Debug)]
struct Node {
    service: Service,
    data: u16,
    admin: u16,
}

impl Stage {
    /// Starts the API and a node, then Envoy.
    pub fn open(parts: Parts) -> Result<Self> {
        let folder = folder()?;
        let api_port = ports::free()?;
        let api = start_api(&parts.api, api_port, &folder)?;
        // The node is to warm through Envoy, so it has to know where that will be.
        let port = parts.port.map_or_else(ports::free, Ok)?;
        let node = start_node(&parts.larder, port, &folder)?;
        let envoy_log = folder.join("envoy.log");
        let mut stage = Self {
            envoy: None,
            port,
            envoy_admin: 0,
            envoy_log,
            node,
            parts,
            api: Some(api),
            api_port,
            folder,
            queries_before: 0,
            queries: 0,
        };
        stage.start_envoy()?;
        Ok(stage)
    }

    /// Starts Envoy, in place of the one that runs: its memory is empty, and it listens where the other did.
    pub fn start_envoy(&mut self) -> Result<()> {
        self.envoy = None;
        let root = paths::root();
        let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
        let socket = format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }}", self.node.data);
        let values = BTreeMap::from([
            ("LARDER_WASM", self.parts.module.display().to_string()),
            ("POLICY", read(policy())?),
            ("ORIGIN_PORT", self.api_port.to_string()),
            ("LISTEN_PORT", self.port.to_string()),
            ("NODES", format!("{{ endpoint: {{ address: {socket} }} }}")),
        ]);
        let template = read(root.join("envoy/cluster.yaml"))?;
        let launch = Launch {
            name: "envoy",
            binary: &self.parts.envoy,
            template: &template,
            values,
            folder: &self.folder,
            core: None,
            workers: 1,
            epoch: None,
        };
        let mut envoy =
            launch.start().with_context(|| format!("Envoy does not start (is port {} free?)", self.port))?;
        const HEALTHY: &str = "cluster.larder_nodes.membership_healthy";
        envoy.wait_until("the node to be found healthy", READY_WITHIN, |envoy| {
            envoy.stat(HEALTHY).is_ok_and(|n| n == 1)
        })?;
        (self.port, self.envoy_admin) = (envoy.port, envoy.admin);
        self.envoy = Some(envoy);
        Ok(())
    }

    /// Runs the `larder` command, which knows the node. Its exit code, and what it printed.
    pub fn larder(&self, words: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(&self.parts.larder);
        command
            .args(words)
            .env("LARDER_NODE", format!("http://127.0.0.1:{}", self.node.admin))
            .env_remove("LARDER_TOKEN");
        let (status, output) = crate::process::capture(&mut command, &self.folder.join("larder.log"))?;
        Ok((status.code(), output.trim().to_owned()))
    }

    /// What the node's admin plane says, as JSON.
    pub fn node(&self, target: &str) -> Result<serde_json::Value> {
        let text = http::text(self.node.admin, target)?;
        serde_json::from_str(&text).with_context(|| format!("{target} is no JSON"))
    }

    /// A file with the policy, changed in one place.
    pub fn changed(&self, name: &str, from: &str, to: &str) -> Result<String> {
        let text = fs::read_to_string(policy()).context("cannot read the policy")?;
        anyhow::ensure!(text.contains(from), "the policy has no {from}");
        let path = self.folder.join(name);
        fs::write(&path, text.replace(from, to)).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// The port of the shop through Envoy.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many database queries the API has run since the beginning.
    pub fn queries(&mut self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Stats {
            queries: u64,
        }
        if self.api.is_some() {
            let text = http::text(self.api_port, "/v1/stats")?;
            let stats: Stats = serde_json::from_str(&text).context("/v1/stats says something else than expected")?;
            self.queries = stats.queries;
        }
        Ok(self.queries_before + self.queries)
    }

    /// Stops the API. Its database stays.
    pub fn stop_api(&mut self) -> Result<()> {
        self.queries()?;
        self.queries_before += self.queries;
        self.queries = 0;
        if let Some(api) = self.api.take() {
            api.stop()?;
        }
        Ok(())
    }

    /// Starts the API again, where it was and with the database that it had.
    pub fn start_api(&mut self) -> Result<()> {
        if self.api.is_none() {
            self.api = Some(start_api(&self.parts.api, self.api_port, &self.folder)?);
        }
        Ok(())
    }

    /// Where a person can look.
    pub fn urls(&self) -> Urls {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Urls {
            shop: url(self.port),
            api: url(self.api_port),
            admin: url(self.envoy_admin),
            node: url(self.node.admin),
            dashboard: format!("{}/", url(self.node.admin)),
            larder: self.parts.larder.clone(),
            policy: policy(),
        }
    }

    /// Envoy's log.
    pub fn envoy_log(&self) -> &Path {
        &self.envoy_log
    }

    /// Stays until Ctrl-C ends the program; an error if a server ends before that.
    pub fn watch(&mut self) -> Result<()> {
        loop {
            if let Some(envoy) = &mut self.envoy {
                envoy.still_runs()?;
            }
            if let Some(status) = self.node.service.ended() {
                bail!("the node ended ({status}). {}", crate::process::tail(self.node.service.log()));
            }
            if let Some(api) = &mut self.api
                && let Some(status) = api.ended()
            {
                bail!("the shop API ended ({status}). {}", crate::process::tail(api.log()));
            }
            thread::sleep(WATCH_EVERY);
        }
    }

    /// Stops everything and removes its files.
    pub fn close(self) -> Result<()> {
        let folder = self.folder.clone();
        drop(self);
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

fn start_api(binary: &Path, port: u16, folder: &Path) -> Result<Service> {
    let mut command = Command::new(binary);
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--db"]).arg(folder.join("shop.sqlite"));
    let mut service = Service::spawn("shop-api", &mut command, &folder.join("shop-api.log"))?;
    let log = service.log().to_path_buf();
    // It listens before its database is seeded: its own word counts.
    let ready = || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"));
    service.wait_until("readiness", READY_WITHIN, ready)?;
    Ok(service)
}

/// What the shop is cached by.
pub fn policy() -> PathBuf {
    paths::root().join("policies/shop-api.json")
}

/// The policy without what is to be kept warm: requests that nobody has asked for would be among the queries that the tour counts. What
/// is pushed later brings it.
fn unwarmed(folder: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(policy()).context("cannot read the policy")?;
    let mut json: serde_json::Value = serde_json::from_str(&text).context("the policy is no JSON")?;
    for route in json["routes"].as_array_mut().into_iter().flatten() {
        route.as_object_mut().context("a route is no object")?.remove("warm");
    }
    let path = folder.join("node-policy.json");
    fs::write(&path, json.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A node that keeps responses in memory, on free ports, and will warm through Envoy.
fn start_node(larder: &Path, envoy: u16, folder: &Path) -> Result<Node> {
    #[derive(Deserialize)]
    struct Said {
        data: String,
        admin: String,
    }
    let mut command = Command::new(larder);
    command.args(["node", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"]);
    command.arg("--policy").arg(unwarmed(folder)?).args(["--warm-via", &format!("http://127.0.0.1:{envoy}")]);
    command.arg("--analytics").arg(folder.join("analytics"));
    let mut service = Service::spawn("larder-node", &mut command, &folder.join("larder-node.log"))?;
    let log = service.log().to_path_buf();
    let mut said = None;
    service.wait_until("readiness", READY_WITHIN, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        said = text.lines().find_map(|line| serde_json::from_str::<Said>(line).ok());
        said.is_some()
    })?;
    let Said { data, admin } = said.context("the node says nothing")?;
    let port = |address: &str| {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.with_context(|| format!("the node listens on {address}, which has no port"))
    };
    Ok(Node { service, data: port(&data)?, admin: port(&admin)? })
}

/// A folder of this process. Those of processes that are gone (Ctrl-C leaves no time to tidy up) are removed.
fn folder() -> Result<PathBuf> {
    const PREFIX: &str = "demo-";
    let parent = paths::scratch("");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    for entry in fs::read_dir(&parent).with_context(|| format!("cannot read {}", parent.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
