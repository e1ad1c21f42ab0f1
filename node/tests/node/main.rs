//! A node over real sockets, asked as workers ask it.

mod admin;
mod analytics;
mod dashboard;
mod fills;
mod framing;
mod hostile;
mod limits;
mod log;
mod lookups;
mod policies;
mod purges;
#[cfg(feature = "redis")]
#[path = "../servers/mod.rs"]
mod servers;
mod serving;
#[cfg(feature = "redis")]
mod sharing;
mod stores;
mod support;
mod variants;
