//! A stored response as plain HTTP, for Envoy to stream.

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use larder_core::cluster::SERVE;
use larder_core::cluster::serving::Label;
use larder_core::exchange::{Reply, ReplyBody};
use larder_core::fields::{Fields, RequestHead};

use super::answer::{MISS, Pieces, marked};
use crate::counts::Turned;
use crate::shared::Shared;
use crate::slot::KeyName;

/// Fields that are this connection's own, or this answer's: none of them comes out of a store.
const NOT_FROM_A_STORE: [&str; 7] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Answers a request that names what it wants from the store.
pub(crate) async fn serve<B>(shared: &Shared, request: &Request<B>) -> Result<Response<Pieces>, Turned> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Turned::Method);
    }
    let name = request.headers().get(SERVE).and_then(|name| name.to_str().ok());
    let key = name.and_then(KeyName::new).ok_or(Turned::Malformed)?;
    let fields = request.headers().iter().filter(|(name, _)| name.as_str() != SERVE);
    let fields = Fields::from_pairs(fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())));
    let head = RequestHead { method: request.method().as_str().to_owned(), fields, ..RequestHead::default() };
    Ok(match shared.desk.serve(&key, &head).await {
        Some((reply, label)) => {
            let mut response = response(&reply, label);
            // Whoever asked holds this against what it asked for.
            if let Ok(name) = HeaderValue::from_str(key.as_str()) {
                response.headers_mut().insert(HeaderName::from_static(SERVE), name);
            }
            response
        }
        None => {
            let mut response = marked(StatusCode::NOT_FOUND, Pieces::default());
            response.headers_mut().insert(MISS, HeaderValue::from_static("1"));
            response
        }
    })
}

fn response(reply: &Reply, label: Label) -> Response<Pieces> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = bytes(&reply.body);
    let length = body.len();
    let body = if reply.head_only { Bytes::new() } else { body };
    let mut response = marked(status, body.into());
    let headers = response.headers_mut();
    let mut said = Fields::new();
    label.put(&mut said);
    // Only a node itself says what only Larder may say.
    let stored = reply.fields().filter(|field| !field.name.starts_with("x-larder-"));
    for field in stored.chain(said.iter()) {
        if NOT_FROM_A_STORE.contains(&field.name.as_str()) {
            continue;
        }
        // What is no field of HTTP was never one, whatever a store says.
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field.value)) {
            headers.append(name, value);
        }
    }
    if status != StatusCode::NOT_MODIFIED && status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// The body, in the memory that the record lies in.
fn bytes(body: &ReplyBody) -> Bytes {
    match body {
        ReplyBody::Empty => Bytes::new(),
        ReplyBody::Text(text) => Bytes::from_static(text.as_bytes()),
        ReplyBody::Bytes(bytes) => bytes.clone(),
        ReplyBody::Stored { entry, from, to } => {
            let whole = &entry.facts().body;
            let to = (*to).min(whole.len());
            whole.slice((*from).min(to)..to)
        }
    }
}
