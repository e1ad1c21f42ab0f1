//! What can go wrong, by who finds out: whoever builds an invalidator, whoever asks for a purge.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::purge::InvalidPurge;

/// Why there is no invalidator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No node was named.
    #[error("name a node's admin plane: node(\"http://127.0.0.1:9902\")")]
    NoNode,
    /// A node's URL cannot be used.
    #[error("{url:?} is not the admin plane of a node: {why}")]
    Node {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// It works in the background, and there is no tokio runtime to do so.
    #[error("an invalidator is built within a tokio runtime")]
    NoRuntime,
    /// The queue's directory cannot be used.
    #[error("cannot keep purges in {directory}: {source}", directory = directory.display())]
    Directory {
        /// Which one.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another invalidator has the queue's directory, in this process or another one.
    #[error("{directory} is in use by another invalidator; each needs a directory of its own", directory = directory.display())]
    InUse {
        /// Which one.
        directory: PathBuf,
    },
    /// The token cannot be read, or sent.
    #[error("no token for the admin plane: {0}")]
    Token(String),
    /// Certificates cannot be used.
    #[error("no TLS to the admin plane: {0}")]
    Tls(String),
    /// The thread that writes cannot be started.
    #[error("no thread to keep purges with: {0}")]
    Thread(io::Error),
}

/// Why a purge is not queued, or not durably.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// No node would take it.
    #[error(transparent)]
    Invalid(#[from] InvalidPurge),
    /// The disk does not take it. It is queued in memory, will be sent, and will be written as soon as the disk takes it; until then it
    /// would be lost with the process.
    #[error("the purge is queued in memory only, the disk did not take it: {0}")]
    NotDurable(Arc<io::Error>),
    /// The invalidator was shut down before: this purge is not queued.
    #[error("the invalidator was shut down")]
    ShutDown,
}
