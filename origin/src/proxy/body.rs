//! The bodies that pass: what clients send, and what origins answer, each with its limits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// Why a body came to no good end. Whoever is sent it must see that, and not a clean end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Longer than `body_bytes_max`.
    #[error("the body is longer than allowed")]
    TooLong,
    /// Nothing came for `body_idle_ms`.
    #[error("the body did not go on in time")]
    Stalled,
    /// The connection broke off, or what came was no body.
    #[error("the body broke off: {0}")]
    Broken(#[source] hyper::Error),
    /// It was announced by `Expect: 100-continue`, and the answer came without it.
    #[error("the body was not asked for")]
    Unasked,
}

/// A time limit between two frames. Costs nothing while frames are there when asked for.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, armed: false }
    }

    /// Nothing came: whether for too long.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.armed {
            self.armed = true;
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }

    fn rest(&mut self) {
        self.armed = false;
    }
}

/// A body as it comes from a peer, under a time limit.
#[derive(Debug)]
struct Timed {
    inner: Incoming,
    idle: Idle,
}

impl Timed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.idle.rest();
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                ready!(self.idle.poll_over(cx));
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }
}

/// The body of a client's request. The default is none, which is what requests have that a cache makes itself.
#[derive(Debug, Default)]
pub struct RequestBody(Request);

#[derive(Debug, Default)]
enum Request {
    #[default]
    Empty,
    Client {
        body: Timed,
        left: Option<u64>,
    },
    /// It has failed; there is nothing more to say.
    Failed,
}

impl RequestBody {
    pub(super) fn of_client(body: Incoming, bytes_max: Option<u64>, idle: Duration) -> Self {
        if body.is_end_stream() {
            return Self(Request::Empty);
        }
        Self(Request::Client { body: Timed { inner: body, idle: Idle::new(idle) }, left: bytes_max })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Request::Client { body, left } = &mut self.0 else { return Poll::Ready(None) };
        let frame = ready!(body.poll_frame(cx));
        let frame = frame.map(|frame| frame.and_then(|frame| within(frame, left)));
        if matches!(frame, Some(Err(_))) {
            self.0 = Request::Failed;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Request::Empty => true,
            Request::Client { body, .. } => body.inner.is_end_stream(),
            Request::Failed => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Request::Empty => SizeHint::with_exact(0),
            Request::Client { body, .. } => body.inner.size_hint(),
            Request::Failed => SizeHint::default(),
        }
    }
}

fn within(frame: Frame<Bytes>, left: &mut Option<u64>) -> Result<Frame<Bytes>, BodyError> {
    if let (Some(left), Some(data)) = (left.as_mut(), frame.data_ref()) {
        *left = left.checked_sub(data.len() as u64).ok_or(BodyError::TooLong)?;
    }
    Ok(frame)
}

/// The body of an origin's response.
#[derive(Debug)]
pub struct UpstreamBody {
    body: Option<Timed>,
    /// What ends with the response.
    _held: Option<Held>,
}

/// Kept until a response has ended: dropping it lets go of a request body that nobody has asked for.
pub(super) type Held = Box<dyn std::any::Any + Send + Sync>;

impl UpstreamBody {
    pub(super) fn new(body: Incoming, idle: Duration, held: Option<Held>) -> Self {
        Self { body: Some(Timed { inner: body, idle: Idle::new(idle) }), _held: held }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(body.poll_frame(cx));
        if matches!(frame, Some(Err(_))) {
            // Dropping what is left of it ends the connection to the origin, or resets the stream.
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, |body| body.inner.size_hint())
    }
}
