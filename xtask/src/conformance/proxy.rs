//! `larder proxy` in front of the suite's origin.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{self, Service};
use crate::{cargo, paths};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A proxy that runs. Stopped on drop.
#[derive(Debug)]
pub struct Proxy {
    _service: Service,
    pub port: u16,
}

impl Proxy {
    /// Builds the command, as the tests do, and starts it. It caches under the name that the suite's results are known by.
    pub fn start(origin: u16, policy: &Path, folder: &Path) -> Result<Self> {
        let mut build = cargo::cargo();
        build.arg("build").args(cargo::NATIVE).args(["--bin", "larder"]);
        process::run_ok("building the larder binary", &mut build)?;
        let log = folder.join("proxy.log");
        let mut command = Command::new(paths::target().join("debug/larder"));
        command.args(["proxy", "--json", "--listen", "127.0.0.1:0", "--policy"]).arg(policy);
        command.arg("--origin").arg(format!("http://127.0.0.1:{origin}"));
        let mut service = Service::spawn("larder proxy", &mut command, &log)?;
        let mut port = None;
        service.wait_until("a port", READY_WITHIN, || {
            port = port_of(&fs::read_to_string(&log).unwrap_or_default());
            port.is_some()
        })?;
        Ok(Self { _service: service, port: port.context("the proxy tells no port")? })
    }
}

/// The line that `larder proxy --json` prints, among what it logs.
fn port_of(text: &str) -> Option<u16> {
    #[derive(Deserialize)]
    struct Line {
        proxy: String,
    }
    let line: Line = text.lines().find_map(|line| serde_json::from_str(line).ok())?;
    line.proxy.rsplit_once(':')?.1.parse().ok()
}
