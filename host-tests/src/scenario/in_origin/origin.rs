//! The scripted origin as a tower service: requests become arrivals, answers come when the script has them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use larder_origin::{BoxError, OriginFailure};
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

use super::super::executor::{ArrivalId, Event, Lines, SentAnswer, SentReaction, SentRequest};

/// Bodies come in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;

/// What the origin and its proxies share with the script.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    next: u64,
    pub(super) events: VecDeque<Event>,
    waiting: BTreeMap<ArrivalId, oneshot::Sender<Response<ScriptedBody>>>,
    flowing: BTreeMap<ArrivalId, mpsc::UnboundedSender<Piece>>,
}

type Piece = Result<Frame<Bytes>, BoxError>;

impl Script {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The origin.
#[derive(Clone)]
pub(super) struct Origin(pub(super) Script);

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<ScriptedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (tell, told) = oneshot::channel();
        let mut state = self.0.state();
        state.next += 1;
        let arrival = ArrivalId(state.next);
        state.waiting.insert(arrival, tell);
        state.events.push_back(Event::Arrived(arrival, sent(request)));
        drop(state);
        Box::pin(async move {
            // The world ends before the script answers.
            let nobody = || std::future::pending();
            match told.await {
                Ok(response) => Ok(response),
                Err(_) => nobody().await,
            }
        })
    }
}

fn sent(request: Request<RequestBody>) -> SentRequest {
    let (parts, body) = request.into_parts();
    SentRequest {
        method: parts.method.to_string(),
        scheme: parts.uri.scheme_str().unwrap_or("http").to_owned(),
        authority: parts.uri.authority().map(ToString::to_string).unwrap_or_default(),
        target: parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned(),
        fields: lines(&parts.headers),
        chunked: body.chunked,
        body: body.bytes.map(|bytes| bytes.to_vec()),
    }
}

pub(super) fn lines(headers: &HeaderMap) -> Lines {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// # Errors
/// `http` cannot carry a line.
pub(super) fn headers(lines: &Lines) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("{name}: {error}"))?;
        let value = HeaderValue::from_bytes(value).map_err(|error| format!("{name}: {error}"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

impl State {
    /// The head of an answer, and whatever follows it.
    pub(super) fn head(&mut self, arrival: ArrivalId, answer: &SentAnswer, method: &str) -> Result<(), String> {
        // Whoever asked may be gone.
        let Some(tell) = self.waiting.remove(&arrival) else { return Ok(()) };
        let (status, failure) = match answer.reaction {
            SentReaction::Respond(status) => (status, None),
            SentReaction::Refuse => (503, Some((OriginFailure::Connect, "upstream connect error"))),
            SentReaction::Silence => (504, Some((OriginFailure::Timeout, "upstream request timeout"))),
            SentReaction::Reset => (503, Some((OriginFailure::Reset, "upstream reset before headers"))),
        };
        let mut response = Response::new(ScriptedBody::default());
        *response.status_mut() = http::StatusCode::from_u16(status).map_err(|error| error.to_string())?;
        if let Some((failure, text)) = failure {
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
            response.extensions_mut().insert(failure);
            let (piece, pieces) = mpsc::unbounded_channel();
            let _ = piece.send(Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
            *response.body_mut() = ScriptedBody { pieces: Some(pieces), length: Some(text.len() as u64) };
            let _ = tell.send(response);
            return Ok(());
        }
        *response.headers_mut() = headers(&answer.fields)?;
        let bodiless = matches!(status, 100..=199 | 204 | 304) || method == "HEAD";
        let silent = bodiless && answer.body.is_empty();
        let framed = answer.chunked
            || !answer.trailers.is_empty()
            || silent
            || response.headers().contains_key("content-length");
        if !framed {
            response.headers_mut().insert("content-length", HeaderValue::from(answer.body.len()));
        }
        let nothing =
            answer.body.is_empty() && answer.trailers.is_empty() && !answer.chunked && answer.cut_after.is_none();
        if !bodiless && !nothing {
            let (piece, pieces) = mpsc::unbounded_channel();
            self.flowing.insert(arrival, piece);
            *response.body_mut() = ScriptedBody { pieces: Some(pieces), length: None };
        }
        let _ = tell.send(response);
        Ok(())
    }

    /// What follows the head.
    pub(super) fn rest(&mut self, arrival: ArrivalId, answer: &SentAnswer) -> Result<(), String> {
        let Some(piece) = self.flowing.remove(&arrival) else { return Ok(()) };
        let whole = Bytes::from(answer.body.clone());
        let end = answer.cut_after.map_or(whole.len(), |count| count.min(whole.len()));
        for from in (0..end).step_by(PIECE_BYTES) {
            let _ = piece.send(Ok(Frame::data(whole.slice(from..end.min(from + PIECE_BYTES)))));
        }
        if answer.cut_after.is_some() {
            let _ = piece.send(Err("the connection was cut".into()));
        } else if !answer.trailers.is_empty() {
            let _ = piece.send(Ok(Frame::trailers(headers(&answer.trailers)?)));
        }
        Ok(())
    }
}

/// The body of a request, as the script has it.
#[derive(Default)]
pub(super) struct RequestBody {
    pub(super) bytes: Option<Bytes>,
    pub(super) chunked: bool,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        !self.chunked && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }
}

/// The body of an answer, as it comes.
#[derive(Default)]
pub(super) struct ScriptedBody {
    pieces: Option<mpsc::UnboundedReceiver<Piece>>,
    length: Option<u64>,
}

impl http_body::Body for ScriptedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        match &mut self.pieces {
            None => Poll::Ready(None),
            Some(pieces) => pieces.poll_recv(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.length, &self.pieces) {
            (Some(length), _) => SizeHint::with_exact(length),
            (None, None) => SizeHint::with_exact(0),
            (None, Some(_)) => SizeHint::default(),
        }
    }
}
