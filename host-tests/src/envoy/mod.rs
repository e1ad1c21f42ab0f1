//! Real Envoy under test: start it, talk to it, script the origin behind it.
//!
//! Holds what real-Envoy tests share: [`Setup`] and [`Envoy`] (the process), [`Origin`] (a scripted HTTP/1.1 server that sends
//! raw bytes), [`Client`] (an HTTP/1.1 client that sees raw bytes). Judges nothing; tests do. Nothing in here sleeps for
//! luck: whoever waits polls for a condition and gives up at a deadline, saying what it waited for.
//!
//! `LARDER_ENVOY` names the Envoy binary (else `envoy` in `$PATH`), `LARDER_WASM` the module (else `larder.wasm` in cargo's
//! target folder). `cargo xtask test` sets both.

mod client;
mod nodes;
mod origin;
mod process;
mod pushing;
mod template;
mod wait;
mod wallclock;

pub use client::{Client, Interim, Response, get, head, request};
pub use nodes::{NodeProcess, Redis, be_a_node_if_asked, endpoint};
pub use origin::{Answer, Gate, Origin, Seen};
pub use process::{Envoy, Setup, StartError, bootstrap_folder, envoy_binary, module_path};
pub use pushing::Pushing;
pub use template::render;
pub use wait::{LIMIT, until};
