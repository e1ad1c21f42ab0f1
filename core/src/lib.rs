//! larder-core: every caching decision of Larder, for every host.
//!
//! The plugin in Envoy, the layer at the origin and the simulator drive the same [`Exchange`]; they translate, the
//! core decides. There is no I/O, no clock, no async and no randomness in here: `now` and seeds are parameters,
//! verdicts are return values, effects go to a sink. Nothing panics on input.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]
#![forbid(unsafe_code)]

pub mod binary;
pub mod cluster;
pub mod decide;
pub mod edge;
pub mod entry;
pub mod exchange;
pub mod explain;
pub mod field;
pub mod fields;
pub mod flights;
pub mod judged;
pub mod key;
pub mod policy;
pub mod purge;
pub mod shadow;
pub mod shelf;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod time;
pub mod worker;

pub use exchange::{Effect, Exchange};
pub use fields::{Fields, RequestHead, ResponseHead};
pub use policy::Policy;
pub use time::Timestamp;
pub use worker::Worker;
