//! What a test can look at: what the client saw, what reached the origin, log lines, traps.

use super::config::LogLevel;
use super::message::{Headers, status_of};

/// How far the client's response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// More is to come.
    Pending,
    /// The whole response arrived.
    Complete,
    /// The connection was cut or the stream was reset before the end.
    Aborted,
}

/// What the client has seen so far, as on the wire.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// Status and headers of 1xx answers that were passed on.
    pub informational: Vec<Headers>,
    /// The response's headers, `:status` first; none before they came.
    pub headers: Option<Headers>,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Option<Headers>,
    /// Whether that was all.
    pub outcome: Outcome,
}

impl ClientView {
    pub(crate) fn new() -> Self {
        Self { informational: Vec::new(), headers: None, body: Vec::new(), trailers: None, outcome: Outcome::Pending }
    }

    /// The status, once headers came.
    pub fn status(&self) -> Option<u16> {
        self.headers.as_ref().map(status_of)
    }

    /// The first value of a response header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_ref()?.text(name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the whole response arrived.
    pub fn complete(&self) -> bool {
        self.outcome == Outcome::Complete
    }
}

/// A request as it left Envoy for its cluster.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// The cluster that the route chose.
    pub cluster: String,
    /// The route's name.
    pub route: String,
    /// Headers as the plugin left them, with those that Envoy adds.
    pub headers: Headers,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Option<Headers>,
    /// Whether the whole request was forwarded.
    pub complete: bool,
    /// Whether the test has begun to answer it.
    pub answered: bool,
    /// Whether Envoy gave the request up (client gone, local reply, time limit).
    pub reset: bool,
    pub(crate) sent_at: u64,
    pub(crate) deadline: Option<u64>,
}

impl UpstreamRequest {
    /// The method.
    pub fn method(&self) -> String {
        self.headers.text(":method").unwrap_or_default()
    }

    /// The path with its query.
    pub fn path(&self) -> String {
        self.headers.text(":path").unwrap_or_default()
    }

    /// The first value of a request header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }
}

/// A line that the plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The worker that logged it.
    pub worker: usize,
    /// Its severity.
    pub level: LogLevel,
    /// Its text.
    pub message: String,
}

/// The callback of a [`Trap`] that the test itself has sprung.
pub const KILLED: &str = "none";

/// A VM that died: a panic, an allocation beyond the limit.
#[derive(Clone, Debug)]
pub struct Trap {
    /// The worker whose VM died.
    pub worker: usize,
    /// The callback that it died in.
    pub callback: &'static str,
    /// wasmtime's description, with the wasm backtrace where there is one.
    pub message: String,
}

/// How an origin can fail before its response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// The connection was refused: 503.
    ConnectionRefused,
    /// The connection was closed or reset after the request was sent: 503.
    ConnectionReset,
    /// The route's time limit passed: 504.
    Timeout,
    /// No host of the cluster is healthy: 503.
    NoHealthyHost,
}

impl UpstreamFailure {
    /// Status, body and `response.code_details` of Envoy's own reply.
    pub(crate) fn reply(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::ConnectionRefused => (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
            ),
            Self::ConnectionReset => (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Self::Timeout => (504, "upstream request timeout", "response_timeout"),
            Self::NoHealthyHost => (503, "no healthy upstream", "no_healthy_upstream"),
        }
    }
}
