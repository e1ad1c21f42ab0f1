//! A node of the cluster as a process of demo, bench or chaos. Knows the line that `larder node --json` prints, and none of its options.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::Service;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A node. Stopped on drop.
#[derive(Debug)]
pub struct Node {
    service: Service,
    /// Where Envoy asks.
    pub data: u16,
    /// Where operators ask.
    pub admin: u16,
}

impl Node {
    /// Runs a command that ends up as `larder node --json …`, and waits until it listens.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let mut service = Service::spawn(name, command, log)?;
        let mut ports = None;
        service.wait_until("ports", READY_WITHIN, || {
            ports = ports_of(&fs::read_to_string(log).unwrap_or_default());
            ports.is_some()
        })?;
        let (data, admin) = ports.context("the node tells no ports")?;
        Ok(Self { service, data, admin })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// The process.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }
}

/// The line that `larder node --json` prints, among what it logs.
fn ports_of(text: &str) -> Option<(u16, u16)> {
    #[derive(Deserialize)]
    struct Line {
        data: String,
        admin: String,
    }
    let line: Line = text.lines().find_map(|line| serde_json::from_str(line).ok())?;
    let port = |address: &str| address.rsplit_once(':')?.1.parse().ok();
    Some((port(&line.data)?, port(&line.admin)?))
}

/// What a node's admin plane answers to a purge: its place in the log.
#[derive(Debug, Deserialize)]
pub struct Purged {
    pub log: String,
    pub sequence: u64,
}

/// What it answers to the question whether every worker has heard of it.
#[derive(Debug, Deserialize)]
pub struct Delivered {
    pub delivered: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_among_what_a_node_logs() {
        let text = "INFO something\n{\"data\":\"127.0.0.1:41\",\"admin\":\"127.0.0.1:42\",\"store\":\"memory:\",\"log\":\"memory:\"}\nINFO {\n";
        assert_eq!(ports_of(text), Some((41, 42)));
        assert_eq!(ports_of("INFO something\n"), None);
        assert_eq!(ports_of("{\"data\":\"127.0.0.1:41\""), None, "half a line");
    }
}
