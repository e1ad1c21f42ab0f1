//! The filter chain around our filter: pause and resume, buffering and its limit, local replies, the end of a stream.
//!
//! Follows Envoy's filter manager with one wasm filter before the router. What a callback's answer means:
//! Continue from a headers callback hands the headers on; Pause holds them, and body and trailers still come to our
//! callbacks (with `allow_on_headers_stop_iteration`) or are held too (without). Continue from a body or trailers
//! callback releases everything held. After every VM call the stream may be gone, so it is looked up anew.

use super::codec::{self, LocalReply};
use super::config::RouteCluster;
use super::message::{Headers, status_of};
use super::observe::{Outcome, UpstreamRequest};
use super::stream::{Direction, Half, Iteration, Stream};
use super::vm::Vm;
use super::world::{StreamId, StreamRecord, World};

/// What a filter callback decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Continue,
    Pause,
    /// A local response was sent during the callback, or the VM is dead: hold everything, drop what was passed in.
    Stop,
}

impl Vm {
    /// A new request: creates its context and runs the request headers through it.
    pub fn open_stream(&mut self, context: u32, id: StreamId, bypass: bool) {
        let root = self.serving;
        self.store.data_mut().streams.insert(context, Stream::new(id, root, !bypass));
        if !bypass {
            self.invoke("proxy_on_context_create", context, &[context as i32, root as i32]);
            self.drain();
        }
    }

    pub fn on_headers(&mut self, context: u32, direction: Direction, headers: Headers, end: bool) {
        self.touch(context);
        let Some(half) = self.half(context, direction) else { return };
        let count = headers.len() as i32;
        half.headers = Some(headers);
        half.headers_open = true;
        half.ended_in_headers = end;
        half.complete = end;
        half.in_callback = true;
        let callback = match direction {
            Direction::Request => "proxy_on_request_headers",
            Direction::Response => "proxy_on_response_headers",
        };
        let decision = self.ask(context, callback, &[context as i32, count, i32::from(end)]);
        let headers_stop = self.headers_stop;
        let Some(half) = self.half(context, direction) else { return };
        half.in_callback = false;
        let resumed = std::mem::take(&mut half.resumed);
        match decision {
            Decision::Pause if !resumed => {
                half.iteration = if headers_stop { Iteration::StopSingle } else { Iteration::StopAll };
            }
            Decision::Stop => half.iteration = Iteration::StopAll,
            Decision::Continue | Decision::Pause => {
                half.headers_open = false;
                self.forward_headers(context, direction);
            }
        }
    }

    pub fn on_data(&mut self, context: u32, direction: Direction, data: Vec<u8>, end: bool) {
        self.touch(context);
        if direction == Direction::Request
            && let Some(id) = self.stream(context).map(|stream| stream.id)
        {
            self.record(id, |record| record.request_bytes += data.len() as u64);
        }
        let Some(half) = self.half(context, direction) else { return };
        half.complete |= end;
        if half.iteration == Iteration::StopAll {
            // Back-pressure instead of a limit: the sender is stopped at the watermark.
            half.buffered.extend(data);
            return;
        }
        self.filter_data(context, direction, data, end);
    }

    pub fn on_trailers(&mut self, context: u32, direction: Direction, trailers: Headers) {
        self.touch(context);
        let Some(half) = self.half(context, direction) else { return };
        half.trailers = Some(trailers);
        half.complete = true;
        if half.iteration != Iteration::StopAll {
            self.filter_trailers(context, direction);
        }
    }

    /// `continue_stream`, after the callback that asked for it.
    pub fn resume(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction) else { return };
        if half.in_callback {
            half.resumed = true;
        } else if half.iteration != Iteration::Running {
            self.release(context, direction);
        }
    }

    /// `close_stream`: the stream is reset.
    pub fn close(&mut self, context: u32) {
        self.finish(context, Outcome::Aborted, Some("wasm_close_stream"));
    }

    /// A reply of Envoy's own. Before response headers it runs through the filter chain; while they are held it goes to
    /// the client directly, past every filter; once they are out only a reset is left.
    pub fn local_reply(&mut self, context: u32, reply: LocalReply) {
        let Some(stream) = self.stream(context) else { return };
        stream.request_aborted = true;
        let id = stream.id;
        let (response_began, response_out) = (stream.response.headers.is_some(), stream.response.headers_forwarded);
        if response_out {
            return self.finish(context, Outcome::Aborted, None);
        }
        let method = self.record(id, |record| {
            record.code_details = Some(reply.details.clone());
            record.response_code = Some(reply.status);
            if let Some(upstream) = &mut record.upstream {
                upstream.reset = true;
            }
            record.method.clone()
        });
        let headers = reply.response_headers();
        let end = reply.body.is_empty() || method == "HEAD";
        if response_began {
            self.emit_headers(context, headers, end);
            if !end {
                self.emit_data(context, reply.body, true);
            }
        } else {
            self.on_headers(context, Direction::Response, headers, end);
            if !end {
                self.on_data(context, Direction::Response, reply.body, true);
            }
        }
    }

    /// The stream idle timeout passed.
    pub fn idle_timeout(&mut self, context: u32) {
        let complete = self.stream(context).is_some_and(|stream| stream.request.complete);
        let status = if complete { 504 } else { 408 };
        self.local_reply(context, LocalReply::envoy(status, "stream timeout", "stream_idle_timeout"));
    }

    /// The end: log, done, delete, in this order, as long as the VM lives.
    pub fn finish(&mut self, context: u32, outcome: Outcome, details: Option<&str>) {
        let Some(stream) = self.stream(context) else { return };
        stream.ending = true;
        stream.logging = true;
        let (id, root, in_vm) = (stream.id, stream.root, stream.in_vm);
        self.store.data().world.borrow_mut().live.remove(&id);
        self.record(id, |record| {
            record.client.outcome = outcome;
            record.ended = true;
            if record.code_details.is_none() {
                record.code_details = details.map(str::to_owned);
            }
            if let Some(upstream) = &mut record.upstream
                && !upstream.answered
            {
                upstream.reset = true;
            }
        });
        if in_vm {
            self.invoke("proxy_on_log", context, &[context as i32]);
            self.drain();
        }
        if let Some(stream) = self.store.data_mut().streams.get_mut(&context) {
            stream.logging = false;
        }
        if in_vm {
            self.invoke("proxy_on_done", context, &[context as i32]);
            self.drain();
            self.invoke("proxy_on_delete", context, &[context as i32]);
            self.drain();
        }
        self.store.data_mut().streams.remove(&context);
        self.retire(root);
    }

    /// Asks a filter callback, minding dead VMs and replies sent meanwhile.
    fn ask(&mut self, context: u32, callback: &'static str, arguments: &[i32]) -> Decision {
        let Some(stream) = self.stream(context) else { return Decision::Stop };
        if !stream.in_vm || stream.failure_reply_sent {
            return Decision::Continue;
        }
        if self.failed && self.fail_open {
            return Decision::Continue;
        }
        let answer = self.invoke(callback, context, arguments);
        if self.failed {
            self.fail_stream(context);
            self.drain();
            return Decision::Stop;
        }
        let stopped = self.store.data().stop_iteration;
        self.drain();
        match answer {
            _ if stopped => Decision::Stop,
            None | Some(0) => Decision::Continue,
            Some(1) => Decision::Pause,
            Some(_) => Decision::Stop,
        }
    }

    fn fail_stream(&mut self, context: u32) {
        if let Some(stream) = self.stream(context) {
            stream.failure_reply_sent = true;
            self.local_reply(context, LocalReply::envoy(503, "", "wasm_fail_stream"));
        }
    }

    fn filter_data(&mut self, context: u32, direction: Direction, data: Vec<u8>, end: bool) {
        let limit = self.store.data().world.borrow().config.buffer_limit_bytes;
        let Some(half) = self.half(context, direction) else { return };
        let size = if half.buffering {
            half.buffered.extend(data);
            if half.buffered.len() > limit {
                return self.overflow(context, direction);
            }
            half.buffered.len()
        } else {
            let size = data.len();
            half.chunk = Some(data);
            size
        };
        half.body_open = true;
        half.in_callback = true;
        let callback = match direction {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        };
        let decision = self.ask(context, callback, &[context as i32, size as i32, i32::from(end)]);
        let Some(half) = self.half(context, direction) else { return };
        half.in_callback = false;
        half.buffering = false;
        let resumed = std::mem::take(&mut half.resumed);
        let chunk = half.chunk.take();
        match decision {
            Decision::Pause if !resumed => {
                half.buffered.extend(chunk.unwrap_or_default());
                half.iteration = Iteration::StopSingle;
                half.buffering = true;
                if half.buffered.len() > limit {
                    self.overflow(context, direction);
                }
            }
            // The chunk is dropped: Envoy is told to stop without buffering.
            Decision::Stop => half.iteration = Iteration::StopSingle,
            Decision::Continue | Decision::Pause => {
                half.body_open = false;
                if half.iteration == Iteration::StopSingle {
                    half.buffered.extend(chunk.unwrap_or_default());
                    self.release(context, direction);
                } else {
                    let data = chunk.unwrap_or_else(|| std::mem::take(&mut half.buffered));
                    let added_trailers = half.trailers.is_some() && half.trailers_seen;
                    self.forward_data(context, direction, data, end && !added_trailers);
                    if added_trailers {
                        self.forward_trailers(context, direction);
                    }
                }
            }
        }
    }

    fn filter_trailers(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction) else { return };
        half.trailers_open = true;
        half.in_callback = true;
        let count = half.trailers.as_ref().map_or(0, Headers::len) as i32;
        let callback = match direction {
            Direction::Request => "proxy_on_request_trailers",
            Direction::Response => "proxy_on_response_trailers",
        };
        let decision = self.ask(context, callback, &[context as i32, count]);
        let Some(half) = self.half(context, direction) else { return };
        half.in_callback = false;
        half.trailers_seen = true;
        let resumed = std::mem::take(&mut half.resumed);
        if decision == Decision::Continue || (decision == Decision::Pause && resumed) {
            half.trailers_open = false;
            if half.iteration == Iteration::Running {
                self.forward_trailers(context, direction);
            } else {
                self.release(context, direction);
            }
        } else {
            half.iteration = Iteration::StopSingle;
        }
    }

    /// Hands on what is held (`commonContinue`).
    fn release(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction) else { return };
        let from = std::mem::replace(&mut half.iteration, Iteration::Running);
        if !half.headers_forwarded {
            self.forward_headers(context, direction);
        }
        let Some(half) = self.half(context, direction) else { return };
        if half.end_forwarded || half.ended_in_headers {
            return;
        }
        let end = half.complete && half.trailers.is_none();
        let data = std::mem::take(&mut half.buffered);
        if from == Iteration::StopAll {
            // Held without callbacks: now they come.
            if !data.is_empty() || end {
                self.filter_data(context, direction, data, end);
            }
            if self.half(context, direction).is_some_and(|half| half.trailers.is_some() && !half.trailers_seen) {
                self.filter_trailers(context, direction);
            }
            return;
        }
        if !data.is_empty() || end {
            self.forward_data(context, direction, data, end);
        }
        if self.half(context, direction).is_some_and(|half| half.trailers.is_some() && half.trailers_seen) {
            self.forward_trailers(context, direction);
        }
    }

    /// More is held than the connection's buffer limit.
    fn overflow(&mut self, context: u32, direction: Direction) {
        let reply = match direction {
            Direction::Request => LocalReply::envoy(413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => LocalReply::envoy(500, "Internal Server Error", "response_payload_too_large"),
        };
        self.local_reply(context, reply);
    }

    fn forward_headers(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction) else { return };
        half.headers_forwarded = true;
        let end = half.ended_in_headers;
        half.end_forwarded = end;
        let headers = half.headers.clone().unwrap_or_default();
        match direction {
            Direction::Request => self.route(context, headers, end),
            Direction::Response => self.emit_headers(context, headers, end),
        }
    }

    fn forward_data(&mut self, context: u32, direction: Direction, data: Vec<u8>, end: bool) {
        let Some(half) = self.half(context, direction) else { return };
        half.end_forwarded |= end;
        match direction {
            Direction::Request => self.upstream(context, |upstream| {
                upstream.body.extend(data);
                upstream.complete |= end;
            }),
            Direction::Response => self.emit_data(context, data, end),
        }
    }

    fn forward_trailers(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction) else { return };
        half.end_forwarded = true;
        let trailers = half.trailers.clone().unwrap_or_default();
        match direction {
            Direction::Request => self.upstream(context, |upstream| {
                upstream.trailers = Some(trailers);
                upstream.complete = true;
            }),
            Direction::Response => {
                let Some(id) = self.stream(context).map(|stream| stream.id) else { return };
                self.record(id, |record| record.client.trailers = Some(trailers));
                self.finish(context, Outcome::Complete, None);
            }
        }
    }

    /// The router: finds the cluster, or answers itself.
    fn route(&mut self, context: u32, mut headers: Headers, end: bool) {
        let Some(id) = self.stream(context).map(|stream| stream.id) else { return };
        let world = self.store.data().world.clone();
        let mut world = world.borrow_mut();
        let Some(route) = world.route(id, &headers) else {
            drop(world);
            return self.local_reply(context, LocalReply::envoy(404, "", "route_not_found"));
        };
        let cluster = world.route_cluster(id, &headers).unwrap_or_default();
        let by_header = matches!(world.config.routes[route].cluster, RouteCluster::FromHeader(_));
        if by_header && !world.clusters.contains(&cluster) {
            drop(world);
            return self.local_reply(context, LocalReply::envoy(503, "", "cluster_not_found"));
        }
        let timeout = world.config.routes[route].timeout;
        if world.config.envoy_headers && !timeout.is_zero() {
            headers.set("x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string());
        }
        let now = world.now;
        let upstream = UpstreamRequest {
            cluster,
            route: world.config.routes[route].name.clone(),
            headers,
            body: Vec::new(),
            trailers: None,
            complete: end,
            answered: false,
            reset: false,
            sent_at: now,
            deadline: (!timeout.is_zero()).then(|| now.saturating_add(timeout.as_nanos() as u64)),
        };
        if let Some(record) = world.streams.get_mut(&id) {
            record.upstream = Some(upstream);
        }
    }

    fn upstream(&mut self, context: u32, change: impl FnOnce(&mut UpstreamRequest)) {
        let Some(id) = self.stream(context).map(|stream| stream.id) else { return };
        self.record(id, |record| record.upstream.as_mut().map(change));
    }

    /// Response headers go out to the client.
    fn emit_headers(&mut self, context: u32, headers: Headers, end: bool) {
        let Some(stream) = self.stream(context) else { return };
        stream.response.headers_forwarded = true;
        let id = stream.id;
        let world = self.store.data().world.clone();
        let mut world = world.borrow_mut();
        let now = world.now;
        let World { config, streams, .. } = &mut *world;
        if let Some(record) = streams.get_mut(&id) {
            record.response_code = Some(status_of(&headers));
            let wire = codec::client_headers(&headers, end, &record.method, record.protocol, config, now);
            record.client.headers = Some(wire);
        }
        drop(world);
        if end {
            self.finish(context, Outcome::Complete, None);
        }
    }

    fn emit_data(&mut self, context: u32, data: Vec<u8>, end: bool) {
        let Some(id) = self.stream(context).map(|stream| stream.id) else { return };
        self.record(id, |record| {
            if codec::has_body(record.client.status().unwrap_or(0), &record.method) {
                record.client.body.extend(data);
            }
        });
        if end {
            self.finish(context, Outcome::Complete, None);
        }
    }

    /// A stream that still runs.
    pub fn stream(&mut self, context: u32) -> Option<&mut Stream> {
        self.store.data_mut().streams.get_mut(&context).filter(|stream| !stream.ending)
    }

    /// A direction that still runs.
    fn half(&mut self, context: u32, direction: Direction) -> Option<&mut Half> {
        let stream = self.stream(context)?;
        if direction == Direction::Request && stream.request_aborted {
            return None;
        }
        Some(stream.half(direction))
    }

    fn touch(&mut self, context: u32) {
        if let Some(id) = self.stream(context).map(|stream| stream.id) {
            let now = self.store.data().world.borrow().now;
            self.record(id, |record| record.last_activity = now);
        }
    }

    fn record<R: Default>(&self, id: StreamId, change: impl FnOnce(&mut StreamRecord) -> R) -> R {
        self.store.data().world.borrow_mut().streams.get_mut(&id).map(change).unwrap_or_default()
    }
}
