//! larder-node: a member of the HTTP cache cluster.
//!
//! Keeps what the workers of many Envoys have stored, so that it serves the whole fleet and survives restarts, and keeps the
//! purge log that says what of it still counts. Decisions (what covers an entry, who gets a lease, which variant a request
//! selects) are larder-core's; this crate does the I/O: sockets, stores, disks, clocks.
//!
//! Map: `clock` (what time it is), `store` (bytes by name, on memory, disk, Redis, Memcached), `log` (purge records in order).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

pub mod clock;
pub mod log;
#[cfg(feature = "redis")]
mod redis_link;
pub mod store;
