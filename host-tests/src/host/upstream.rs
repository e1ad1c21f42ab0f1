//! The other side of Envoy, played by the test: origins that answer requests, clusters that answer calls.

use super::calls::CallReply;
use super::codec::{self, LocalReply};
use super::message::Headers;
use super::observe::Outcome;
use super::stream::Direction;
use super::vm::Vm;
use super::{Call, CallId, Host, Response, StreamId, UpstreamFailure, UpstreamRequest};

/// What Envoy answers itself to a call that got no answer in time.
const CALL_TIMED_OUT: &str = "upstream request timeout";

impl Host {
    /// What was forwarded for a stream, answered or not. `None`: nothing left Envoy (yet).
    pub fn upstream(&self, stream: StreamId) -> Option<UpstreamRequest> {
        self.world.borrow().streams.get(&stream)?.upstream.clone()
    }

    /// Streams whose request waits at an origin for an answer, oldest first.
    pub fn upstream_requests(&self) -> Vec<StreamId> {
        let world = self.world.borrow();
        let waiting = |upstream: &UpstreamRequest| !upstream.answered && !upstream.reset;
        // What has ended waits for nothing.
        let live = world.live.iter().filter_map(|id| Some((id, world.streams.get(id)?)));
        live.filter(|(_, record)| record.upstream.as_ref().is_some_and(waiting)).map(|(id, _)| *id).collect()
    }

    /// How many requests have reached origins so far.
    pub fn upstream_count(&self) -> usize {
        self.world.borrow().streams.values().filter(|record| record.upstream.is_some()).count()
    }

    /// The origin answers a stream's request over HTTP/1.1, all at once.
    ///
    /// The end comes as an event of its own after the last byte of the body, as it does in Envoy.
    ///
    /// # Panics
    /// If nothing was forwarded for the stream, or it was answered before.
    pub fn respond(&mut self, stream: StreamId, response: Response) {
        let headers = response.framed();
        let bodiless = self.method(stream) == "HEAD" || matches!(response.status(), 204 | 304);
        let (body, trailers) = (response.body, response.trailers);
        let end = bodiless || (body.is_empty() && trailers.is_none());
        self.respond_headers(stream, headers, end);
        if end {
            return;
        }
        if !body.is_empty() {
            self.respond_body(stream, body, false);
        }
        match trailers {
            Some(trailers) => self.respond_trailers(stream, trailers),
            None => self.respond_body(stream, [], true),
        }
    }

    /// The origin sends its response headers, more to come unless `end`.
    ///
    /// # Panics
    /// If nothing was forwarded for the stream, or it was answered before.
    pub fn respond_headers(&mut self, stream: StreamId, headers: Headers, end: bool) {
        {
            let mut world = self.world.borrow_mut();
            let now = world.now;
            let envoy_headers = world.config.envoy_headers;
            let record = world.streams.get_mut(&stream).expect("a stream of this host");
            let upstream = record.upstream.as_mut().expect("nothing was forwarded for this stream");
            if upstream.reset {
                return;
            }
            assert!(!upstream.answered, "the origin has answered this request already");
            upstream.answered = true;
            upstream.deadline = None;
            record.code_details = Some("via_upstream".to_owned());
            record.response_code = Some(super::message::status_of(&headers));
            let mut headers = codec::parsed(&headers, Direction::Response);
            if envoy_headers {
                let elapsed = now.saturating_sub(upstream.sent_at) / 1_000_000;
                headers.set("x-envoy-upstream-service-time", elapsed.to_string());
            }
            for name in ["keep-alive", "proxy-connection"] {
                headers.remove(name);
            }
            drop(world);
            self.in_vm(stream, |vm, context| vm.on_headers(context, Direction::Response, headers, end));
        }
    }

    /// The origin sends a piece of its body.
    pub fn respond_body(&mut self, stream: StreamId, body: impl AsRef<[u8]>, end: bool) {
        if self.wanted(stream) {
            self.in_vm(stream, |vm, context| vm.on_data(context, Direction::Response, body.as_ref().to_vec(), end));
        }
    }

    /// The origin ends its response with trailers.
    pub fn respond_trailers(&mut self, stream: StreamId, trailers: Headers) {
        if self.wanted(stream) {
            self.in_vm(stream, |vm, context| vm.on_trailers(context, Direction::Response, trailers));
        }
    }

    /// The origin sends a 1xx answer other than 101. The plugin never sees it.
    pub fn respond_informational(&mut self, stream: StreamId, headers: Headers) {
        let mut world = self.world.borrow_mut();
        if !world.config.proxy_100_continue {
            return;
        }
        if let Some(record) = world.streams.get_mut(&stream).filter(|record| !record.ended) {
            record.client.informational.push(headers);
        }
    }

    /// The origin's connection breaks in the middle of the response.
    ///
    /// Where headers are still held the client gets a 502, else its response is cut.
    pub fn respond_truncated(&mut self, stream: StreamId) {
        if !self.wanted(stream) {
            return;
        }
        self.in_vm(stream, |vm, context| {
            let out = vm.stream(context).is_some_and(|stream| stream.response.headers_forwarded);
            if out {
                vm.finish(context, Outcome::Aborted, Some("upstream_reset_after_response_started{protocol_error}"));
            } else {
                const BROKEN: &str =
                    "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
                let reply = LocalReply::envoy(502, BROKEN, "upstream_reset_after_response_started{protocol_error}");
                vm.local_reply(context, reply);
            }
        });
    }

    /// The origin fails before any response headers: Envoy makes a reply of its own, which the plugin sees and may replace.
    pub fn fail_upstream(&mut self, stream: StreamId, failure: UpstreamFailure) {
        let waiting = {
            let mut world = self.world.borrow_mut();
            let upstream = world.streams.get_mut(&stream).and_then(|record| record.upstream.as_mut());
            upstream.is_some_and(|upstream| {
                !upstream.answered && !std::mem::replace(&mut upstream.answered, !upstream.reset)
            })
        };
        if waiting {
            let (status, body, details) = failure.reply();
            self.in_vm(stream, |vm, context| vm.local_reply(context, LocalReply::envoy(status, body, details)));
        }
    }

    /// Calls that wait for an answer, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.world.borrow().calls.values().cloned().collect()
    }

    /// Those of them that are newer than `last`.
    pub fn calls_after(&self, last: Option<CallId>) -> Vec<Call> {
        let from = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let world = self.world.borrow();
        world.calls.range((from, std::ops::Bound::Unbounded)).map(|(_, call)| call.clone()).collect()
    }

    /// Whether a call waits for its answer.
    pub fn is_waiting(&self, call: CallId) -> bool {
        self.world.borrow().calls.contains_key(&call)
    }

    /// A called cluster answers. Nothing happens if the call is no longer waited for.
    pub fn answer_call(&mut self, call: CallId, response: Response) {
        let mut headers = codec::parsed(&response.framed(), Direction::Response);
        if self.world.borrow().config.envoy_headers {
            headers.set("x-envoy-upstream-service-time", "0");
        }
        self.reply_to_call(call, headers, response);
    }

    fn reply_to_call(&mut self, call: CallId, headers: Headers, response: Response) {
        let limit = self.world.borrow().config.call_body_limit_bytes;
        let reply = if response.body.len() > limit {
            CallReply::Failed
        } else {
            CallReply::Answered { headers, body: response.body, trailers: response.trailers }
        };
        self.finish_call(call, reply);
    }

    /// A call fails without an answer: the plugin hears of zero headers.
    pub fn fail_call(&mut self, call: CallId) {
        self.finish_call(call, CallReply::Failed);
    }

    /// The called cluster cannot be reached: the plugin gets Envoy's own 503.
    pub fn refuse_call(&mut self, call: CallId) {
        let (status, body, _) = UpstreamFailure::ConnectionRefused.reply();
        self.local_call_reply(call, status, body);
    }

    /// The connection breaks before the call's answer: the plugin gets Envoy's own 503.
    pub fn reset_call(&mut self, call: CallId) {
        let (status, body, _) = UpstreamFailure::ConnectionReset.reply();
        self.local_call_reply(call, status, body);
    }

    /// Envoy's own reply to a call: three headers, no service time.
    fn local_call_reply(&mut self, call: CallId, status: u16, body: &str) {
        let response = Response::new(status).header("content-type", "text/plain").body(body);
        self.reply_to_call(call, response.framed(), response);
    }

    pub(super) fn call_timed_out(&mut self, call: CallId) {
        self.local_call_reply(call, 504, CALL_TIMED_OUT);
    }

    fn finish_call(&mut self, call: CallId, reply: CallReply) {
        let Some(call) = self.world.borrow_mut().calls.remove(&call) else { return };
        let vm: Option<&mut Vm> =
            self.workers.get_mut(call.worker).and_then(|worker| worker.vms.get_mut(call.generation));
        if let Some(vm) = vm {
            vm.call_reply(&call, reply);
        }
        self.settle();
    }

    fn method(&self, stream: StreamId) -> String {
        self.world.borrow().streams.get(&stream).map(|record| record.method.clone()).unwrap_or_default()
    }

    /// Whether Envoy still listens to the origin's answer.
    fn wanted(&self, stream: StreamId) -> bool {
        let world = self.world.borrow();
        let upstream = world.streams.get(&stream).and_then(|record| record.upstream.as_ref());
        upstream.is_some_and(|upstream| upstream.answered && !upstream.reset)
    }
}
