//! One contract for every store of policies, on real files and real servers that the tests start themselves; and two nodes that share one.
//!
//! `contract` says what every store must do, a file per store begins with its subjects and adds what only it can be put to.

mod contract;
mod disk;
mod memory;
#[cfg(feature = "redis")]
mod nodes;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[path = "../servers/mod.rs"]
mod servers;
#[cfg(feature = "redis")]
#[path = "../node/support.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod support;
