//! Every request is answered once, and memory stays within what was given.
//!
//! That no request is answered twice is the host's to see: a second head for a stream stops it.

use super::super::books::Books;
use super::super::clients::Client;
use super::super::fleet::Fleet;
use crate::host::KILLED;

/// Wasm memory beyond what was given for responses: code, tables, streams.
const BESIDE_BYTES: usize = 24 << 20;

/// Nobody waits any more.
pub(super) fn end(left: Option<&Client>) -> Result<(), String> {
    match left {
        None => Ok(()),
        Some(client) => Err(format!("request #{} {:?} was never answered", client.number, client.ask)),
    }
}

/// Memory, traps, refusals.
pub(super) fn budgets(books: &Books, fleet: &Fleet) -> Result<(), String> {
    for (number, envoy) in fleet.envoys.iter().enumerate() {
        if let Some(trap) = envoy.host.traps().iter().find(|trap| trap.callback != KILLED) {
            return Err(format!("a VM of envoy {number} died: {trap:?}"));
        }
        let (metrics, limit) = (envoy.host.metrics(), books.options.l1_bytes);
        for (name, bytes) in metrics.iter().filter(|(name, _)| name.starts_with("larder_l1_bytes")) {
            if *bytes > limit {
                return Err(format!("envoy {number}: {name} is {bytes}, {limit} were given"));
            }
        }
        for worker in 0..books.options.workers {
            let (bytes, live) = (envoy.host.memory_bytes(worker), envoy.host.live_streams(worker));
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(BESIDE_BYTES);
            if bytes > limit {
                return Err(format!(
                    "worker {worker} of envoy {number} has {bytes} bytes of wasm memory, over {limit}"
                ));
            }
            if live > 0 {
                return Err(format!("worker {worker} of envoy {number} keeps {live} streams that have ended"));
            }
        }
    }
    Ok(())
}
