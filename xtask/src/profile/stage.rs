//! Who is there while a profile is taken: an Envoy with one worker, nginx behind it, a node where one is asked; and the load.

use std::path::Path;

use anyhow::Result;

use super::Way;
use crate::bench::cpu::Cores;
use crate::bench::load::{Load, Script};
use crate::bench::nginx::{self, Nginx};
use crate::bench::node::{self, Settings};
use crate::bench::{l1, l2, pass};
use crate::envoy::Envoy;
use crate::http::Request;
use crate::node::Node;

const BYTES: usize = 1 << 10;
/// URLs of which no two requests share a look-up.
const URLS: u64 = 64;

/// Everything that runs.
pub struct Stage {
    /// The Envoy to look at.
    pub envoy: Envoy,
    request: Request,
    script: Option<Script>,
    _node: Option<Node>,
    _nginx: Nginx,
}

impl Stage {
    /// The load.
    pub fn load(&self, core: usize) -> Load<'_> {
        let Request { target, fields, .. } = &self.request;
        Load { port: self.envoy.port, target, fields, script: self.script.as_ref(), core }
    }
}

/// Starts everybody that a way of requests takes.
pub fn set(way: Way, envoy: &Path, module: &Path, folder: &Path, cores: Cores) -> Result<Stage> {
    let body = l1::document(BYTES);
    let nginx = Nginx::start(&folder.join("nginx"), &[("1k.json", &body)], cores.origin)?;
    let origin = nginx.port;
    if matches!(way, Way::L1 | Way::Pass) {
        let policy = if way == Way::Pass { pass::POLICY.to_owned() } else { l1::default_policy()? };
        let place = l1::Place { envoy, folder, origin, core: cores.server };
        let envoy = place.start("larder", l1::PASS_ON, &l1::larder(module, &policy))?;
        return Ok(Stage { envoy, request: l1::browser("1k.json"), script: None, _node: None, _nginx: nginx });
    }
    let larder = node::build()?;
    let node = node::start(&larder, "node", folder, Some(cores.origin))?;
    let (nodes, core) = (&[node.data], Some(cores.server));
    let place = node::Place { envoy, module, policy: l2::POLICY, folder, origin, nodes, core, workers: 1 };
    let envoy = place.start("larder", Some(Settings { cluster: l2::TIMEOUT, others: l2::NO_MEMORY }))?;
    let (path, script) = match way {
        Way::Miss => (nginx::STORABLE.trim_start_matches('/'), Script::distinct(folder)?),
        _ => ("1k.json?n=", Script::cycle(folder, URLS)?),
    };
    Ok(Stage { envoy, request: l2::ours(l1::browser(path)), script: Some(script), _node: Some(node), _nginx: nginx })
}
