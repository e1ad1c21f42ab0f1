//! Bodies of the layer's responses.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::tape::Reader;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response: stored bytes, a response on its way that others may be reading too, or the inner service's own.
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Bytes(Bytes),
    Read(Reader),
    Passed(UnsyncBoxBody<Bytes, BoxError>),
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off: {why}")]
pub struct BodyError {
    why: Arc<str>,
}

impl BodyError {
    pub(crate) fn broken(why: Arc<str>) -> Self {
        Self { why }
    }
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    pub(crate) fn read(reader: Reader) -> Self {
        Self(Inner::Read(reader))
    }

    pub(crate) fn passed<R>(body: R) -> Self
    where
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        if body.is_end_stream() { Self::empty() } else { Self(Inner::Passed(body.map_err(Into::into).boxed_unsync())) }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Bytes(bytes) })
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Inner::Empty => "Body(empty)",
            Inner::Bytes(_) => "Body(stored)",
            Inner::Read(_) => "Body(on its way)",
            Inner::Passed(_) => "Body(passed)",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Read(reader) => reader.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Inner::Passed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Bytes(_) | Inner::Read(_) => false,
            Inner::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Read(_) => SizeHint::default(),
            Inner::Passed(body) => body.size_hint(),
        }
    }
}
