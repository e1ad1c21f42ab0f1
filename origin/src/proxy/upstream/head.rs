//! Heads as they go to an origin and as they come from it: the target's form, framing, `Host`, `Via`, `Date`.

use std::time::SystemTime;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, request, response};
use http_body::Body;

use super::HostField;
use super::outgoing::{Gate, Outgoing};
use crate::proxy::fields::forwarded::Sender;
use crate::proxy::fields::{forwarded, hop, via};
use crate::proxy::origin::Origin;

/// A request for HTTP/1.1, and what holds its body back where the client waits to be asked for it.
pub(super) fn http1(
    mut parts: request::Parts,
    body: Outgoing,
    origin: &Origin,
    host: HostField,
    upgrade: Option<&HeaderValue>,
) -> Result<(Request<Outgoing>, Option<Gate>), http::Error> {
    prepare(&mut parts, &body);
    let value = match (host, parts.uri.authority()) {
        (HostField::Client, Some(authority)) => HeaderValue::from_str(authority.as_str())?,
        _ => origin.host_field().clone(),
    };
    parts.headers.insert(header::HOST, value);
    let mut connection: Vec<&str> = Vec::new();
    if parts.headers.contains_key(header::TE) {
        connection.push("te");
    }
    if let Some(protocol) = upgrade {
        parts.headers.insert(header::UPGRADE, protocol.clone());
        connection.push("upgrade");
    }
    if !connection.is_empty() {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_str(&connection.join(", "))?);
    }
    // Said outright: hyper leaves out a body of unknown length where the method is GET.
    if !body.is_end_stream() && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    parts.uri = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    let waits = !body.is_end_stream()
        && parts
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !waits {
        parts.headers.remove(header::EXPECT);
        return Ok((Request::from_parts(parts, body), None));
    }
    let (body, gate) = body.behind_gate();
    let mut request = Request::from_parts(parts, body);
    let opens = gate.clone();
    hyper::ext::on_informational(&mut request, move |response| {
        if response.status() == http::StatusCode::CONTINUE {
            opens.open();
        }
    });
    Ok((request, Some(gate)))
}

/// A request for HTTP/2.
pub(super) fn http2(
    mut parts: request::Parts,
    body: Outgoing,
    origin: &Origin,
    host: HostField,
) -> Result<Request<Outgoing>, http::Error> {
    prepare(&mut parts, &body);
    let authority = match (host, parts.uri.authority()) {
        (HostField::Client, Some(authority)) => authority.clone(),
        _ => origin.to_authority().clone(),
    };
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::builder().scheme(origin.to_scheme().clone()).authority(authority).path_and_query(path).build()?;
    parts.version = Version::HTTP_2;
    parts.headers.remove(header::HOST);
    // The client of hyper does not pass interim responses of HTTP/2 on, so nobody would be told to go on.
    parts.headers.remove(header::EXPECT);
    Ok(Request::from_parts(parts, body))
}

fn prepare(parts: &mut request::Parts, body: &Outgoing) {
    hop::strip(&mut parts.headers);
    via::add(&mut parts.headers, parts.version);
    if let Some(sender) = parts.extensions.remove::<Sender>() {
        forwarded::say(&mut parts.headers, &sender, parts.uri.authority());
    }
    parts.version = Version::HTTP_11;
    // A request that a cache makes of a client's may have lost its body, and must then not announce one.
    if body.is_end_stream() {
        parts.headers.remove(header::CONTENT_LENGTH);
        if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
}

/// A response as it came.
pub(super) fn received(parts: &mut response::Parts) {
    hop::strip(&mut parts.headers);
    parts.headers.remove(header::TE);
    via::add(&mut parts.headers, parts.version);
    parts.version = Version::HTTP_11;
    // RFC 9110 6.6.1 (MUST): whoever has a clock says when it came.
    if !parts.headers.contains_key(header::DATE)
        && let Ok(now) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now()))
    {
        parts.headers.insert(header::DATE, now);
    }
}

/// A response that changes the protocol: the one that names what it changes to.
pub(super) fn switched(parts: &mut response::Parts) {
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    received(parts);
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
}
