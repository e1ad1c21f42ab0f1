//! `bench routes`: a hit under a policy of 10,000 routes, against one under a policy of 10.

use std::fs;

use anyhow::{Context, Result};

use super::cpu;
use super::frame::{self, Answer, Asked, Case, Counter, Effort, Server, Shot, Use};
use super::l1::{PASS_ON, Place, browser, larder};
use super::nginx::{MADE_BYTES, Nginx, STORABLE};
use super::row::{Bound, Goal, Metric, Row};
use crate::envoy::Envoy;
use crate::{build, paths, setup};

const CASE: &str = "hit by routes";
const MANY: &str = "10,000 routes";
const FEW: &str = "10 routes";

const GOALS: &[Goal] =
    &[Goal { case: CASE, subject: MANY, against: FEW, metric: Metric::CpuPerRequest, bound: Bound::AtMost(1.1) }];

/// Sets everything up, measures, and stops everything.
pub fn run(effort: Effort) -> Result<Vec<Row>> {
    setup::packages::ensure().context("nginx and wrk are needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-routes");
    let _ = fs::remove_dir_all(&folder);
    let nginx = Nginx::start(&folder.join("nginx"), &[], cores.origin)?;
    let place = Place { envoy: &envoy, folder: &folder, origin: nginx.port, core: cores.server };
    let many = place.start("many", PASS_ON, &larder(&module.path, &policy(10_000)))?;
    let few = place.start("few", PASS_ON, &larder(&module.path, &policy(10)))?;
    let shot = |subject, envoy: &Envoy, routes: usize| Shot {
        subject,
        server: Server { port: envoy.port, pid: envoy.pid() },
        behind: vec![nginx.pid()],
        asked: vec![Asked { counter: Counter::Cluster { admin: envoy.admin, name: "origin" }, of_it: Use::Never }],
        request: browser(&format!("{}kind-{:05}/7", STORABLE.trim_start_matches('/'), routes / 2)),
        script: None,
        answer: Answer { status: 200, bytes: MADE_BYTES, field: Some(("cache-status", "; hit")) },
    };
    let case = Case { name: CASE, compared: 1, shots: vec![shot(MANY, &many, 10_000), shot(FEW, &few, 10)] };
    frame::measure("routes", &[case], GOALS, effort, cores, &folder.join("wrk.log"))
}

/// A policy of so many routes, each with a template and a tag of its own.
pub fn policy(routes: usize) -> String {
    let route = |number: usize| {
        format!(
            r#"{{ "name": "kind-{number:05}", "path": "{STORABLE}kind-{number:05}/{{id}}", "class": "catalog", "tags": ["kind-{number:05}:{{id}}"] }}"#
        )
    };
    let routes: Vec<String> = (0..routes).map(route).collect();
    format!("{{ \"version\": 1, \"name\": \"bench\", \"routes\": [\n{}\n] }}", routes.join(",\n"))
}
