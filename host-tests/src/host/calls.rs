//! HTTP calls that the plugin dispatched to clusters, as the test sees and answers them.

use std::time::Duration;

use super::message::Headers;

/// Names one HTTP call of a [`Host`](super::Host).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) u64);

/// A call that waits for its answer.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// The worker whose VM dispatched it.
    pub worker: usize,
    /// The cluster that was called.
    pub cluster: String,
    /// Headers as the cluster gets them, with those that Envoy adds.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// The time limit; `None` means for ever.
    pub timeout: Option<Duration>,
    pub(crate) generation: usize,
    pub(crate) root: u32,
    pub(crate) token: u32,
    pub(crate) deadline: Option<u64>,
}

impl Call {
    /// The method.
    pub fn method(&self) -> String {
        self.headers.text(":method").unwrap_or_default()
    }

    /// The path with its query.
    pub fn path(&self) -> String {
        self.headers.text(":path").unwrap_or_default()
    }
}

/// What comes back from a call, as the root context may read it during its callback.
#[derive(Clone, Debug)]
pub(crate) enum CallReply {
    Answered { headers: Headers, body: Vec<u8>, trailers: Option<Headers> },
    Failed,
}
