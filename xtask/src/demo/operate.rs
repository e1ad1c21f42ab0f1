//! The second half of the tour: what those do who run it. Warming, policies pushed and taken back under load, a shadow, the dashboard.
//! With visitors in the shop, the API's queries say nothing about a row any more.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::expect::{Expect, expect};
use super::load::Load;
use super::stage;
use super::walk::{Tour, get};
use crate::http::Request;

/// The policy's name.
const NAME: &str = "shop-api";
/// Reports come once a second; a busy machine may be late.
const WITHIN: Duration = Duration::from_secs(60);
/// So many requests say something about losses.
const VISITS: u64 = 300;

/// Shows it. The visitors stay.
pub fn run(tour: &mut Tour<'_>) -> Result<Load> {
    warming(tour)?;
    let load = Load::start(tour.stage.port());
    let dashboard = tour.stage.urls().dashboard;
    tour.table.event(&format!("visitors come; the dashboard shows what they get: {dashboard}"));
    policies(tour)?;
    shadow(tour)?;
    watching(tour, &load)?;
    Ok(load)
}

fn list(language: &str) -> Request {
    get("/v1/products").field("accept-language", language)
}

fn hit(browser: &'static str) -> Expect {
    expect(200, "hit", 0).any_queries().field("cache-control", browser)
}

fn warming(tour: &mut Tour<'_>) -> Result<()> {
    let (shop, policy) = (tour.stage.urls().shop, stage::policy().display().to_string());
    tour.command("A purge of all lists", &["purge", "--tag", "product-lists"], &["workers have heard"])?;
    tour.ask("... the German one is cold now", list("de"), &expect(200, "!hit; stored", 2))?;
    let warm = ["warm", "--via", &shop, "--policy", &policy];
    let warmed = "warmed 1, already fresh 1, not stored 0, failed 0";
    tour.command("Warming asks for what the policy names", &warm, &[warmed])?;
    tour.ask("... so the first English reader has a hit", list("en"), &expect(200, "hit", 0))?;
    Ok(())
}

fn policies(tour: &mut Tour<'_>) -> Result<()> {
    let policy = stage::policy().display().to_string();
    let changed = tour.stage.changed("shop-30s.json", "\"browser_ttl\": \"0s\"", "\"browser_ttl\": \"30s\"")?;
    let taken_up = "workers have it, after";
    let push = ["policy", "push", &policy, "--comment", "as-configured"];
    tour.command("A policy for the whole cluster", &push, &["version 1 is in force", taken_up])?;
    tour.ask("... it is the one that Envoy has: max-age=0", list("en"), &hit("max-age=0"))?;
    let diff = ["policy", "diff", NAME, &changed];
    tour.command("What another one would change", &diff, &["30s", "routes changed: product"])?;
    let push = ["policy", "push", &changed, "--base", "1"];
    tour.command("It is pushed, while visitors come", &push, &["version 2 is in force", taken_up])?;
    tour.ask("... and in the very next answer: max-age=30", list("en"), &hit("max-age=30"))?;
    tour.command("Back to the one before", &["policy", "rollback", NAME], &["version 1 is in force again", taken_up])?;
    tour.ask("... at once", list("en"), &hit("max-age=0"))?;
    Ok(())
}

fn shadow(tour: &mut Tour<'_>) -> Result<()> {
    let longer = tour.stage.changed("prices-30s.json", "\"ttl\": \"2s\"", "\"ttl\": \"30s\"")?;
    let shadow = ["policy", "shadow", &longer];
    tour.command("Prices for 30 s? In the shadow first", &shadow, &["version 3 is in the shadow"])?;
    let report = format!("/v1/policies/{NAME}/shadow");
    tour.look("Visitors make it tell", &format!("GET {report}"), WITHIN, |stage| {
        let report = stage.node(&report)?;
        let routes = report["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let price = routes.iter().find(|route| route["route"] == "product-price").unwrap_or(&Value::Null);
        let hits = |side: &str| price[side]["hits"].as_u64().unwrap_or_default();
        let said = format!(
            "of {} prices, {} hits now, {} in the shadow",
            price["active"]["requests"],
            hits("active"),
            hits("shadow")
        );
        Ok(if hits("active") > 0 && hits("shadow") > hits("active") { Ok(said) } else { Err(said) })
    })?;
    let said = tour.command("Its report", &["policy", "shadow", NAME, "--report"], &["product-price", "safe: "])?;
    said.lines().filter(|line| !line.is_empty()).for_each(|line| tour.table.event(line));
    let stop = ["policy", "shadow", NAME, "--stop"];
    tour.command("Enough seen", &stop, &["nothing is in the shadow any more"])?;
    Ok(())
}

fn watching(tour: &mut Tour<'_>, load: &Load) -> Result<()> {
    tour.look("No visitor was lost", "(4 visitors)", WITHIN, |_| {
        let (answered, failed) = load.so_far();
        Ok(match failed.as_slice() {
            [] if answered >= VISITS => Ok(format!("{answered} requests, none failed")),
            [] => Err(format!("{answered} requests only")),
            _ => Err(format!("of {answered} requests failed: {}", failed.join(", "))),
        })
    })?;
    tour.look("The dashboard's figures", "GET /v1/analytics", WITHIN, |stage| {
        let figures = stage.node("/v1/analytics")?;
        let (requests, ratio) = (&figures["totals"]["requests"], &figures["totals"]["hit_ratio"]);
        let routes = figures["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let product = routes.iter().find(|route| route["route"] == "product").unwrap_or(&Value::Null);
        let (standing, target) = (product["standing"].as_str().unwrap_or_default(), &product["target_hit_ratio"]);
        let marks = figures["marks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |kind: &str| marks.iter().any(|mark| mark["kind"] == kind);
        let percent = ratio.as_f64().unwrap_or_default() * 100.0;
        let said = format!("{requests} requests, {percent:.0}% hits; product, target {target}: {standing}");
        let good = requests.as_u64() >= Some(VISITS / 2) && target.is_number() && has("purge") && has("policy");
        Ok(if good { Ok(said) } else { Err(said) })
    })?;
    tour.look("The node keeps warm what the policy names", "GET /v1/warming", WITHIN, |stage| {
        let warming = stage.node("/v1/warming")?;
        let requests = warming["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
        let outcomes: Vec<&str> = requests.iter().filter_map(|request| request["last"]["outcome"].as_str()).collect();
        let good = outcomes.len() == 2 && outcomes.iter().all(|outcome| ["warmed", "fresh"].contains(outcome));
        let said = format!("2 requests: {}", outcomes.join(", "));
        Ok(if good { Ok(said) } else { Err(said) })
    })?;
    Ok(())
}
