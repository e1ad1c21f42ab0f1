//! larder-node: a member of the HTTP cache cluster.
//!
//! Keeps what the workers of many Envoys have stored, so that it serves the whole fleet and survives restarts, and keeps the
//! purge log that says what of it still counts. Decisions (what covers an entry, who gets a lease, which variant a request
//! selects) are larder-core's; this crate does the I/O: sockets, stores, disks, clocks.
//!
//! Map: `clock` (what time it is), `store` (bytes by name, on memory, disk, Redis, Memcached), `log` (purge records in order);
//! `slot` (how a key lies in a store), `following` (the purge table in step with the log), `desk` (answering), `workers` (who has
//! heard what), `purging` and `tokens` (who may purge, and did); `policies` (what was pushed, for workers to take up); `analytics` (what was reported, over time); `warming` (asking before clients do); `data` and `admin` (the two listeners), `running` (start and stop).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

mod admin;
pub mod analytics;
mod background;
pub mod clock;
mod counts;
mod data;
mod desk;
mod embedded;
mod following;
#[cfg(all(feature = "fuzzing", feature = "disk", feature = "memcached", feature = "redis"))]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod listener;
pub mod log;
pub mod policies;
mod purging;
#[cfg(feature = "redis")]
mod redis_link;
mod running;
mod shared;
mod slot;
pub mod store;
pub mod tokens;
pub mod warming;
mod workers;

pub use background::Background;
pub use embedded::Embedded;
pub use limits::Limits;
pub use running::{Config, Node, Running, StartError};
