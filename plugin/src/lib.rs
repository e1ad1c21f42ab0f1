//! Larder as a proxy-wasm module for Envoy.
//!
//! Translates Envoy's callbacks into calls of larder-core's [`larder_core::Exchange`] and its verdicts and effects into
//! host calls. Decides nothing: what a header means is the core's business. Never panics on what it is given, since a
//! panic takes the worker's VM down with every request that is paused in it.
//!
//! Map: `root` (configuration, ticks, queues), `stream` (one request's callbacks), `effects` (work for other streams and for
//! the background), `refresh` (background calls to origins), `cluster` (calls to the cache
//! cluster), `peers` (purges between workers), `vm` (what the streams of a VM share),
//! `reply`, `head` and `edits` (heads and replies on the wire), `metrics`, `config`, `hop` (from a stream into its root),
//! `raw` (the ABI), `trap` (a crash on demand, in test builds only).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::arithmetic_side_effects
)]

mod cluster;
mod config;
mod edits;
mod effects;
mod environment;
mod head;
mod hop;
mod metrics;
mod peers;
mod raw;
mod refresh;
mod reply;
mod root;
mod stream;
#[cfg(feature = "trap")]
mod trap;
mod vm;

/// Called by the host once per VM, before anything else.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the host finds the function by its name")]
pub extern "C" fn _initialize() {
    std::panic::set_hook(Box::new(|info| raw::log(raw::Level::Critical, &format!("larder: {info}"))));
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}
