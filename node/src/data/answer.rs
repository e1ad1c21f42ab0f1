//! Answers: the marker on every one of them, and a body of at most two pieces that are sent as they lie in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use larder_core::cluster::{MARKER, PROTOCOL};

use crate::counts::Turned;

/// The marker as hyper has it.
pub(super) const MARKER_NAME: HeaderName = HeaderName::from_static(MARKER);

const MARKER_VALUE: HeaderValue = HeaderValue::from_static("2");

const _: () = assert!(PROTOCOL == 2, "the marker's value is the protocol's version");

/// Why a request was turned away.
pub(super) const REFUSED: HeaderName = HeaderName::from_static("x-larder-refused");

/// There is nothing to serve: ask the origin.
pub(super) const MISS: HeaderName = HeaderName::from_static("x-larder-miss");

/// A body in memory.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    first: Bytes,
    second: Bytes,
}

impl Pieces {
    /// Both, one after the other.
    pub(super) fn new(first: Bytes, second: Bytes) -> Self {
        Self { first, second }
    }
}

impl Pieces {
    /// As one.
    pub(crate) fn joined(self) -> Bytes {
        if self.second.is_empty() {
            return self.first;
        }
        [self.first, self.second].concat().into()
    }
}

impl From<Bytes> for Pieces {
    fn from(first: Bytes) -> Self {
        Self { first, second: Bytes::new() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut next = std::mem::take(&mut self.first);
        if next.is_empty() {
            next = std::mem::take(&mut self.second);
        }
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.first.len() + self.second.len()) as u64)
    }
}

/// An answer with the marker.
pub(super) fn marked(status: StatusCode, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(MARKER_NAME, MARKER_VALUE);
    response
}

/// A message.
pub(super) fn message(bytes: Vec<u8>) -> Response<Pieces> {
    marked(StatusCode::OK, Bytes::from(bytes).into())
}

/// What a request is answered with that is turned away.
pub(crate) fn status(why: Turned) -> StatusCode {
    match why {
        Turned::Requests | Turned::Polls | Turned::Bodies | Turned::Connections | Turned::Waiting | Turned::Log => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Turned::Slow => StatusCode::REQUEST_TIMEOUT,
        Turned::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Turned::Broken | Turned::Malformed => StatusCode::BAD_REQUEST,
        Turned::Path => StatusCode::NOT_FOUND,
        Turned::Method => StatusCode::METHOD_NOT_ALLOWED,
    }
}

/// A refusal of the request itself.
pub(super) fn turned_away(why: Turned) -> Response<Pieces> {
    let mut response = marked(status(why), Pieces::default());
    response.headers_mut().insert(REFUSED, HeaderValue::from_static(why.as_str()));
    response
}
