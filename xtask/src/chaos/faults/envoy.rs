//! Envoys whose module crashes, and Envoys that are replaced.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::content::HOST;
use crate::chaos::span::Span;
use crate::chaos::stage::Stage;
use crate::http::{self, Request};

const EVERY: Duration = Duration::from_secs(1);

/// Sends a request each second to each Envoy that the module does not survive. (That request is lost: it is no client's.)
pub fn trap(stage: &mut Stage, span: &mut Span) -> Result<()> {
    ensure!(stage.parts.trapping.is_some(), "there is no module with a trap");
    let deadly = Request::get("/items/0").field("host", HOST).field("x-larder-trap", "now");
    let deaths = |stage: &Stage| -> Result<u64> {
        let counts = stage.larders().map(|edge| crate::envoy::stat(edge.admin, "wasm.envoy.wasm.runtime.v8.created"));
        counts.sum()
    };
    let before = deaths(stage)?;
    span.begin();
    let until = Instant::now() + span.each();
    let mut sent = 0;
    while Instant::now() < until {
        for edge in stage.larders() {
            // Whatever comes of it: an error, or nothing.
            let _ = http::send(edge.port, &deadly);
            sent += 1;
        }
        thread::sleep(EVERY);
    }
    span.end();
    span.note(format!("{sent} traps; {} VMs created anew", deaths(stage)?.saturating_sub(before)));
    Ok(())
}

/// Each Envoy in turn starts another one that takes over from it; the one without Larder as well.
pub fn hot_restart(stage: &mut Stage, span: &mut Span) -> Result<()> {
    span.begin();
    for edge in &mut stage.edges {
        edge.hot_restart()?;
    }
    span.end();
    Ok(())
}

/// Each Envoy in turn is ended and started again; the one without Larder as well.
pub fn restart(stage: &mut Stage, span: &mut Span) -> Result<()> {
    span.begin();
    let mut took = Vec::new();
    for edge in &mut stage.edges {
        took.push(edge.restart()?.as_millis());
    }
    span.end();
    let control = took.pop().context("there is no control")?;
    span.note(format!("nobody listened for {took:?} ms; {control} ms at the one without Larder"));
    Ok(())
}
