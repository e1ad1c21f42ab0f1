//! Why Redis did not do what it was asked, in the three kinds that stores and logs tell apart.

use redis::{ErrorKind, RedisError, RetryMethod, ServerErrorKind};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection, or it was lost.
    Unreachable(String),
    /// No answer in time.
    TimedOut,
    /// An answer that says no.
    Refused(String),
}

impl Failure {
    /// Whether the connection is of no more use, the error having come over it.
    pub fn breaks(error: &RedisError) -> bool {
        // READONLY: this was the master. A Cluster's connection sees to that by itself and reports what it could not help.
        error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
    }

    /// Whether it was sent from one node of a cluster to another until that was enough. While a slot moves, a node that is asked out of
    /// turn is told so by a command of its own (ASKING), and requests that share the connection come between the two: they take
    /// the permission, and whoever it was for is sent back.
    pub fn redirects(error: &RedisError) -> bool {
        matches!(error.retry_method(), RetryMethod::MovedRedirect | RetryMethod::AskRedirect)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        // A server that loads its data, a cluster without a master for the slot: they will answer again, but do not now.
        let away = matches!(error.retry_method(), RetryMethod::WaitAndRetry | RetryMethod::RefreshSlotsAndRetry);
        if error.is_io_error() || error.is_unrecoverable_error() || away {
            return Self::Unreachable(error.to_string());
        }
        Self::Refused(error.to_string())
    }
}
