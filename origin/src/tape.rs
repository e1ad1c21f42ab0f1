//! A body on its way from the origin to one client, and to all that follow it.
//!
//! While the body is being stored the tape keeps all of it: the origin is read at its own speed, late followers begin at the first
//! byte, and a slow client keeps nobody back. Once it is not, chunks are dropped when every reader has them, and the
//! slowest reader holds the origin back. With no reader left and nothing to store there is nobody to read for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use crate::body::{Body, BodyError};

/// Bytes that may lie before the slowest reader, where nothing is stored.
const AHEAD_BYTES_MAX: usize = 256 * 1024;

/// The tape, as whoever reads or asks for a reader holds it.
#[derive(Clone)]
pub(crate) struct Tape {
    shared: Arc<Mutex<State>>,
    /// What the origin said of the length.
    pub(crate) declared: Option<u64>,
}

struct State {
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk kept.
    first: usize,
    keeps: bool,
    end: Option<End>,
    readers: Vec<Option<Position>>,
    writer: Option<Waker>,
}

/// Where a reader is.
struct Position {
    next: usize,
    waker: Option<Waker>,
}

#[derive(Clone)]
enum End {
    Done(Option<HeaderMap>),
    Broken(Arc<str>),
}

/// The end that writes. Dropped before [`Writer::finish`], the body is broken off for everybody.
pub(crate) struct Writer {
    tape: Tape,
}

/// One client's end.
pub(crate) struct Reader {
    tape: Tape,
    slot: usize,
}

/// A tape that keeps everything, and where to write on it.
pub(crate) fn tape(declared: Option<u64>) -> (Writer, Tape) {
    let state = State { chunks: VecDeque::new(), first: 0, keeps: true, end: None, readers: Vec::new(), writer: None };
    let tape = Tape { shared: Arc::new(Mutex::new(state)), declared };
    (Writer { tape: tape.clone() }, tape)
}

impl Tape {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader from the first byte. `None` where that is gone.
    pub(crate) fn reader(&self) -> Option<Reader> {
        let mut state = self.state();
        if state.first > 0 {
            return None;
        }
        let position = Some(Position { next: 0, waker: None });
        let slot = match state.readers.iter_mut().enumerate().find(|(_, slot)| slot.is_none()) {
            Some((at, free)) => {
                *free = position;
                at
            }
            None => {
                state.readers.push(position);
                state.readers.len().saturating_sub(1)
            }
        };
        drop(state);
        Some(Reader { tape: self.clone(), slot })
    }
}

impl State {
    fn wake_readers(&mut self) {
        self.readers.iter_mut().flatten().filter_map(|reader| reader.waker.take()).for_each(Waker::wake);
    }

    /// Drops what nobody will read any more.
    fn trim(&mut self) {
        if self.keeps {
            return;
        }
        let end = self.first.saturating_add(self.chunks.len());
        let slowest = self.readers.iter().flatten().map(|reader| reader.next).min().unwrap_or(end);
        while self.first < slowest && self.chunks.pop_front().is_some() {
            self.first = self.first.saturating_add(1);
        }
        if self.is_open()
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }

    fn is_open(&self) -> bool {
        self.keeps || self.readers.iter().all(Option::is_none) || self.bytes() < AHEAD_BYTES_MAX
    }

    fn bytes(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

impl Writer {
    /// A body from the first byte, for the client whose request it is. To be had before anything is dropped.
    pub(crate) fn reader(&self) -> Body {
        self.tape.reader().map(Body::read).unwrap_or_default()
    }

    /// Appends a chunk.
    pub(crate) fn push(&self, chunk: Bytes) {
        if !chunk.is_empty() {
            let mut state = self.tape.state();
            state.chunks.push_back(chunk);
            state.wake_readers();
            state.trim();
        }
    }

    /// Nothing is stored: what everybody has read may go.
    pub(crate) fn stop_keeping(&self) {
        let mut state = self.tape.state();
        state.keeps = false;
        state.trim();
    }

    /// All that was written; to be asked while everything is kept.
    pub(crate) fn whole(&self) -> Bytes {
        let state = self.tape.state();
        match (state.chunks.front(), state.chunks.len()) {
            (Some(only), 1) => only.clone(),
            _ => {
                let mut whole = BytesMut::with_capacity(state.bytes());
                state.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
                whole.freeze()
            }
        }
    }

    /// Waits until there is room for more. False where there is nobody to write for.
    pub(crate) async fn room(&self) -> bool {
        std::future::poll_fn(|cx| {
            let mut state = self.tape.state();
            if !state.keeps && state.readers.iter().all(Option::is_none) {
                return Poll::Ready(false);
            }
            if state.is_open() {
                return Poll::Ready(true);
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Resolves once there is nobody to write for.
    pub(crate) async fn deserted(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.tape.state();
            if !state.keeps && state.readers.iter().all(Option::is_none) {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether anybody reads.
    pub(crate) fn is_read(&self) -> bool {
        self.tape.state().readers.iter().any(Option::is_some)
    }

    /// The body is complete.
    pub(crate) fn finish(self, trailers: Option<HeaderMap>) {
        self.end(End::Done(trailers));
    }

    /// The body breaks off.
    pub(crate) fn break_off(self, why: &str) {
        self.end(End::Broken(why.into()));
    }

    fn end(&self, end: End) {
        let mut state = self.tape.state();
        if state.end.is_none() {
            state.end = Some(end);
            state.wake_readers();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(End::Broken("the response was not read to its end".into()));
    }
}

impl Reader {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.tape.state();
        let (first, last) = (state.first, state.first.saturating_add(state.chunks.len()));
        let Some(next) = state.readers.get(self.slot).and_then(Option::as_ref).map(|reader| reader.next) else {
            return Poll::Ready(None);
        };
        if next < last {
            let chunk = state.chunks.get(next.saturating_sub(first)).cloned().unwrap_or_default();
            if let Some(reader) = state.readers.get_mut(self.slot).and_then(Option::as_mut) {
                reader.next = next.saturating_add(1);
            }
            state.trim();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end.clone() {
            None => {
                if let Some(reader) = state.readers.get_mut(self.slot).and_then(Option::as_mut) {
                    reader.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            Some(end) => {
                drop(state);
                self.leave();
                Poll::Ready(match end {
                    End::Done(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                    End::Broken(why) => Some(Err(BodyError::broken(why))),
                })
            }
        }
    }

    fn leave(&mut self) {
        let mut state = self.tape.state();
        if let Some(slot) = state.readers.get_mut(self.slot) {
            *slot = None;
        }
        // This may have been the one to wait for, or the last.
        state.trim();
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        // Its place belongs to others now.
        self.slot = usize::MAX;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.leave();
    }
}
