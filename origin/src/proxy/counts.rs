//! What the proxy counts, by the `metrics` facade: whoever installs a recorder sees it beside what the cache counts.

use std::time::Duration;

use http::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const REQUESTS: &str = "larder_proxy_requests_total";
const REQUEST_SECONDS: &str = "larder_proxy_request_seconds";
const BODY_BYTES: &str = "larder_proxy_response_bytes_total";
const IN_FLIGHT: &str = "larder_proxy_requests_in_flight";
const CONNECTIONS: &str = "larder_proxy_connections";
const REFUSED: &str = "larder_proxy_refused_total";
const UPSTREAM: &str = "larder_proxy_upstream_requests_total";
const UPSTREAM_SECONDS: &str = "larder_proxy_upstream_seconds";
const UPSTREAM_ERRORS: &str = "larder_proxy_upstream_errors_total";
const RETRIES: &str = "larder_proxy_retries_total";
const TUNNELS: &str = "larder_proxy_tunnels";

/// Says what each name means, to whichever recorder is installed.
pub(super) fn describe() {
    describe_counter!(REQUESTS, "Responses to clients, by status class and how they ended");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "From a request's head to its response's head");
    describe_counter!(BODY_BYTES, Unit::Bytes, "Bytes of bodies given to clients");
    describe_gauge!(IN_FLIGHT, "Requests that are worked on");
    describe_gauge!(CONNECTIONS, "Open connections, to clients and to origins");
    describe_counter!(REFUSED, "Connections that ended before a request was understood, by reason");
    describe_counter!(UPSTREAM, "Responses of origins, by status class");
    describe_histogram!(UPSTREAM_SECONDS, Unit::Seconds, "From a request to the head of the origin's response");
    describe_counter!(UPSTREAM_ERRORS, "Requests that no origin answered, by reason");
    describe_counter!(RETRIES, "Requests sent anew because a kept connection was gone");
    describe_gauge!(TUNNELS, "Connections that have changed the protocol");
}

/// The first digit of a status, as a label.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// A response's head was made.
pub(super) fn answered(took: Duration) {
    histogram!(REQUEST_SECONDS).record(took.as_secs_f64());
}

/// A response has ended.
pub(super) fn ended(status: Option<StatusCode>, how: &'static str, bytes: u64) {
    counter!(REQUESTS, "status" => status.map_or("none", class), "end" => how).increment(1);
    counter!(BODY_BYTES).increment(bytes);
}

/// A connection was of no use.
pub(super) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// An origin was asked.
pub(super) fn upstream(took: Duration, answered: Result<StatusCode, &'static str>) {
    histogram!(UPSTREAM_SECONDS).record(took.as_secs_f64());
    match answered {
        Ok(status) => counter!(UPSTREAM, "status" => class(status)).increment(1),
        Err(error) => counter!(UPSTREAM_ERRORS, "error" => error).increment(1),
    }
}

/// A request was sent anew.
pub(super) fn retried() {
    counter!(RETRIES).increment(1);
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client,
    Origin,
    Tunnel,
    Request,
}

/// Something open; counted while it lives.
#[derive(Debug)]
pub(super) struct Open(Side);

impl Open {
    pub(super) fn new(side: Side) -> Self {
        Self::gauge(side).increment(1.0);
        Self(side)
    }

    fn gauge(side: Side) -> metrics::Gauge {
        match side {
            Side::Client => gauge!(CONNECTIONS, "side" => "client"),
            Side::Origin => gauge!(CONNECTIONS, "side" => "origin"),
            Side::Tunnel => gauge!(TUNNELS),
            Side::Request => gauge!(IN_FLIGHT),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        Self::gauge(self.0).decrement(1.0);
    }
}
