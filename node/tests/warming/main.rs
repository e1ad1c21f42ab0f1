//! Warming: what is sent, and what is not; when a node does it, and which one.
//!
//! Against a proxy of the tests' own, which answers as it is told to and remembers what it was asked. Larder itself is warmed in the tests of
//! the command.

mod proxy;
mod run;
mod schedule;
#[cfg(feature = "redis")]
#[path = "../servers/mod.rs"]
mod servers;
#[cfg(feature = "redis")]
mod turns;
