//! `bench l2`: what the cluster costs. Hits in a node through Envoy of three sizes, and misses that asked it, against the same
//! Envoy proxying to nginx; a node alone against nginx.
//!
//! All Envoys run envoy/cluster.yaml with one worker: twice with Larder and no memory of its own, so that every request is a
//! look-up in the node (`callout` takes bodies through the VM, `reroute` has the node stream them), once without Larder. Loads
//! go around many URLs, for requests for the same one share a look-up.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cpu::{self, Cores};
use super::frame::{self, Answer, Asked, Case, Counter, Effort, Server, Shot, Use};
use super::l1::{browser, document};
use super::load::Script;
use super::nginx::{self, Nginx};
use super::node::{self, Place, Settings};
use super::row::{Bound, Goal, Metric, Row};
use super::{cold, memory};
use crate::envoy::Envoy;
use crate::http::{self, Request};
use crate::node::Node;
use crate::origin::{Origin, Received, Reply};
use crate::{build, paths, setup};

const BENCH: &str = "l2";

const SIZES: [(&str, &str, usize); 3] =
    [("hit 1 KB", "1k.json", 1 << 10), ("hit 10 KB", "10k.json", 10 << 10), ("hit 100 KB", "100k.json", 100 << 10)];
const MISS_STORED: &str = "miss, stored";
const MISS_ASKED: &str = "miss, no-store";
const ALONE: &str = "node alone 1 KB";

const CALLOUT: &str = "callout";
const REROUTE: &str = "reroute";
const PROXY: &str = "proxy_to_nginx";
const SERVE: &str = "node_serve";
const LOOKUP: &str = "node_lookup";
const NGINX: &str = "nginx";

const HIT: f64 = 1.5;
const MISS: f64 = 2.0;
const NODE: f64 = 0.8;

const GOALS: &[Goal] = &[
    through_envoy(SIZES[0].0, CALLOUT, HIT),
    through_envoy(SIZES[0].0, REROUTE, HIT),
    through_envoy(SIZES[1].0, CALLOUT, HIT),
    through_envoy(SIZES[1].0, REROUTE, HIT),
    through_envoy(SIZES[2].0, CALLOUT, HIT),
    through_envoy(SIZES[2].0, REROUTE, HIT),
    through_envoy(MISS_STORED, CALLOUT, MISS),
    through_envoy(MISS_ASKED, CALLOUT, MISS),
    alone(SERVE),
    alone(LOOKUP),
];

const fn through_envoy(case: &'static str, subject: &'static str, at_most: f64) -> Goal {
    Goal { case, subject, against: PROXY, metric: Metric::CpuPerRequest, bound: Bound::AtMost(at_most) }
}

const fn alone(subject: &'static str) -> Goal {
    let bound = Bound::AtLeast(NODE);
    Goal { case: ALONE, subject, against: NGINX, metric: Metric::RequestsPerSecond, bound }
}

/// URLs of each size: many more than there are connections.
const URLS: u64 = 64;
/// One name for all Envoys, so that they share what is stored.
const HOST: (&str, &str) = ("Host", "shop.example");
/// What the origin says.
pub const POLICY: &str = r#"{ "version": 1, "name": "bench" }"#;
/// A member of `cluster`. The look-up may take long on a busy machine: a time-out would make a hit a miss.
pub const TIMEOUT: &str = r#""timeout": "1s""#;
/// Every request is a look-up.
pub const NO_MEMORY: &str = r#""l1_bytes": "0B""#;

/// Sets everything up, measures, and stops everything.
pub fn run(effort: Effort) -> Result<Vec<Row>> {
    setup::packages::ensure().context("nginx, wrk, Redis and memcached are needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let larder = node::build()?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-l2");
    let _ = fs::remove_dir_all(&folder);

    let files: Vec<(&str, Vec<u8>)> = SIZES.iter().map(|&(_, name, bytes)| (name, document(bytes))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let nginx = Nginx::start(&folder.join("nginx"), &files, cores.origin)?;
    let node = node::start(&larder, "node", &folder, Some(cores.origin))?;
    let place = Place {
        envoy: &envoy,
        module: &module.path,
        policy: POLICY,
        folder: &folder,
        origin: nginx.port,
        nodes: &[node.data],
        core: Some(cores.server),
        workers: 1,
    };
    let reroute = format!(r#"{TIMEOUT}, "reroute_above": "1B""#);
    let reroute = Settings { cluster: &reroute, others: NO_MEMORY };
    let inline = Settings { cluster: TIMEOUT, others: NO_MEMORY };
    eprintln!(
        "... {} rounds of {} s for each subject; servers on core {}, client on core {}, nginx and node on core {}",
        effort.rounds, effort.seconds, cores.server, cores.client, cores.origin
    );
    let mut rows = {
        let subjects = Subjects {
            callout: place.start(CALLOUT, Some(inline))?,
            reroute: place.start(REROUTE, Some(reroute))?,
            proxy: place.start("proxy", None)?,
        };
        through_envoys(&subjects, &nginx, &node, effort, cores, &folder)?
    };
    let captured = capture(&place, inline)?;
    // The server's core is what both of them have here.
    let nginx = Nginx::start(&folder.join("nginx-alone"), &files, cores.server)?;
    let node = node::start(&larder, "node-alone", &folder, Some(cores.server))?;
    {
        let place = Place { nodes: &[node.data], ..place };
        let filler = place.start("filler", Some(inline))?;
        rows.extend(node_alone(&filler, &nginx, &node, &captured, effort, cores, &folder)?);
    }
    rows.push(cold::measure(BENCH, &place, &larder, effort.rounds)?);
    rows.extend(memory::measure(BENCH, &folder)?);
    Ok(rows)
}

struct Subjects {
    callout: Envoy,
    reroute: Envoy,
    proxy: Envoy,
}

fn through_envoys(
    subjects: &Subjects,
    nginx: &Nginx,
    node: &Node,
    effort: Effort,
    cores: Cores,
    folder: &Path,
) -> Result<Vec<Row>> {
    let around = Script::cycle(folder, URLS)?;
    let distinct = Script::distinct(folder)?;
    let shot = |subject, envoy: &Envoy, of_node: Use, of_origin: Use, request: &Request, script, answer: Answer| Shot {
        subject,
        server: Server { port: envoy.port, pid: envoy.pid() },
        // Whoever is not asked has nothing to do: its time is beside the point, and near nothing.
        behind: match (of_node, of_origin) {
            (Use::Always, Use::Always) => vec![node.pid(), nginx.pid()],
            (Use::Always, Use::Never) => vec![node.pid()],
            (Use::Never, _) => vec![nginx.pid()],
        },
        asked: vec![
            Asked { counter: Counter::Cluster { admin: envoy.admin, name: "larder_nodes" }, of_it: of_node },
            Asked { counter: Counter::Cluster { admin: envoy.admin, name: "origin" }, of_it: of_origin },
        ],
        request: request.clone(),
        script: Some(script),
        answer,
    };
    let Subjects { callout, reroute, proxy } = subjects;
    let mut cases = Vec::new();
    for (name, file, bytes) in SIZES {
        let request = ours(browser(&format!("{file}?n=")));
        let answer = |field| Answer { status: 200, bytes, field };
        let hit = answer(Some(("cache-status", "detail=cluster")));
        cases.push(Case {
            name,
            compared: 2,
            shots: vec![
                shot(CALLOUT, callout, Use::Always, Use::Never, &request, &around, hit.clone()),
                shot(REROUTE, reroute, Use::Always, Use::Never, &request, &around, hit),
                shot(PROXY, proxy, Use::Never, Use::Always, &request, &around, answer(None)),
            ],
        });
    }
    for (name, below) in [(MISS_STORED, nginx::STORABLE), (MISS_ASKED, nginx::UNSTORABLE)] {
        let request = ours(browser(below.trim_start_matches('/')));
        let answer = |field| Answer { status: 200, bytes: nginx::MADE_BYTES, field };
        let miss = answer(Some(("cache-status", "fwd=uri-miss")));
        cases.push(Case {
            name,
            compared: 1,
            shots: vec![
                shot(CALLOUT, callout, Use::Always, Use::Always, &request, &distinct, miss),
                shot(PROXY, proxy, Use::Never, Use::Always, &request, &distinct, answer(None)),
            ],
        });
    }
    frame::measure(BENCH, &cases, GOALS, effort, cores, &folder.join("wrk.log"))
}

/// With that name.
pub fn ours(request: Request) -> Request {
    request.field(HOST.0, HOST.1)
}

fn of_node_alone() -> Request {
    ours(browser(&format!("{}?alone", SIZES[0].1)))
}

/// The look-up that a worker sends for [`of_node_alone`], as a stand-in for a node has received it.
fn capture(place: &Place<'_>, settings: Settings<'_>) -> Result<Received> {
    let caught: Arc<Mutex<Vec<Received>>> = Arc::default();
    let stand_in = {
        let caught = caught.clone();
        Origin::start(move |received| {
            caught.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
            Reply::new(if received.method == "GET" { 200 } else { 503 }, "")
        })?
    };
    let place = Place { nodes: &[stand_in.port], ..*place };
    let envoy = place.start("captured", Some(settings))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        http::send(envoy.port, &of_node_alone())?;
        let caught = caught.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = caught.iter().find(|received| is_lookup(received)) {
            return Ok(lookup.clone());
        }
    }
    anyhow::bail!("no worker sent a look-up")
}

/// A worker reports and follows the purge log by POST, too.
fn is_lookup(received: &Received) -> bool {
    received.method == "POST" && received.target.contains("lookup")
}

fn node_alone(
    filler: &Envoy,
    nginx: &Nginx,
    node: &Node,
    captured: &Received,
    effort: Effort,
    cores: Cores,
    folder: &Path,
) -> Result<Vec<Row>> {
    let bytes = SIZES[0].2;
    let name = captured.field("host").context("a look-up without a name")?;
    let serve = browser(SIZES[0].1).field("x-larder-serve", name);
    let lookup = Request { method: "POST", body: captured.body.clone(), ..Request::get(captured.target.as_str()) }
        .field("Host", name);
    let deadline = Instant::now() + Duration::from_secs(10);
    // Through an Envoy the node gets what it is to answer with.
    let length = loop {
        http::send(filler.port, &of_node_alone())?;
        let (served, found) = (http::send(node.data, &serve)?, http::send(node.data, &lookup)?);
        if served.status == 200 && served.body.len() == bytes && found.status == 200 && found.body.len() > bytes {
            break found.body.len();
        }
        ensure!(Instant::now() < deadline, "the node answers with {} and {}", served.status, found.status);
    };
    let post = Script::post(folder, &captured.body)?;
    let of_node = Server { port: node.data, pid: node.pid() };
    let shot = |subject, server, request: Request, script, bytes| Shot {
        subject,
        server,
        behind: Vec::new(),
        asked: Vec::new(),
        request,
        script,
        answer: Answer { status: 200, bytes, field: None },
    };
    let case = Case {
        name: ALONE,
        compared: 2,
        shots: vec![
            shot(SERVE, of_node, serve, None, bytes),
            shot(LOOKUP, of_node, lookup, Some(&post), length),
            shot(NGINX, Server { port: nginx.port, pid: nginx.pid() }, browser(SIZES[0].1), None, bytes),
        ],
    };
    frame::measure(BENCH, &[case], GOALS, effort, cores, &folder.join("wrk.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_is_for_a_case_and_subjects_that_are_measured() {
        let cases: Vec<&str> = SIZES.iter().map(|(name, ..)| *name).chain([MISS_STORED, MISS_ASKED, ALONE]).collect();
        let subjects = [CALLOUT, REROUTE, PROXY, SERVE, LOOKUP, NGINX];
        for goal in GOALS {
            assert!(cases.contains(&goal.case), "{goal:?}");
            assert!(subjects.contains(&goal.subject) && subjects.contains(&goal.against), "{goal:?}");
        }
    }

    #[test]
    fn a_lookup_is_told_from_what_else_a_worker_sends() {
        let received = |method: &str, target: &str| Received {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
        };
        assert!(is_lookup(&received("POST", "/larder/lookup")));
        assert!(!is_lookup(&received("POST", "/larder/poll")) && !is_lookup(&received("GET", "/larder/health")));
    }
}
