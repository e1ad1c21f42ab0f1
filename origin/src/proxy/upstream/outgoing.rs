//! A request's body on its way to the origin: how far it has come, why it failed, and whether it may begin.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::proxy::body::{BodyError, RequestBody};

/// What whoever waits for the response knows of the request's body.
#[derive(Debug)]
pub(super) struct Progress {
    moved: Mutex<Instant>,
    /// The client is to go on, not the origin.
    waits_for_client: AtomicBool,
    failure: Mutex<Option<BodyError>>,
}

impl Progress {
    fn new() -> Self {
        Self { moved: Mutex::new(Instant::now()), waits_for_client: AtomicBool::new(false), failure: Mutex::new(None) }
    }

    /// When the origin was last given something, as far as it is the origin that is waited for.
    pub(super) fn moved(&self) -> Instant {
        if self.waits_for_client.load(Ordering::Relaxed) {
            return Instant::now();
        }
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the body failed, once.
    pub(super) fn take_failure(&self) -> Option<BodyError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: BodyError) -> BodyFailed {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        BodyFailed
    }

    fn note(&self, waits_for_client: bool) {
        self.waits_for_client.store(waits_for_client, Ordering::Relaxed);
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The body as hyper sends it.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: RequestBody,
    progress: Arc<Progress>,
    gate: Option<oneshot::Receiver<()>>,
}

impl Outgoing {
    pub(super) fn new(body: RequestBody) -> Self {
        Self { body, progress: Arc::new(Progress::new()), gate: None }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Holds the body back until the origin asks for it.
    pub(super) fn behind_gate(mut self) -> (Self, Gate) {
        let (open, gate) = oneshot::channel();
        self.gate = Some(gate);
        (self, Gate(Arc::new(Mutex::new(Some(open)))))
    }

    /// The body without whatever belonged to one attempt.
    pub(super) fn again(self) -> Self {
        Self::new(self.body)
    }
}

/// What hyper is told of a body that failed; why, is in [`Progress`].
#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
pub(super) struct BodyFailed;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        if let Some(gate) = self.gate.as_mut() {
            if ready!(Pin::new(gate).poll(cx)).is_err() {
                return Poll::Ready(Some(Err(self.progress.fail(BodyError::Unasked))));
            }
            self.gate = None;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.note(frame.is_pending());
        frame.map(|frame| frame.map(|frame| frame.map_err(|error| self.progress.fail(error))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Holds a body back (RFC 9110 10.1.1). When the last of it is gone and it was never opened, the body ends with an error, and
/// with it the connection: the origin must not take the next request for this one's body.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl Gate {
    /// Lets the body go.
    pub(super) fn open(&self) {
        if let Some(open) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = open.send(());
        }
    }

    /// What keeps it closed, where it still is.
    pub(super) fn closed(&self) -> Option<oneshot::Sender<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
