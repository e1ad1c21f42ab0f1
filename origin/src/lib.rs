//! Larder at the origin: the shared HTTP cache without an Envoy in front, or behind one that is down.
//!
//! The same policies, the same decisions and the same answers as Larder in Envoy: a tower layer ([`CacheLayer`]), a reverse proxy,
//! and the client by which application code invalidates what it has changed.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod changes;
#[cfg(feature = "invalidator")]
pub mod invalidator;
#[cfg(feature = "proxy")]
pub mod proxy;

mod body;
mod builder;
mod cache;
mod clock;
mod effects;
mod fetch;
mod handle;
mod head;
mod link;
mod refresh;
mod reply;
mod service;
mod stream;
mod tape;
mod telemetry;
mod upstream;

pub use body::{Body, BodyError, BoxError};
pub use builder::{BuildError, Builder, EDGE_KEY_VARIABLE};
pub use clock::{Clock, SystemClock};
pub use handle::{CloseError, Handle, UrlError};
pub use head::OriginFailure;
#[cfg(feature = "invalidator")]
pub use invalidator::{Invalidator, Purge};
pub use service::{CacheLayer, CacheService, ResponseFuture};
