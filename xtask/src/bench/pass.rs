//! `bench pass`: what Larder costs where it has nothing to do: requests that the policy says to pass, against an Envoy without it.

use std::fs;

use anyhow::{Context, Result};

use super::cpu;
use super::frame::{self, Answer, Asked, Case, Counter, Effort, Server, Shot, Use};
use super::l1::{PASS_ON, Place, browser, document, larder};
use super::nginx::Nginx;
use super::row::{Bound, Goal, Metric, Row};
use crate::envoy::Envoy;
use crate::{build, paths, setup};

const CASE: &str = "pass 1 KB";
const LARDER: &str = "larder";
const PROXY: &str = "proxy_to_nginx";
const BYTES: usize = 1 << 10;

const GOALS: &[Goal] =
    &[Goal { case: CASE, subject: LARDER, against: PROXY, metric: Metric::CpuPerRequest, bound: Bound::AtMost(1.25) }];

/// Nothing is cached.
pub const POLICY: &str =
    r#"{ "version": 1, "name": "bench", "routes": [{ "name": "all", "path": "/{*rest}", "class": "never" }] }"#;

/// Sets everything up, measures, and stops everything.
pub fn run(effort: Effort) -> Result<Vec<Row>> {
    setup::packages::ensure().context("nginx and wrk are needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-pass");
    let _ = fs::remove_dir_all(&folder);
    let body = document(BYTES);
    let nginx = Nginx::start(&folder.join("nginx"), &[("1k.json", &body)], cores.origin)?;
    let place = Place { envoy: &envoy, folder: &folder, origin: nginx.port, core: cores.server };
    let with = place.start("larder", PASS_ON, &larder(&module.path, POLICY))?;
    let without = place.start("proxy", PASS_ON, "")?;
    let shot = |subject, envoy: &Envoy, field| Shot {
        subject,
        server: Server { port: envoy.port, pid: envoy.pid() },
        behind: vec![nginx.pid()],
        asked: vec![Asked { counter: Counter::Cluster { admin: envoy.admin, name: "origin" }, of_it: Use::Always }],
        request: browser("1k.json"),
        script: None,
        answer: Answer { status: 200, bytes: BYTES, field },
    };
    let case = Case {
        name: CASE,
        compared: 1,
        shots: vec![
            shot(LARDER, &with, Some(("cache-status", "fwd=bypass"))),
            shot(PROXY, &without, Some(("etag", "\""))),
        ],
    };
    frame::measure("pass", &[case], GOALS, effort, cores, &folder.join("wrk.log"))
}
