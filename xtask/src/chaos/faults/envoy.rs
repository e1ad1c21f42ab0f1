//! Envoys whose module crashes, and Envoys that are replaced.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::content::HOST;
use crate::chaos::span::Span;
use crate::chaos::stage::Stage;
use crate::http::{self, Request};

/// Between the traps of an Envoy: less than the second for which Envoy by default does not replace a VM again.
const EVERY: Duration = Duration::from_millis(300);
const TRAPS: usize = 4;

/// Sends some requests to each Envoy that the module does not survive, one soon after the other. (They are lost: they are no client's.)
pub fn trap(stage: &mut Stage, span: &mut Span) -> Result<()> {
    ensure!(stage.parts.trapping.is_some(), "there is no module with a trap");
    let deadly = Request::get("/items/0").field("host", HOST).field("x-larder-trap", "now");
    let deaths = |stage: &Stage| -> Result<u64> {
        let counts = stage.larders().map(|edge| crate::envoy::stat(edge.admin, "wasm.envoy.wasm.runtime.v8.created"));
        counts.sum()
    };
    let before = deaths(stage)?;
    span.begin();
    for _ in 0..TRAPS {
        for edge in stage.larders() {
            // Whatever comes of it: an error, or nothing.
            let before = Instant::now();
            let _ = http::send(edge.port, &deadly);
            span.traps.push((before, Instant::now()));
        }
        thread::sleep(EVERY);
    }
    span.end();
    let created = deaths(stage)?.saturating_sub(before);
    span.note(format!("{} traps; {created} VMs created anew", span.traps.len()));
    ensure!(created > 0, "no VM was replaced: did the module trap?");
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
