//! A way to a Redis or Valkey server, a Sentinel's master, or a Cluster: what the store and the log on Redis share.
//!
//! Decides how long anything may take, when a connection counts as lost and when it is tried again. Knows no keys and no values.
//!
//! Invariants: nothing waits longer than its time limit, whatever the server does; while there is no connection, requests fail at
//! once instead of waiting for one; what is secret in a URL is in no error and no log line.
//!
//! Of redis-rs only the connections themselves are used, for these reasons, read in the source of 1.8.1: its `ConnectionManager`
//! lets requests wait for a reconnect with all its retries; its Sentinel client asks with its own default time limits (1 s and
//! 500 ms per sentinel); a multiplexed connection on which answers stopped coming is never given up. Its cluster connection finds
//! slots and follows MOVED and ASK, and is used as it is, with a limit around the whole request.

mod address;
mod connect;
mod failure;
mod link;
mod pool;
mod sentinel;

pub(crate) use address::{Address, redacted};
pub(crate) use connect::{Connector, Way};
pub(crate) use failure::Failure;
pub(crate) use pool::Pool;
