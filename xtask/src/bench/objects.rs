//! `bench objects`: by how much an Envoy with one worker grows while it stores 10,000 objects of 4 KB.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::cpu;
use super::l1::{PASS_ON, Place, browser, document, larder};
use super::nginx::Nginx;
use super::row::{Bound, Metric, Row};
use super::stats::Summary;
use crate::http::Connection;
use crate::usage::resident;
use crate::{build, paths, setup};

const OBJECTS: u32 = 10_000;
const BYTES: usize = 4 << 10;
const AT_MOST_MB: f64 = 50.0;
/// Room for all of them and what they take beside their bytes.
const CONFIGURATION: &str = r#"{ "l1_bytes": "128MiB", "policy": { "version": 1, "name": "bench" } }"#;

/// Sets everything up, measures, and stops everything. As many Envoys as rounds, one after the other.
pub fn run(rounds: u32) -> Result<Vec<Row>> {
    setup::packages::ensure().context("nginx is needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-objects");
    let _ = fs::remove_dir_all(&folder);
    let body = document(BYTES);
    let nginx = Nginx::start(&folder.join("nginx"), &[("4k.json", &body)], cores.origin)?;
    let place = Place { envoy: &envoy, folder: &folder, origin: nginx.port, core: cores.server };
    let mut grown = Vec::new();
    for round in 1..=rounds {
        let envoy = place.start("larder", PASS_ON, &larder(&module.path, CONFIGURATION))?;
        let mut client = Connection::open(envoy.port)?;
        let mut get = |name: &str, number: u32| -> Result<()> {
            let response = client.ask(&browser(&format!("4k.json?{name}={number}")))?;
            ensure!(response.status == 200 && response.body.len() == BYTES, "status {}", response.status);
            Ok(())
        };
        // Envoy's own buffers and V8's code are there after this.
        for number in 0..500 {
            get("before", number % 10)?;
        }
        let before = resident(envoy.pid())?;
        for number in 0..OBJECTS {
            get("n", number)?;
        }
        let mb = resident(envoy.pid())?.saturating_sub(before) as f64 / 1e6;
        let asked = envoy.stat("cluster.origin.upstream_rq_total")?;
        for number in 0..OBJECTS {
            get("n", number)?;
        }
        let again = envoy.stat("cluster.origin.upstream_rq_total")?.saturating_sub(asked);
        ensure!(again == 0, "{again} of {OBJECTS} objects were not kept");
        eprintln!("... round {round} of {rounds}: {mb:.1} MB");
        grown.push(mb);
    }
    let summary = Summary::of(&grown).context("no rounds")?;
    let goal = Some(Bound::AtMost(AT_MOST_MB));
    Ok(vec![Row::single("objects", "10,000 of 4 KB", "one worker", Metric::MemoryPer10kObjects, &summary, goal)])
}
