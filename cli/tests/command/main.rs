//! The `larder` command, run as people and supervisors run it.

mod node;
mod purge;
mod restart;
mod stats;
mod support;
