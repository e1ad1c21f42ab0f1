//! The `larder` command, run as people and supervisors run it.

mod metrics;
mod node;
mod policy;
mod proxy;
mod purge;
mod restart;
mod stats;
mod support;
mod warm;
