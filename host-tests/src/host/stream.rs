//! One client request inside a VM: the state that Envoy's filter manager and the wasm filter keep for it.
//!
//! Holds the state; `chain.rs` moves it. Invariant: what was handed on (`headers_forwarded`, `end_forwarded`) is never handed on again.

use super::message::Headers;
use super::world::StreamId;

/// The two directions of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Whether the filter chain runs past our filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Iteration {
    #[default]
    Running,
    /// Headers are held, body and trailers still come to our callbacks.
    StopSingle,
    /// Everything is held without callbacks.
    StopAll,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub headers: Option<Headers>,
    pub trailers: Option<Headers>,
    pub iteration: Iteration,
    /// Envoy's buffered data for this filter.
    pub buffered: Vec<u8>,
    /// The chunk that the body callback is looking at, where it is not in `buffered`.
    pub chunk: Option<Vec<u8>>,
    /// The last body callback paused: the next sees everything buffered.
    pub buffering: bool,
    /// The headers' own frame ended the message.
    pub ended_in_headers: bool,
    /// The whole message has arrived.
    pub complete: bool,
    pub headers_forwarded: bool,
    pub end_forwarded: bool,
    /// Held trailers that our callback has seen or must not see again.
    pub trailers_seen: bool,
    /// The map can be read and changed by host calls (the pointers of Envoy's wasm context).
    pub headers_open: bool,
    pub trailers_open: bool,
    pub body_open: bool,
    /// A callback of this direction is running.
    pub in_callback: bool,
    /// `continue_stream` came during that callback.
    pub resumed: bool,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub id: StreamId,
    pub root: u32,
    pub request: Half,
    pub response: Half,
    /// A VM context exists; without one the chain passes everything (FAIL_OPEN).
    pub in_vm: bool,
    /// The 503 for a dead VM was sent; no more callbacks.
    pub failure_reply_sent: bool,
    /// A local reply took over: nothing of the request goes on.
    pub request_aborted: bool,
    /// The plugin has sent a local reply.
    pub reply_queued: bool,
    /// `on_log` is running: headers are readable.
    pub logging: bool,
    /// The stream is being torn down.
    pub ending: bool,
}

impl Stream {
    pub fn new(id: StreamId, root: u32, in_vm: bool) -> Self {
        Self {
            id,
            root,
            request: Half::default(),
            response: Half::default(),
            in_vm,
            failure_reply_sent: false,
            request_aborted: false,
            reply_queued: false,
            logging: false,
            ending: false,
        }
    }

    pub fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}
