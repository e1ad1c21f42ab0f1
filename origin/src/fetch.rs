//! From the origin's response to the client's.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, response};
use http_body::Frame;
use larder_core::exchange::{BodyVerdict, Edits, EndVerdict};
use tokio::sync::oneshot;

use crate::body::{Body, BoxError};
use crate::effects;
use crate::head::{self, OriginFailure};
use crate::reply;
use crate::stream::{Received, Stream};
use crate::tape::Writer;
use crate::upstream::Failed;

/// Takes up the origin's response.
pub(crate) async fn receive<R>(mut stream: Stream, method: &Method, response: Response<R>) -> Response<Body>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let status = parts.status;
    let bodiless = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let ends = bodiless || method == Method::HEAD || body.is_end_stream();
    let length = body.size_hint().exact().filter(|_| !bodiless && method != Method::HEAD);
    let head = head::response_head(&mut parts, length, ends, stream.cache.now());
    let declared = head.content_length();
    let (received, effects) = stream.on_response(head, declared);
    effects::carry_out(&stream.cache, effects);
    match received {
        Received::Replace(response) => response,
        Received::Pass(edits) => {
            head::edit_fields(&mut parts.headers, &edits);
            let body = if bodiless || body.is_end_stream() {
                Body::passed(body)
            } else {
                Body::passed(Counted { body: Box::pin(body), stream })
            };
            Response::from_parts(parts, body)
        }
        Received::Capture(Some(edits), writer) => {
            head::edit_fields(&mut parts.headers, &edits);
            let reader = writer.reader();
            tokio::spawn(Pump { stream, writer, held: None }.run(body));
            Response::from_parts(parts, reader)
        }
        Received::Capture(None, writer) => {
            let (tell, told) = oneshot::channel();
            tokio::spawn(Pump { stream, writer, held: Some(Held { parts, tell }) }.run(body));
            told.await.unwrap_or_else(|_| broken(StatusCode::BAD_GATEWAY, "the response broke off\n"))
        }
    }
}

/// What becomes of a request that the inner service did not answer: what is stored stands in, or the failure is the client's.
pub(crate) fn failed<E: 'static>(mut stream: Stream, failed: Failed<E>) -> Result<Response<Body>, Failed<E>> {
    let (response, failure, is_ours) = match &failed {
        Failed::TimedOut => {
            let response = broken(StatusCode::GATEWAY_TIMEOUT, "the service did not answer in time\n");
            (response, OriginFailure::Timeout, true)
        }
        Failed::Error(error) => match of_proxy(error) {
            Some((response, failure)) => (response, failure, true),
            None => (broken(StatusCode::BAD_GATEWAY, "the service failed\n"), OriginFailure::Other, false),
        },
        Failed::Panic(_) => {
            (broken(StatusCode::INTERNAL_SERVER_ERROR, "the service failed\n"), OriginFailure::Reset, false)
        }
    };
    tracing::warn!(target: "larder", failure = ?failure, "the inner service gave no response");
    let (mut parts, body) = response.into_parts();
    parts.extensions.insert(failure);
    let head = head::response_head(&mut parts, None, false, stream.cache.now());
    let (received, effects) = stream.on_response(head, None);
    effects::carry_out(&stream.cache, effects);
    match (received, failed) {
        (Received::Replace(response), _) => Ok(response),
        (Received::Pass(edits), _) if is_ours => {
            parts.extensions.remove::<OriginFailure>();
            head::edit_fields(&mut parts.headers, &edits);
            Ok(Response::from_parts(parts, body))
        }
        (_, failed) => Err(failed),
    }
}

/// Where the inner service is the proxy's upstream, its errors have answers, in which the layer can say what it has done.
#[cfg(feature = "proxy")]
fn of_proxy<E: 'static>(error: &E) -> Option<(Response<Body>, OriginFailure)> {
    let error = (error as &dyn std::any::Any).downcast_ref::<crate::proxy::UpstreamError>()?;
    Some((crate::proxy::answer(error).map(Body::from), error.failure()?))
}

#[cfg(not(feature = "proxy"))]
fn of_proxy<E: 'static>(_: &E) -> Option<(Response<Body>, OriginFailure)> {
    None
}

fn broken(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

/// A body that passes by, whose bytes are counted when it is over.
struct Counted<R> {
    body: R,
    stream: Stream,
}

impl<R> http_body::Body for Counted<R>
where
    R: http_body::Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(chunk) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.stream.received = self.stream.received.saturating_add(chunk.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Carries a body from the origin to the tape, and to the core at its end.
struct Pump {
    stream: Stream,
    writer: Writer,
    /// The head, while the core holds it.
    held: Option<Held>,
}

struct Held {
    parts: response::Parts,
    tell: oneshot::Sender<Response<Body>>,
}

enum Next<E> {
    Frame(Option<Result<Frame<Bytes>, E>>),
    Nobody,
}

impl Pump {
    async fn run<R>(mut self, body: R)
    where
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let mut body = pin!(body);
        let mut so_far = 0u64;
        let mut captures = true;
        let mut trailers = None;
        loop {
            let frame = match self.next(body.as_mut()).await {
                Next::Frame(None) => break,
                Next::Frame(Some(Ok(frame))) => frame,
                Next::Frame(Some(Err(error))) => return self.break_off(&error.into()),
                Next::Nobody => return,
            };
            let chunk = match frame.into_data() {
                Ok(chunk) => chunk,
                Err(frame) => {
                    trailers = frame.into_trailers().ok();
                    continue;
                }
            };
            so_far = so_far.saturating_add(chunk.len() as u64);
            self.stream.received = self.stream.received.saturating_add(chunk.len() as u64);
            if captures {
                let (verdict, effects) = self.stream.on_body(so_far);
                effects::carry_out(&self.stream.cache, effects);
                captures = match verdict {
                    BodyVerdict::Capture => true,
                    BodyVerdict::Ignore => false,
                    BodyVerdict::Release { edits, capture } => {
                        self.release(&edits);
                        capture
                    }
                };
                if !captures {
                    self.stream.close();
                    self.writer.stop_keeping();
                }
            }
            self.writer.push(chunk);
        }
        if captures {
            let whole = self.writer.whole();
            let (verdict, effects) = self.stream.on_end(&whole);
            effects::carry_out(&self.stream.cache, effects);
            match verdict {
                EndVerdict::Done => {}
                EndVerdict::Release(edits) => self.release(&edits),
                EndVerdict::Replace(reply) => {
                    if let Some(held) = self.held.take() {
                        let _ = held.tell.send(reply::reply(&reply, None));
                    }
                }
            }
        }
        // Whoever asks from now on finds it stored, or does not: nobody follows what has ended.
        self.stream.close();
        self.writer.finish(trailers);
    }

    /// The next frame, once there is room for it and while there is somebody to read for.
    async fn next<R>(&mut self, mut body: Pin<&mut R>) -> Next<R::Error>
    where
        R: http_body::Body<Data = Bytes>,
    {
        if !self.writer.room().await {
            return Next::Nobody;
        }
        let stall = self.stream.cache.settings.stall_timeout;
        let is_worth_it = self.stream.may_fill();
        let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx));
        match &mut self.held {
            // The core holds the head to see the whole body; without a client it is only for the store.
            Some(held) if !is_worth_it => tokio::select! {
                frame = frame => Next::Frame(frame),
                () = held.tell.closed() => Next::Nobody,
            },
            _ => tokio::select! {
                frame = frame => Next::Frame(frame),
                () = self.writer.deserted() => Next::Nobody,
                () = unread(&self.writer, self.held.as_ref(), stall) => Next::Nobody,
            },
        }
    }

    /// The head goes out, and the body after it as it comes.
    fn release(&mut self, edits: &Edits) {
        if let Some(Held { mut parts, tell }) = self.held.take() {
            head::edit_fields(&mut parts.headers, edits);
            let _ = tell.send(Response::from_parts(parts, self.writer.reader()));
        }
    }

    fn break_off(self, error: &BoxError) {
        let Self { mut stream, writer, held } = self;
        tracing::warn!(target: "larder", error = %error, "the response broke off");
        stream.close();
        if let Some(held) = held {
            let _ = held.tell.send(broken(StatusCode::BAD_GATEWAY, "the response broke off\n"));
        }
        writer.break_off(&error.to_string());
    }
}

/// Resolves where nothing has come for so long, and nobody is there who would go on waiting.
async fn unread(writer: &Writer, held: Option<&Held>, stall: Duration) {
    loop {
        tokio::time::sleep(stall).await;
        if !writer.is_read() && held.is_none_or(|held| held.tell.is_closed()) {
            return;
        }
    }
}
