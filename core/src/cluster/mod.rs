//! The second level: what workers and the nodes of the HTTP cache cluster say to one another, and how either decides.
//!
//! `message` is the language, `leases` who may fill a key, `desk` how a node answers a look-up, `together` what goes in one call, `breaker` when a worker stops asking,
//! `serving` what a node
//! says to clients, `membership` what a worker knows of its cluster, `subscription` which policies it takes up from there. No I/O: hosts carry messages.

pub mod breaker;
pub mod desk;
pub mod leases;
pub mod membership;
pub mod message;
pub mod serving;
pub mod subscription;
pub mod together;

pub use breaker::Breaker;
pub use membership::{Membership, Settings};
pub use subscription::Subscription;
pub use together::together;

use crate::time::Millis;

/// A call for the host to make to the cluster: a POST of this body to this path, with the key's name as `:authority`, which is what
/// Envoy's ring hash goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The path.
    pub path: &'static str,
    /// What chooses the node.
    pub name: String,
    /// The message.
    pub body: Vec<u8>,
    /// After this long it has failed.
    pub timeout: Millis,
    /// Calls of one group go to one node, as far as is known: hosts may put them together ([`together()`]). Zero is none.
    pub group: u32,
}

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallFailure {
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// An answer that no node gives, or one about something else.
    Nonsense,
}

impl CallFailure {
    /// The detail in `Cache-Status` and the reason in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "cluster-timeout",
            Self::Unreachable => "cluster-unreachable",
            Self::Nonsense => "cluster-nonsense",
        }
    }
}

/// How long a call may take that nobody waits for.
pub const TELL_TIMEOUT: Millis = Millis(5000);

/// Where the calls go that are not about a key: one node keeps track of all followers of the log.
pub const LOG_NAME: &str = "log";

/// The version of the protocol. A node and a worker of different versions do not understand each other, which is a miss.
pub const PROTOCOL: u8 = 2;

/// The field by which every answer of a node says what it is; its value is the protocol's version.
pub const MARKER: &str = "x-larder-node";

/// The request field that names the stored response to be served, on a request that Envoy is to route to a node.
pub const SERVE: &str = "x-larder-serve";
