//! The second level: what workers and the nodes of the HTTP cache cluster say to one another, and how either decides.
//!
//! `message` is the language, `leases` who may fill a key, `desk` how a node answers a look-up, `breaker` when a worker stops asking,
//! `serving` what a node
//! says to clients, `membership` what a worker knows of its cluster. No I/O: hosts carry messages.

pub mod breaker;
pub mod desk;
pub mod leases;
pub mod membership;
pub mod message;
pub mod serving;

pub use breaker::Breaker;
pub use membership::{Membership, Settings};

/// The version of the protocol. A node and a worker of different versions do not understand each other, which is a miss.
pub const PROTOCOL: u8 = 1;

/// The field by which every answer of a node says what it is; its value is the protocol's version.
pub const MARKER: &str = "x-larder-node";

/// The request field that names the stored response to be served, on a request that Envoy is to route to a node.
pub const SERVE: &str = "x-larder-serve";
