//! What Envoy itself does to messages at its edges: inline headers, hop-by-hop fields, local replies, HTTP/1 framing.
//!
//! Decides forms of messages only; when they move is decided in `chain.rs`.

use std::time::{Duration, UNIX_EPOCH};

use super::config::Config;
use super::message::{Headers, Protocol, Request, status_of};
use super::stream::Direction;

/// Repeated fields that Envoy keeps as one, joined with a comma; all others stay separate.
const JOINED_REQUEST: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "content-type",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];
const JOINED_RESPONSE: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "server",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "x-envoy-upstream-service-time",
];

fn joined(direction: Direction, name: &str) -> bool {
    let list = if direction == Direction::Request { JOINED_REQUEST } else { JOINED_RESPONSE };
    list.contains(&name)
}

/// Adds a field as Envoy's header map does.
pub(crate) fn add(headers: &mut Headers, direction: Direction, name: &str, value: &[u8]) {
    match headers.first_mut(name) {
        Some(present) if joined(direction, name) => {
            present.push(b',');
            present.extend_from_slice(value);
        }
        _ => headers.append(name, value),
    }
}

/// Replaces a field as Envoy's header map does (`setCopy`).
pub(crate) fn replace(headers: &mut Headers, name: &str, value: &[u8]) {
    headers.set(name, value);
}

/// A list as Envoy's parser leaves it: joined where it joins.
pub(crate) fn parsed(headers: &Headers, direction: Direction) -> Headers {
    let mut out = Headers::new();
    for (name, value) in headers.iter() {
        add(&mut out, direction, name, value);
    }
    out
}

/// A client's request headers as the first filter sees them.
pub(crate) fn request_headers(request: &Request, config: &Config, serial: u64) -> Headers {
    let mut headers = request.headers.clone();
    if !request.body.is_empty() && request.trailers.is_none() && !request.open && !headers.contains("content-length") {
        headers.append("content-length", request.body.len().to_string());
    }
    let nominated: Vec<String> = headers.all("connection");
    if !headers.contains("upgrade") {
        for name in nominated.iter().flat_map(|list| list.split(',')).map(str::trim) {
            if !name.is_empty() && !name.starts_with(':') && !name.eq_ignore_ascii_case("te") {
                headers.remove(name);
            }
        }
        for name in ["connection", "keep-alive", "proxy-connection"] {
            headers.remove(name);
        }
    }
    let mut headers = parsed(&headers, Direction::Request);
    if config.envoy_headers {
        let scheme = headers.text(":scheme").unwrap_or_default();
        headers.set("x-forwarded-proto", scheme);
        headers.set("x-request-id", format!("00000000-0000-4000-8000-{serial:012x}"));
    }
    headers
}

/// A reply that Envoy makes itself, for the plugin or on its own account.
#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub status: u16,
    pub details: String,
    pub body: Vec<u8>,
    pub headers: Headers,
    pub grpc_status: Option<u8>,
}

impl LocalReply {
    pub fn envoy(status: u16, body: &str, details: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { status, details: details.to_owned(), body, headers: Headers::new(), grpc_status: None }
    }

    /// The response headers as they enter the filter chain or, in the response path, go out directly.
    pub fn response_headers(&self) -> Headers {
        let mut headers = Headers::new();
        headers.append(":status", self.status.to_string());
        for (name, value) in self.headers.iter() {
            if name != ":status" {
                add(&mut headers, Direction::Response, name, value);
            }
        }
        if let Some(status) = self.grpc_status {
            headers.set("grpc-status", status.to_string());
        }
        if self.body.is_empty() {
            headers.remove("content-length");
            headers.remove("content-type");
        } else {
            headers.set("content-length", self.body.len().to_string());
            if !headers.contains("content-type") {
                headers.append("content-type", "text/plain");
            }
        }
        headers
    }
}

/// Response headers as they leave on the wire: hop-by-hop fields removed, `date`, `server` and framing set.
pub(crate) fn client_headers(
    headers: &Headers,
    end: bool,
    method: &str,
    protocol: Protocol,
    config: &Config,
    now: u64,
) -> Headers {
    let mut out = headers.clone();
    let status = status_of(&out);
    if status != 101 {
        out.remove("connection");
    }
    out.remove("transfer-encoding");
    if !out.contains("date") {
        out.append("date", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(now)));
    }
    if !config.server_header_pass_through {
        out.set("server", "envoy");
    }
    let bodiless_status = matches!(status, 100..=199 | 204 | 304);
    if protocol == Protocol::Http1 && !bodiless_status && !out.contains("content-length") {
        if end && method != "HEAD" {
            out.append("content-length", "0");
        } else {
            out.append("transfer-encoding", "chunked");
        }
    }
    out
}

/// Whether bytes of a body go out at all.
pub(crate) fn has_body(status: u16, method: &str) -> bool {
    method != "HEAD" && !matches!(status, 100..=199 | 204 | 304)
}
