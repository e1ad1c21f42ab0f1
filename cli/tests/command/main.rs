//! The `larder` command, run as people and supervisors run it.

mod metrics;
mod node;
mod proxy;
mod purge;
mod restart;
mod stats;
mod support;
