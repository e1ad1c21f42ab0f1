//! Sending the core's replies, and mending what Envoy makes of them.
//!
//! Envoy adds `content-type: text/plain` to a body without one and takes `content-type` and `content-length` from a reply
//! without a body. Where the reply is made in the request's path, its head comes by once more and can be mended there; made in
//! the response's path it passes no filter again. Most replies need no mending, and then nothing is called.

use larder_core::exchange::Reply;

use crate::raw::{self, Map, Status};
use crate::{head, metrics};

/// What is to be done when the head of a reply comes by.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Mend {
    /// Nothing.
    #[default]
    Nothing,
    /// Envoy added a `content-type`.
    RemoveContentType,
    /// Envoy took the fields that describe the empty body.
    EmptyBody(Option<Vec<u8>>),
}

/// Where a reply is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Request,
    Response,
}

/// Sends a reply for the effective context.
pub fn send(reply: &Reply, path: Path) -> Result<Mend, Status> {
    let body = reply.body();
    let content_type = reply.fields().find(|field| field.name == "content-type").map(|field| &*field.value);
    // RFC 9110 8.3: content without a type is application/octet-stream, should nobody look closer; text/plain it is not.
    let default = (path == Path::Response && content_type.is_none() && !body.is_empty())
        .then_some(("content-type", &b"application/octet-stream"[..]));
    let mut lines = Vec::with_capacity(reply.base.len().saturating_add(reply.extra.len()).saturating_add(1));
    // What is shared with the store was looked at when it was judged.
    lines.extend(reply.base.iter().map(|field| (field.name.as_str(), &*field.value)));
    for field in reply.extra.iter() {
        if head::is_clean(&field.value) {
            lines.push((field.name.as_str(), &*field.value));
        } else {
            metrics::note_unclean();
        }
    }
    lines.extend(default);
    raw::send_response(reply.status, &head::write(&lines), body)?;
    let bodiless = matches!(reply.status, 204 | 304);
    Ok(match content_type {
        _ if path == Path::Response || bodiless => Mend::Nothing,
        content_type if body.is_empty() && (content_type.is_some() || reply.head_only) => {
            Mend::EmptyBody(content_type.filter(|value| head::is_clean(value)).map(<[u8]>::to_vec))
        }
        None if !body.is_empty() => Mend::RemoveContentType,
        _ => Mend::Nothing,
    })
}

/// Mends the head of a reply that comes by.
pub fn mend(mend: Mend) {
    match mend {
        Mend::Nothing => {}
        Mend::RemoveContentType => {
            let _ = raw::remove_field(Map::Response, "content-type");
        }
        Mend::EmptyBody(content_type) => {
            if let Some(content_type) = content_type {
                let _ = raw::set_field(Map::Response, "content-type", &content_type);
            }
            let _ = raw::set_field(Map::Response, "content-length", b"0");
        }
    }
}
