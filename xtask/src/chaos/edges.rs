//! The Envoys: two with Larder, which gets its configuration by ECDS, and one without that has the same origin. What happens to those
//! with Larder for reasons that are not Larder's (a restart) happens to the one without, too: what it loses is nobody's fault.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::content;
use crate::envoy::{Envoy, Epoch, Launch};
use crate::{paths, ports};

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What the Envoys are made of.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// The module.
    pub module: PathBuf,
    /// Where files are written.
    pub folder: PathBuf,
    /// The origin's port.
    pub origin: u16,
    /// Where the nodes listen, as addresses.
    pub nodes: Vec<std::net::SocketAddr>,
    /// Worker threads of each.
    pub workers: u32,
}

/// An Envoy that is started again where it was. Stopped on drop.
#[derive(Debug)]
pub struct Edge {
    name: String,
    larder: bool,
    setting: Setting,
    /// Where clients ask.
    pub port: u16,
    /// Its admin interface.
    pub admin: u16,
    epoch: u32,
    envoy: Option<Envoy>,
}

impl Edge {
    /// Starts an Envoy with Larder or without, and waits until it may ask the nodes.
    pub fn start(setting: &Setting, name: &str, larder: bool) -> Result<Self> {
        let (port, admin) = (ports::lasting()?, ports::lasting()?);
        let mut edge =
            Self { name: name.to_owned(), larder, setting: setting.clone(), port, admin, epoch: 0, envoy: None };
        if larder {
            edge.configure(&setting.module, &content::policy("1h"))?;
        }
        edge.launch()?;
        Ok(edge)
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.envoy.as_ref().map(Envoy::pid)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is one with Larder.
    pub fn is_larder(&self) -> bool {
        self.larder
    }

    /// Says how Larder is configured from now on, as a control plane would: the watched file is replaced.
    pub fn configure(&self, module: &Path, policy: &str) -> Result<()> {
        let cluster = r#"{ "name": "larder_nodes", "reroute_above": "64KiB" }"#;
        let configuration = format!("{{ \"l1_bytes\": \"4MiB\", \"cluster\": {cluster},\n  \"policy\": {policy} }}\n");
        let values = BTreeMap::from([("LARDER_WASM", module.display().to_string()), ("POLICY", configuration)]);
        let text = crate::envoy::render(&read("ecds-filter.yaml")?, &values).context("ecds-filter.yaml")?;
        let folder = self.filter();
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let (partial, file) = (folder.join("larder.yaml.new"), folder.join("larder.yaml"));
        let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &file));
        written.with_context(|| format!("cannot write {}", file.display()))
    }

    /// How many configurations it has taken up.
    pub fn taken_up(&self) -> Result<u64> {
        crate::envoy::stat(self.admin, "extension_config_discovery.http_filter.larder.config_reload")
    }

    /// Ends it as a service manager would, and starts it again where it was. Says for how long nobody listened.
    pub fn restart(&mut self) -> Result<Duration> {
        if let Some(mut envoy) = self.envoy.take() {
            envoy.service().terminate();
            envoy.service().wait_for_end(READY_WITHIN)?;
        }
        let begun = Instant::now();
        self.epoch = 0;
        self.launch()?;
        Ok(begun.elapsed())
    }

    /// Starts another one beside it that takes over its listeners; the old one drains and ends.
    pub fn hot_restart(&mut self) -> Result<()> {
        let parent = self.envoy.take();
        self.epoch += 1;
        self.launch()?;
        if let Some(mut parent) = parent {
            parent.service().wait_for_end(READY_WITHIN).context("the old Envoy does not end")?;
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let setting = &self.setting;
        let template =
            if self.larder { with_ecds(&read("redis.yaml")?)? } else { without_larder(&read("redis.yaml")?)? };
        let endpoints: Vec<String> = setting.nodes.iter().map(endpoint).collect();
        let folder = setting.folder.join(&self.name);
        let values = BTreeMap::from([
            ("NODES", endpoints.join(", ")),
            ("ORIGIN_PORT", setting.origin.to_string()),
            ("LISTEN_PORT", self.port.to_string()),
            ("ADMIN_PORT", self.admin.to_string()),
            ("FILTER_FOLDER", self.filter().display().to_string()),
        ]);
        let name = format!("{}-{}", self.name, self.epoch);
        let launch = Launch {
            name: &name,
            binary: &setting.envoy,
            template: &template,
            values,
            folder: &folder,
            core: None,
            workers: setting.workers,
            epoch: Some(Epoch { number: self.epoch, base_id: folder.join("base-id") }),
        };
        let envoy = launch.start().with_context(|| format!("the Envoy {} does not start", self.name))?;
        let deadline = Instant::now() + READY_WITHIN;
        while envoy.stat("cluster.larder_nodes.membership_healthy")? == 0 {
            ensure!(Instant::now() < deadline, "the Envoy {} finds no node healthy", self.name);
            thread::sleep(POLL);
        }
        self.envoy = Some(envoy);
        Ok(())
    }

    fn filter(&self) -> PathBuf {
        self.setting.folder.join(&self.name).join("filter")
    }
}

fn read(name: &str) -> Result<String> {
    let file = paths::root().join("envoy").join(name);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn endpoint(address: &std::net::SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!("{{ endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }} }}")
}

const BEGIN: &str = "          # larder begins\n";
const END: &str = "          # larder ends\n";

/// What redis.yaml has, with the filter configured as in ecds.yaml.
fn with_ecds(template: &str) -> Result<String> {
    let ecds = read("ecds.yaml")?;
    let (_, filter, _) = parts(&ecds)?;
    let (before, _, after) = parts(template)?;
    Ok(format!("node: {{ id: larder, cluster: larder }}\n{before}{filter}{after}"))
}

fn without_larder(template: &str) -> Result<String> {
    let (before, _, after) = parts(template)?;
    Ok(format!("{before}{after}"))
}

fn parts(template: &str) -> Result<(&str, &str, &str)> {
    let cut = || {
        let (before, rest) = template.split_once(BEGIN)?;
        let (filter, after) = rest.split_once(END)?;
        Some((before, filter, after))
    };
    cut().context("a bootstrap without the lines \"larder begins\" and \"larder ends\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstraps_that_we_ship_can_be_put_together() {
        let text = read("redis.yaml").unwrap();
        let ecds = with_ecds(&text).unwrap();
        assert!(ecds.starts_with("node: ") && ecds.contains("config_discovery") && ecds.contains("larder_nodes"));
        assert!(!ecds.contains("${LARDER_WASM}") || ecds.contains("# ${NODES}, ${LARDER_WASM}"), "{ecds}");
        let without = without_larder(&text).unwrap();
        assert!(!without.contains("wasm.v3") && without.contains("router.v3"));
    }
}
