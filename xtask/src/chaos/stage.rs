//! What faults happen to: an origin, nodes with a store that they share or one with a store on a small disk, Envoys in front, clients and
//! a purger. Starts, stops, and says what everybody takes; knows no faults.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::content::Content;
use super::edges::{Edge, Setting};
use super::load::{self, Load, Outcome, Sample};
use super::net::Net;
use super::purger::Purger;
use super::redis::Redis;
use super::small_disk::SmallDisk;
use crate::node::Node;
use crate::origin::Origin;
use crate::{build, ports, usage};

/// Nodes that share a Redis Cluster.
const NODES: usize = 3;
const POLL: Duration = Duration::from_millis(50);
/// Records of the purge log, for [`Kept::SharedForLong`].
const RECORDS_FOR_LONG: u32 = 2_000;
/// Bytes of analytics, for the same: a quarter of an hour's steps of 10 s.
const ANALYTICS_FOR_LONG: u32 = 512 << 10;
/// How long nodes and workers may take to find one another after everything was started.
const WARM_WITHIN: Duration = Duration::from_secs(60);
/// From this share of hits on, the caches count as warm.
const WARM: f64 = 0.6;

/// What has been built, and how much of it is to run.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// The module as it is shipped.
    pub module: PathBuf,
    /// The module that traps when it is asked to, where that is wanted.
    pub trapping: Option<PathBuf>,
    /// The `larder` command.
    pub larder: PathBuf,
    /// Worker threads of each Envoy.
    pub workers: u32,
    /// Requests a second to each Envoy.
    pub rate: f64,
    /// Purges a second.
    pub purges: f64,
}

/// Where the nodes keep what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Three nodes, a Redis Cluster.
    Shared,
    /// The same, and little of the purge log and of analytics in memory: what grows up to a bound is soon there.
    SharedForLong,
    /// The same as the first; the last node is in a network of its own.
    SharedApart,
    /// One node, a disk of 32 MiB.
    OnSmallDisk,
}

/// Everything that runs. Stopped on drop, clients first.
#[derive(Debug)]
pub struct Stage {
    /// The clients.
    pub load: Load,
    /// Who purges.
    pub purger: Purger,
    /// The Envoys, the one without Larder last.
    pub edges: Vec<Edge>,
    /// The nodes.
    pub nodes: Vec<Member>,
    /// What the nodes share.
    pub redis: Option<Redis>,
    /// What the last node is on the other side of.
    pub net: Option<Net>,
    /// What the node keeps things on.
    pub disk: Option<SmallDisk>,
    /// What was built.
    pub parts: Parts,
    /// The module that Envoys load.
    pub module: PathBuf,
    /// What nodes ask of operators.
    pub token: String,
    /// Logs.
    pub folder: PathBuf,
    _origin: Origin,
}

/// A node that is started again where it was.
#[derive(Debug)]
pub struct Member {
    command: Vec<String>,
    log: PathBuf,
    /// Where Envoys ask.
    pub data: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    node: Option<Node>,
}

/// What a node has around it.
#[derive(Clone, Copy)]
struct Place<'a> {
    apart: Option<&'a Net>,
    disk: Option<&'a SmallDisk>,
    redis: Option<&'a Redis>,
    /// Records of the purge log that it keeps.
    keep: Option<u32>,
    tokens: &'a Path,
}

/// Memory of all processes of a kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// Of the Envoys with Larder, in MB.
    pub envoys_mb: f64,
    /// Of the nodes, in MB.
    pub nodes_mb: f64,
}

impl Stage {
    /// Starts everything, and waits until the caches are warm.
    pub fn open(parts: &Parts, kept: Kept, folder: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let net = (kept == Kept::SharedApart).then(Net::new).transpose()?;
        let disk = (kept == Kept::OnSmallDisk).then(SmallDisk::permitted).transpose()?;
        let content = Arc::new(Content::new());
        let origin = {
            let content = content.clone();
            Origin::start(move |received| content.answer(received))?
        };
        let here = net.as_ref().map_or(Ipv4Addr::LOCALHOST, |net| net.here);
        let redis = if disk.is_none() { Some(Redis::start(folder, here)?) } else { None };
        let mut nodes = Vec::new();
        let (token, tokens) = token(folder)?;
        for index in 0..if disk.is_none() { NODES } else { 1 } {
            let apart = net.as_ref().filter(|_| index + 1 == NODES);
            let keep = (kept == Kept::SharedForLong).then_some(RECORDS_FOR_LONG);
            let place = Place { apart, disk: disk.as_ref(), redis: redis.as_ref(), keep, tokens: &tokens };
            nodes.push(Member::start(parts, index, &place, folder)?);
        }
        // Of its own: somebody may build another while this runs, and an Envoy that is told anew of its filter takes what is there then.
        let module = folder.join("larder.wasm");
        let built = parts.trapping.as_ref().unwrap_or(&parts.module);
        fs::copy(built, &module).with_context(|| format!("cannot copy {}", built.display()))?;
        let setting = Setting {
            envoy: parts.envoy.clone(),
            module: module.clone(),
            folder: folder.to_path_buf(),
            origin: origin.port,
            nodes: nodes.iter().map(|node| node.data).collect(),
            workers: parts.workers,
        };
        let mut edges = Vec::new();
        for (name, larder) in [("one", true), ("two", true), ("control", false)] {
            edges.push(Edge::start(&setting, name, larder)?);
        }
        let who = |edge: &Edge| if edge.is_larder() { load::Edge::Larder } else { load::Edge::Control };
        let asked: Vec<_> = edges.iter().map(|edge| (who(edge), edge.port)).collect();
        let load = Load::start(&content, &asked, parts.rate);
        let admins = nodes.iter().map(|node| node.admin).collect();
        let purger = Purger::start(&content, admins, &token, parts.purges);
        let stage = Self {
            load,
            purger,
            edges,
            nodes,
            redis,
            net,
            disk,
            parts: parts.clone(),
            module,
            token,
            folder: folder.to_path_buf(),
            _origin: origin,
        };
        stage.warm()?;
        Ok(stage)
    }

    /// The Envoys with Larder.
    pub fn larders(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(|edge| edge.is_larder())
    }

    /// What Envoys and nodes take just now.
    pub fn memory(&self) -> Memory {
        const MB: f64 = 1e6;
        let sum =
            |pids: Vec<u32>| pids.into_iter().filter_map(|pid| usage::resident(pid).ok()).sum::<u64>() as f64 / MB;
        let envoys_mb = sum(self.larders().filter_map(Edge::pid).collect());
        let nodes_mb = sum(self.nodes.iter().filter_map(Member::pid).collect());
        Memory { envoys_mb, nodes_mb }
    }

    /// Waits until most answers come from the caches, and for two seconds more.
    fn warm(&self) -> Result<()> {
        let deadline = Instant::now() + WARM_WITHIN;
        let settle = Duration::from_secs(2);
        loop {
            thread::sleep(settle);
            let samples = self.load.take();
            let ratio = hit_ratio(&samples);
            if ratio >= WARM {
                return Ok(());
            }
            if Instant::now() > deadline {
                let complaints: Vec<String> = self.load.complaints().into_iter().map(|c| c.what).take(5).collect();
                bail!("the caches do not become warm: {:.0}% hits; {}", ratio * 100.0, complaints.join("; "));
            }
        }
    }
}

/// Hits among the answers of the Envoys with Larder.
pub fn hit_ratio(samples: &[Sample]) -> f64 {
    let asked = samples.iter().filter(|sample| sample.edge == load::Edge::Larder);
    let (mut hits, mut all) = (0u32, 0u32);
    for sample in asked {
        all += 1;
        hits += u32::from(sample.outcome == Outcome::Hit);
    }
    if all == 0 { 0.0 } else { f64::from(hits) / f64::from(all) }
}

impl Member {
    fn start(parts: &Parts, index: usize, place: &Place<'_>, folder: &Path) -> Result<Self> {
        let Place { apart, disk, redis, keep, tokens } = *place;
        let ip = apart.map_or(Ipv4Addr::LOCALHOST, |net| net.there);
        let data = SocketAddr::from((ip, ports::lasting()?));
        let admin = SocketAddr::from((ip, ports::lasting()?));
        let mut command = match (apart, disk) {
            (Some(net), _) => net.command(&parts.larder),
            (_, Some(disk)) => disk.command(&parts.larder),
            _ => Command::new(&parts.larder),
        };
        let store = match (redis, disk) {
            (Some(redis), _) => format!("redis-cluster://{}", redis.hosts()),
            (None, Some(disk)) => format!("disk:{}?bytes=1GiB&memory=1MiB", disk.folder().display()),
            (None, None) => "memory:".to_owned(),
        };
        command.args(["node", "--listen", &data.to_string(), "--admin", &admin.to_string(), "--store", &store]);
        if let Some(keep) = keep {
            command.args(["--log", &format!("{store}?keep={keep}"), "--limit", &format!("purges_max={keep}")]);
            command.args(["--limit", &format!("analytics_bytes_max={ANALYTICS_FOR_LONG}")]);
        }
        command.args(["--threads", "2", "--json", "--tokens"]).arg(tokens);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let command = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let log = folder.join(format!("node-{index}.log"));
        let mut member = Self { command, log, data, admin, node: None };
        member.start_again()?;
        Ok(member)
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.node.as_ref().map(Node::pid)
    }

    /// The process.
    pub fn node(&mut self) -> Result<&mut Node> {
        self.node.as_mut().context("the node does not run")
    }

    /// Starts it, where it was before if there was one before. Says how long it took until it listened.
    pub fn start_again(&mut self) -> Result<Duration> {
        let Some((program, words)) = self.command.split_first() else { bail!("no command") };
        self.node = None;
        let begun = Instant::now();
        let mut command = Command::new(program);
        command.args(words);
        let node = Node::spawn("node", &mut command, &self.log)?;
        self.node = Some(node);
        thread::sleep(POLL);
        Ok(begun.elapsed())
    }
}

/// Makes a token for this run and the file by which nodes know it: a node in a network of its own does not do without.
fn token(folder: &Path) -> Result<(String, PathBuf)> {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().context("the clock is before 1970")?;
    let token = format!("larder_{}", build::digest(format!("{since:?} {}", std::process::id()).as_bytes()));
    let scopes = ["read", "purge", "policy"];
    let sha256 = build::digest(token.as_bytes());
    let listed = serde_json::json!([{ "name": "chaos", "scopes": scopes, "sha256": sha256 }]);
    let file = folder.join("tokens.json");
    fs::write(&file, listed.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok((token, file))
}
