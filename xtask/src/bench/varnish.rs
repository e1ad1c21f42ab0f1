//! Varnish as a peer: one process that manages and one that caches, of which the latter's time is what counts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::envoy::pinned;
use crate::process::Service;
use crate::{paths, ports};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running Varnish. Stopped on drop.
#[derive(Debug)]
pub struct Varnish {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// The process that caches.
    pub pid: u32,
    _service: Service,
}

impl Varnish {
    /// Caches what the origin at a port answers, in memory and as its built-in VCL says, on a processor core.
    pub fn start(folder: &Path, origin: u16, core: usize) -> Result<Self> {
        let program =
            paths::find_program("varnishd").context("varnish is missing: cargo xtask setup --only packages")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = ports::free()?;
        let mut command = pinned(&program, Some(core));
        command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m", "-p", "thread_pools=1", "-n"]).arg(folder);
        command.args(["-a", &format!("127.0.0.1:{port}"), "-b", &format!("127.0.0.1:{origin}")]);
        let mut service = Service::spawn("varnish", &mut command, &folder.with_extension("log"))?;
        service.wait_for_port(port, READY_WITHIN)?;
        let children = format!("/proc/{0}/task/{0}/children", service.pid());
        let text = fs::read_to_string(&children).with_context(|| format!("cannot read {children}"))?;
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let pid = pid.context("varnishd has no process that caches")?;
        Ok(Self { port, pid, _service: service })
    }
}
