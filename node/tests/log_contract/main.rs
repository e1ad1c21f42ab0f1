//! One contract for every purge log, on real files and real servers that the tests start themselves.
//!
//! `contract` says what every log must do, a file per log begins with its subjects and adds what only it can be put to.

mod contract;
mod disk;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[path = "../servers/mod.rs"]
mod servers;
mod watch;
