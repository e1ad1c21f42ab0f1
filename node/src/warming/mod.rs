//! Warming: asking for URLs before clients do, so that these find them in the cache.
//!
//! Requests go through Envoy (or another proxy with the cache), so that what is warmed is exactly what will be asked for, one for each
//! variant that the policy's key lists. What came of each is read from `Cache-Status` (RFC 9211).
//!
//! Invariant: nothing is connected to but [`Via`]. A URL's host becomes the `Host` of a request to that, and only where the policy has a
//! route for the host, or where it is a [`Site`] that was named: URLs from sitemaps, policies and redirects are others' input. Redirects
//! are followed only where asked for, to covered URLs; links are not read.
//!
//! Map: `target` (URLs, and where requests go), `coverage` (which of them), `plan` and `request` (what is asked for), `pace`, `connection`, `outcome`, `run`
//! (carrying out), `schedule/` (what a node does by itself).

mod connection;
mod coverage;
mod outcome;
mod pace;
mod plan;
mod request;
mod run;
pub(crate) mod schedule;
mod target;

pub use coverage::Coverage;
pub use outcome::{Done, Outcome};
pub use pace::Settings;
pub use plan::{Plan, Planner, Refused};
pub use request::Request;
pub use run::{Run, run};
pub use schedule::Schedule;
pub use target::{Site, Target, TargetError, Via};
