//! The targets, one a file.

mod cache_control;
mod callbacks;
mod cases;
mod configuration;
mod date;
mod edge;
mod exchange;
mod fields;
mod files;
mod key;
mod message;
mod module;
mod node;
mod policy;
mod range;
mod record;
mod scenario;
mod structured;
mod words;

pub use module::tell_covered;

use crate::Target;

/// All of them, in order of their names.
pub const ALL: &[Target] = &[
    text("cache-control", "Cache-Control, against a reading of RFC 9111 5.2", 512, cache_control::run),
    module("callbacks", "callbacks of larder.wasm in wasmtime, in any order", 1024, callbacks::run),
    seeded(&["policies"], text("cases", "test cases of policies; each becomes a scenario", 8192, cases::run)),
    seeded(
        &["policies"],
        module("configuration", "the plugin's configuration, in larder.wasm", 4096, configuration::run),
    ),
    text("date", "HTTP dates, against httpdate", 64, date::run),
    text("edge", "the marker between edge and origin", 256, edge::run),
    text("exchange", "the core's machine, driven in any order", 1024, exchange::run),
    text("fields", "entity tags, Vary, negotiation, cookies, tags, Connection", 512, fields::run),
    text("files", "what a node reads from disk and from other servers", 512, files::run),
    text("key", "cache keys, against the policy's normalisation", 256, key::run),
    text("message", "messages between workers and nodes", 1024, message::run),
    text("node", "a real node on loopback: raw bytes, and messages in order", 1024, node::run),
    seeded(&["policies"], text("policy", "policy files and routing", 8192, policy::run)),
    text("range", "Range and Content-Range, against RFC 9110 14", 128, range::run),
    text("record", "the wire form of entries", 1024, record::run),
    seeded(&["scenarios"], text("scenario", "scenario files", 4096, scenario::run)),
    text("structured", "structured fields, against sfv", 512, structured::run),
];

const fn text(name: &'static str, about: &'static str, bytes_max: usize, run: fn(&[u8])) -> Target {
    Target { name, about, bytes_max, needs_module: false, seeds: &[], run }
}

const fn module(name: &'static str, about: &'static str, bytes_max: usize, run: fn(&[u8])) -> Target {
    Target { name, about, bytes_max, needs_module: true, seeds: &[], run }
}

const fn seeded(seeds: &'static [&'static str], target: Target) -> Target {
    Target { seeds, ..target }
}
