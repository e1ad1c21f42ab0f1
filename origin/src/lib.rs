//! Larder at the origin: the shared HTTP cache without an Envoy in front, or behind one that is down.
//!
//! The same policies, the same decisions and the same answers as Larder in Envoy: a tower layer, a reverse proxy, and the
//! client by which application code invalidates what it has changed.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod changes;
#[cfg(feature = "invalidator")]
pub mod invalidator;

#[cfg(feature = "invalidator")]
pub use invalidator::{Invalidator, Purge};
