//! The core's replies as `http` has them.
//!
//! The fields that a stored response always has are made once, and go with the entry.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use larder_core::exchange::{Reply, ReplyBody};
use larder_core::fields::Fields;

use crate::body::Body;
use crate::head::{add, append, set};

/// What a line of a [`Made`] takes, beside its name and value.
pub(crate) const LINE_BYTES: u64 = size_of::<(HeaderName, HeaderValue)>() as u64;

/// Fields that many replies share.
struct Made {
    lines: Box<[(HeaderName, HeaderValue)]>,
    /// The length of the body that the first reply had, as most others have it.
    length: (u64, HeaderValue),
}

impl Made {
    /// What `http` cannot carry is left out.
    fn of(fields: &Fields, length: u64) -> Self {
        // All values lie in one block.
        let mut values = BytesMut::with_capacity(fields.iter().map(|line| line.value.len()).sum());
        let names = fields.iter().filter_map(|line| {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            HeaderValue::from_bytes(&line.value).ok()?;
            values.extend_from_slice(&line.value);
            Some((name, line.value.len()))
        });
        let names: Vec<_> = names.collect();
        let mut values = values.freeze();
        let lines = names.into_iter().filter_map(|(name, length)| {
            let value = values.split_to(length);
            Some((name, HeaderValue::from_maybe_shared(value).ok()?))
        });
        Self { lines: lines.collect(), length: (length, HeaderValue::from(length)) }
    }

    fn length(&self, length: u64) -> HeaderValue {
        if self.length.0 == length { self.length.1.clone() } else { HeaderValue::from(length) }
    }
}

/// A reply with its body, or with the one given.
pub(crate) fn reply(reply: &Reply, body: Option<(Option<u64>, Body)>) -> Response<Body> {
    let (length, body) = body.unwrap_or_else(|| {
        let bytes = body_of(reply);
        let length = (!matches!(reply.status, 204 | 304)).then_some(bytes.len() as u64);
        (length, if reply.head_only { Body::empty() } else { Body::from(bytes) })
    });
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let lines = reply.base.len().saturating_add(reply.extra.len()).saturating_add(1);
    // One field too many is left out below.
    let _ = headers.try_reserve(lines);
    let made = reply.base.made(|fields| Made::of(fields, length.unwrap_or_default()));
    for (name, value) in made.iter().flat_map(|made| &made.lines) {
        append(headers, name.clone(), value.clone());
    }
    reply.extra.iter().for_each(|line| add(headers, &line.name, &line.value));
    if let Some(length) = length {
        set(headers, CONTENT_LENGTH, made.map_or_else(|| HeaderValue::from(length), |made| made.length(length)));
    }
    response
}

fn body_of(reply: &Reply) -> Bytes {
    match &reply.body {
        ReplyBody::Empty => Bytes::new(),
        ReplyBody::Stored { entry, from, to } => {
            let body = &entry.facts().body;
            if *from <= *to && *to <= body.len() { body.slice(*from..*to) } else { Bytes::new() }
        }
        ReplyBody::Text(text) => Bytes::from_static(text.as_bytes()),
        ReplyBody::Bytes(bytes) => bytes.clone(),
    }
}
