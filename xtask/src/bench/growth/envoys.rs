//! What grows in a real Envoy: the processor time of a hit, and memory, with objects, workers and nodes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Point;
use crate::bench::cpu::{self, Cores};
use crate::bench::frame::Effort;
use crate::bench::load::{Load, Script};
use crate::bench::nginx::{Nginx, STORABLE};
use crate::bench::node::{self, Settings};
use crate::bench::stats::Summary;
use crate::bench::{l1, l2};
use crate::envoy::Envoy;
use crate::http::{Connection, Request};
use crate::process::Service;
use crate::usage::resident;
use crate::{build, paths, ports, setup};

const ROOM: &str = r#"{ "l1_bytes": "512MiB", "policy": { "version": 1, "name": "bench" } }"#;
const WORKERS: [u32; 3] = [1, 2, 4];
const NODES: [usize; 4] = [1, 2, 4, 8];
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Measures all of it, with up to so many objects.
pub fn measure(effort: Effort, objects_most: u64) -> Result<Vec<Point>> {
    setup::packages::ensure().context("nginx, Redis and wrk are needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let larder = node::build()?;
    let folder = paths::scratch("bench-growth");
    let _ = fs::remove_dir_all(&folder);
    let cores = cpu::cores()?;
    let nginx = Nginx::start(&folder.join("nginx"), &[], cores.origin)?;
    let bench =
        Bench { envoy: &envoy, module: &module.path, larder: &larder, folder: &folder, nginx: &nginx, cores, effort };
    let mut points = bench.objects(objects_most)?;
    points.extend(bench.workers()?);
    points.extend(bench.nodes()?);
    Ok(points)
}

struct Bench<'a> {
    envoy: &'a Path,
    module: &'a Path,
    larder: &'a Path,
    folder: &'a Path,
    nginx: &'a Nginx,
    cores: Cores,
    effort: Effort,
}

impl Bench<'_> {
    fn start(&self, workers: u32) -> Result<Envoy> {
        let (core, origin) = (self.cores.server, self.nginx.port);
        let place = l1::Place { envoy: self.envoy, folder: self.folder, origin, core };
        place.start_with(&format!("workers-{workers}"), l1::PASS_ON, &l1::larder(self.module, ROOM), workers)
    }

    fn objects(&self, most: u64) -> Result<Vec<Point>> {
        let envoy = self.start(1)?;
        let mut client = Connection::open(envoy.port)?;
        let path = STORABLE.trim_start_matches('/');
        let mut get = |name: &str| -> Result<()> {
            let response = client.ask(&l1::browser(&format!("{path}{name}")))?;
            ensure!(response.status == 200, "status {}", response.status);
            Ok(())
        };
        (0..500).try_for_each(|number| get(&format!("before-{}", number % 10)))?;
        let before = resident(envoy.pid())?;
        let (mut stored, mut points) = (0, Vec::new());
        for objects in [100, 1000, 10_000, 100_000].into_iter().filter(|objects| *objects <= most) {
            while stored < objects {
                get(&stored.to_string())?;
                stored += 1;
            }
            let grown = resident(envoy.pid())?.saturating_sub(before);
            if objects >= 1000 {
                points.push(point("envoy objects", "resident", objects, grown as f64 / objects as f64));
            }
            let asked = envoy.stat("cluster.origin.upstream_rq_total")?;
            let script = Script::cycle(self.folder, objects)?;
            let hit = self.cpu(&envoy, &l1::browser(path), Some(&script))?;
            let again = envoy.stat("cluster.origin.upstream_rq_total")?.saturating_sub(asked);
            ensure!(again == 0, "{again} requests for {objects} objects were no hits");
            points.push(point("envoy objects", "hit", objects, hit));
        }
        Ok(points)
    }

    fn workers(&self) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        for workers in WORKERS {
            let envoy = self.start(workers)?;
            let request = l1::browser(&format!("{}workers", STORABLE.trim_start_matches('/')));
            let hit = self.cpu(&envoy, &request, None)?;
            points.push(point("workers", "hit", workers.into(), hit));
            points.push(point("workers", "resident", workers.into(), resident(envoy.pid())? as f64 / 1e6));
        }
        Ok(points)
    }

    /// Nodes keep what they store to themselves; the purge log is shared.
    fn nodes(&self) -> Result<Vec<Point>> {
        let program = paths::find_program("redis-server").context("redis-server is missing")?;
        let port = ports::free()?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        let mut redis = Service::spawn("redis", command.current_dir(self.folder), &self.folder.join("redis.log"))?;
        redis.wait_for_port(port, READY_WITHIN)?;
        let log = format!("redis://127.0.0.1:{port}");
        let mut nodes = Vec::new();
        let mut points = Vec::new();
        for count in NODES {
            while nodes.len() < count {
                let (name, core) = (format!("node-{}", nodes.len()), Some(self.cores.origin));
                nodes.push(node::start_with(self.larder, &name, self.folder, core, &["--log", &log])?);
            }
            let ports: Vec<u16> = nodes.iter().map(|node| node.data).collect();
            let place = node::Place {
                envoy: self.envoy,
                module: self.module,
                policy: l2::POLICY,
                folder: self.folder,
                origin: self.nginx.port,
                nodes: &ports,
                core: Some(self.cores.server),
                workers: 1,
            };
            let settings = Settings { cluster: l2::TIMEOUT, others: l2::NO_MEMORY };
            let envoy = place.start(&format!("nodes-{count}"), Some(settings))?;
            let script = Script::cycle(self.folder, 64)?;
            let request = l2::ours(l1::browser(STORABLE.trim_start_matches('/')));
            let hit = self.cpu(&envoy, &request, Some(&script))?;
            points.push(point("nodes", "hit", count as u64, hit));
        }
        Ok(points)
    }

    /// Envoy's processor time for each request in microseconds: the median of the rounds, after one that is not counted.
    fn cpu(&self, envoy: &Envoy, request: &Request, script: Option<&Script>) -> Result<f64> {
        let (target, fields) = (&request.target, &request.fields);
        let load = Load { port: envoy.port, target, fields, script, core: self.cores.client };
        let log = self.folder.join("wrk.log");
        load.run(1, &log)?;
        let mut figures = Vec::new();
        for _ in 0..self.effort.rounds {
            let before = cpu::time(envoy.pid())?;
            let run = load.run(self.effort.seconds, &log)?;
            let took = cpu::time(envoy.pid())?.saturating_sub(before);
            figures.push(took.as_secs_f64() * 1e6 / run.requests as f64);
        }
        Ok(Summary::of(&figures).context("no rounds")?.median)
    }
}

fn point(axis: &str, figure: &str, x: u64, value: f64) -> Point {
    Point { axis: axis.to_owned(), figure: figure.to_owned(), x, value }
}
