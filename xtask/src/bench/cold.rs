//! One cold key asked for by many clients over two Envoys at once: how often is the origin asked?

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::node::{self, Place, Settings};
use super::row::{Bound, Metric, Row};
use super::stats::Summary;
use crate::http::{Connection, Request};
use crate::origin::{Origin, Reply};

const CLIENTS: usize = 500;
const WORKERS: u32 = 2;
/// The origin takes so long for an answer: long enough for all clients to have asked.
const TAKES: Duration = Duration::from_millis(1000);
const POLICY: &str = r#"{ "version": 1, "name": "bench", "defaults": { "ttl": "1h" } }"#;

/// As many cold keys as rounds, one after the other.
pub fn measure(bench: &'static str, place: &Place<'_>, larder: &Path, rounds: u32) -> Result<Row> {
    let asked = Arc::new(AtomicU64::new(0));
    let origin = {
        let asked = asked.clone();
        Origin::start(move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            thread::sleep(TAKES);
            Reply::new(200, "for all")
        })?
    };
    let node = node::start(larder, "node-cold", place.folder, None)?;
    let place =
        Place { origin: origin.port, nodes: &[node.data], policy: POLICY, core: None, workers: WORKERS, ..*place };
    let settings = Settings { cluster: r#""reroute_above": "64KiB""#, others: "" };
    let envoys = [place.start("cold-one", Some(settings))?, place.start("cold-two", Some(settings))?];
    let mut counts = Vec::new();
    for round in 0..rounds {
        let request = Request::get(format!("/cold/{round}")).field("Host", "shop.example");
        let mut clients = Vec::new();
        for envoy in envoys.iter().cycle().take(CLIENTS) {
            clients.push(Connection::open(envoy.port)?);
        }
        let before = asked.load(Ordering::SeqCst);
        for client in &mut clients {
            client.send(&request)?;
        }
        for client in &mut clients {
            let response = client.receive(request.method)?;
            ensure!(response.status == 200 && response.body == b"for all", "a client got {}", response.status);
        }
        counts.push((asked.load(Ordering::SeqCst) - before) as f64);
    }
    let summary = Summary::of(&counts).context("no rounds")?;
    let goal = Some(Bound::AtMost(1.0));
    Ok(Row::single(bench, "cold key, 500 clients", "2 Envoys", Metric::RequestsAtOrigin, &summary, goal))
}
