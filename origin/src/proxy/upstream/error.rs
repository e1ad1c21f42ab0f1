//! Why there is no response of the origin, and what the client is told about it.

use std::io;

use http::StatusCode;

use crate::head::OriginFailure;
use crate::proxy::body::BodyError;

/// Why there is no response of the origin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Its name could not be resolved.
    #[error("the origin's name cannot be resolved: {0}")]
    Unresolved(#[source] io::Error),
    /// Nobody listens there.
    #[error("the origin refuses connections")]
    Refused,
    /// It cannot be reached.
    #[error("the origin cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// Connecting took longer than `connect_timeout_ms`.
    #[error("connecting to the origin took too long")]
    ConnectTimedOut,
    /// No TLS with it: another certificate than expected, another protocol.
    #[error("no TLS with the origin: {0}")]
    Tls(#[source] io::Error),
    /// Its response did not begin within `response_timeout_ms`.
    #[error("the origin did not answer in time")]
    TimedOut,
    /// The connection ended before the response began.
    #[error("the origin closed the connection without an answer: {0}")]
    Closed(#[source] hyper::Error),
    /// What it sent is no HTTP response, or one over the limits.
    #[error("the origin's answer is no response: {0}")]
    Nonsense(#[source] hyper::Error),
    /// It coded the body for its transfer in another way than chunked, though nobody had said to take that.
    #[error("the origin's answer has a transfer coding other than chunked")]
    Coding,
    /// It changed the protocol though nobody had asked it to.
    #[error("the origin changed the protocol unasked")]
    SwitchedUnasked,
    /// The client's body did not come to an end, so the request did not either.
    #[error("the request's body failed: {0}")]
    Request(#[source] BodyError),
    /// The request cannot be sent to any origin.
    #[error("the request cannot be sent: {0}")]
    Unsendable(#[source] http::Error),
}

impl UpstreamError {
    /// The status for the client, where no cache had anything better.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectTimedOut | Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Request(BodyError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Request(BodyError::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Request(_) | Self::Unsendable(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The error's name in `Proxy-Status` (RFC 9209 2.3), and in counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unresolved(_) => "dns_error",
            Self::Refused => "connection_refused",
            Self::Unreachable(_) => "destination_ip_unroutable",
            Self::ConnectTimedOut => "connection_timeout",
            Self::Tls(_) => "tls_protocol_error",
            Self::TimedOut => "http_response_timeout",
            Self::Closed(_) => "connection_terminated",
            Self::Nonsense(_) => "http_protocol_error",
            Self::Coding => "http_response_transfer_coding",
            Self::SwitchedUnasked => "http_upgrade_failed",
            Self::Request(_) | Self::Unsendable(_) => "http_request_error",
        }
    }

    /// What it is for the layer, where the origin is to blame.
    pub(crate) fn failure(&self) -> Option<OriginFailure> {
        match self {
            Self::Request(_) | Self::Unsendable(_) => None,
            Self::TimedOut => Some(OriginFailure::Timeout),
            Self::Closed(_) => Some(OriginFailure::Reset),
            error if error.is_connecting() => Some(OriginFailure::Connect),
            _ => Some(OriginFailure::Other),
        }
    }

    /// Whether no byte of the request can have reached the origin.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(
            self,
            Self::Unresolved(_) | Self::Refused | Self::Unreachable(_) | Self::ConnectTimedOut | Self::Tls(_)
        )
    }
}
