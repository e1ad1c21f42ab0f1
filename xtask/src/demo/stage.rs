//! What the tour plays on: the shop API with a database of its own, and Envoy with Larder in front of it.
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
    /// Where Envoy shall listen.
    pub port: Option<u16>,
}

/// Everything that runs. Stopped on drop.
#[derive(Debug)]
pub struct Stage {
    envoy: Envoy,
    api: Option<Service>,
    api_binary: PathBuf,
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
}

impl Stage {
    /// Starts the API, then Envoy.
    pub fn open(parts: &Parts) -> Result<Self> {
        let folder = folder()?;
        let api_port = ports::free()?;
        let api = start_api(&parts.api, api_port, &folder)?;
        let root = paths::root();
        let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
        let mut values = BTreeMap::from([
            ("LARDER_WASM", parts.module.display().to_string()),
            ("POLICY", read(root.join("policies/shop-api.json"))?),
            ("ORIGIN_PORT", api_port.to_string()),
        ]);
        if let Some(port) = parts.port {
            values.insert("LISTEN_PORT", port.to_string());
        }
        let template = read(root.join("envoy/demo.yaml"))?;
        let launch = Launch {
            name: "envoy",
            binary: &parts.envoy,
            template: &template,
            values,
            folder: &folder,
            core: None,
            workers: 1,
        };
        let envoy = launch.start().with_context(|| match parts.port {
            Some(port) => format!("Envoy does not start (is port {port} free?)"),
            None => "Envoy does not start".to_owned(),
        })?;
        let api_binary = parts.api.clone();
        Ok(Self { envoy, api: Some(api), api_binary, api_port, folder, queries_before: 0, queries: 0 })
    }

    /// The port of the shop through Envoy.
    pub fn port(&self) -> u16 {
        self.envoy.port
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
            self.api = Some(start_api(&self.api_binary, self.api_port, &self.folder)?);
        }
        Ok(())
    }

    /// Where a person can look.
    pub fn urls(&self) -> Urls {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Urls { shop: url(self.envoy.port), api: url(self.api_port), admin: url(self.envoy.admin) }
    }

    /// Envoy's log.
    pub fn envoy_log(&self) -> &Path {
        self.envoy.log()
    }

    /// Stays until Ctrl-C ends the program; an error if a server ends before that.
    pub fn watch(&mut self) -> Result<()> {
        loop {
            self.envoy.still_runs()?;
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
