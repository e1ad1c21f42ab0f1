//! Between Envoys and the origin: requests arrive after a while and are answered as the origin is then; some answers fail on their way.

use super::books::Who;
use super::clients::Client;
use super::export::{Deed, Said};
use super::fleet::BASE_MS;
use super::plan::{Ask, What};
use super::world::{Event, World};
use crate::cluster::CLUSTER;
use crate::host::{Call, CallId, Headers, Response, StreamId, UpstreamFailure};

/// A request on its way to the origin and back.
#[derive(Clone, Debug)]
pub(super) struct Exchanged {
    pub who: Who,
    pub from: From,
    pub request: Headers,
    pub object: Option<usize>,
    pub begun_ms: u64,
}

/// What waits in Envoy for the origin's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// A client's request.
    Stream(StreamId),
    /// A refresh.
    Call(CallId),
}

/// A piece of an answer.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// All of it.
    Whole(Response),
    /// The head, with the pieces of the body that are to follow; `None` at the end: the connection breaks there.
    Head(Headers, Vec<Vec<u8>>, bool),
    /// The next piece of the body, those after it, and whether the last one is the end.
    Piece(Vec<Vec<u8>>, bool),
    /// No answer.
    Fails(UpstreamFailure),
}

impl World {
    /// Requests that Envoys have forwarded since the last look go on their way.
    pub(super) fn take_up_forwarded(&mut self) {
        for number in 0..self.fleet.envoys.len() {
            let life = self.fleet.envoys[number].life;
            for stream in self.fleet.envoys[number].host.upstream_requests() {
                if !self.asked_of_origin.insert((number, life, stream)) {
                    continue;
                }
                let Some(upstream) = self.fleet.envoys[number].host.upstream(stream) else { continue };
                let client = self.clients.values().find(|c| c.stream == stream && c.who.envoy == number);
                let who = client.map_or_else(|| self.fleet.who(number, 0), |client| client.who);
                if upstream.cluster == CLUSTER {
                    self.reroute(who, stream, &upstream.headers);
                    continue;
                }
                let worker = who.worker;
                let plain = client.is_some_and(|client| client.ask.what == What::Get && client.ask.user == 0);
                let object = self.books.origin.object_of(&upstream.path());
                let begun_ms = client.map_or(self.now_ms, |client| client.begun_ms);
                let exchanged =
                    Exchanged { who, from: From::Stream(stream), request: upstream.headers, object, begun_ms };
                self.note(|| {
                    format!(
                        "envoy {number} worker {worker} forwards {stream:?} {}",
                        exchanged.request.text(":path").unwrap_or_default()
                    )
                });
                if plain {
                    self.fetching.insert((who, stream), exchanged.clone());
                    let verdict = self.oracles.forwarded(&exchanged, &self.fetching, &self.books);
                    self.judge(verdict);
                }
                self.set_out(exchanged);
            }
        }
    }

    /// A refresh goes on its way, or the request of a client that a node has not served.
    pub(super) fn take_up_refresh(&mut self, who: Who, call: &Call) {
        let object = self.books.origin.object_of(&call.path());
        let id = call.headers.text("x-request-id");
        let host = self.fleet.envoys.get(who.envoy).map(|envoy| &envoy.host);
        let is_for = |client: &&mut Client| {
            let rerouted = host.and_then(|host| host.upstream(client.stream)).filter(|sent| sent.cluster == CLUSTER);
            client.who == who && rerouted.is_some_and(|sent| sent.headers.text("x-request-id") == id)
        };
        if let Some(client) = self.clients.values_mut().find(is_for) {
            client.fetched = true;
            self.calls_for.insert((who.envoy, who.life, call.id), client.number);
        } else if let Some(object) = object {
            let under_way = self.refreshing.entry((who, object)).or_default();
            under_way.retain(|call| host.is_some_and(|host| host.is_waiting(*call)));
            under_way.push(call.id);
            let verdict = self.oracles.refreshed(object, under_way.len(), &self.books);
            self.judge(verdict);
        }
        self.note(|| format!("envoy {} worker {} refreshes {}", who.envoy, who.worker, call.path()));
        let request = call.headers.clone();
        let from = From::Call(call.id);
        self.set_out(Exchanged { who, from, request, object, begun_ms: self.now_ms });
    }

    fn set_out(&mut self, exchanged: Exchanged) {
        self.report.origin_requests += 1;
        let latency = self.dice.between(1, 3);
        self.after(latency, Event::AtOrigin(exchanged));
    }

    pub(super) fn at_origin(&mut self, exchanged: Exchanged) {
        if self.origin_down > 0 {
            self.say_origin(&exchanged.request, || Deed::Refused);
            return self.fails(exchanged, UpstreamFailure::ConnectionRefused);
        }
        let (least, most) = self.plan.options.origin_ms;
        let taken = self.dice.between(least, most);
        let failing = !self.calm && self.dice.per_mille(self.plan.options.origin_fails_per_mille);
        let how = if failing { self.dice.below(6) } else { 6 };
        match how {
            0 => {
                self.say_origin(&exchanged.request, || Deed::Refused);
                return self.fails(exchanged, UpstreamFailure::ConnectionRefused);
            }
            1 => {
                self.say_origin(&exchanged.request, || Deed::Reset);
                return self.fails(exchanged, UpstreamFailure::ConnectionReset);
            }
            // Silence: Envoy gives up.
            2 => {
                self.say_origin(&exchanged.request, || Deed::Silence);
                return self.note_failure(&exchanged);
            }
            3 | 4 => {
                let status = if how == 3 { 500 } else { 503 };
                let date = self.date();
                let response = self.books.origin.error(self.now_ms, &date, &exchanged.request, status);
                self.say_origin(&exchanged.request, || answered(taken, &response, None));
                self.note_failure(&exchanged);
                self.after(taken, Event::FromOrigin(exchanged, Delivery::Whole(response)));
                return;
            }
            _ => {}
        }
        let date = self.date();
        let answer = self.books.origin.answer(self.now_ms, &date, &exchanged.request);
        if answer.changed
            && let Some(object) = exchanged.object
        {
            self.books.changed_ms[object] = self.now_ms;
            let made = self.books.origin.version(object);
            let client = self
                .clients
                .values_mut()
                .find(|client| client.who == exchanged.who && From::Stream(client.stream) == exchanged.from);
            if let Some(client) = client {
                client.made = Some(made);
            }
        }
        self.note(|| {
            format!("origin answers {} with {:?}", exchanged.request.text(":path").unwrap_or_default(), answer.of)
        });
        let breaks = how == 5;
        if breaks {
            self.note_failure(&exchanged);
        }
        let response = answer.response;
        self.say_origin(&exchanged.request, || answered(taken, &response, breaks.then_some(response.body.len() / 2)));
        let is_call = matches!(exchanged.from, From::Call(_));
        if is_call && breaks {
            return self.after(taken, Event::FromOrigin(exchanged, Delivery::Fails(UpstreamFailure::ConnectionReset)));
        }
        let body = response.body.clone();
        let bodiless =
            matches!(response.status(), 204 | 304) || exchanged.request.text(":method").as_deref() == Some("HEAD");
        if is_call || bodiless || (!breaks && self.dice.per_mille(600)) {
            return self.after(taken, Event::FromOrigin(exchanged, Delivery::Whole(response)));
        }
        let cut = self.dice.index(body.len());
        let mut pieces = vec![body[..cut].to_vec()];
        if !breaks {
            pieces.push(body[cut..].to_vec());
        }
        let head = Delivery::Head(response.framed(), pieces, !breaks);
        self.after(taken, Event::FromOrigin(exchanged, head));
    }

    /// What the origin would say to a plain request now: for a scenario, whose origin says it to whoever should have asked.
    pub(super) fn would_say(&mut self, ask: &Ask) {
        let plain = Ask { what: if ask.what == What::Head { What::Head } else { What::Get }, ..ask.clone() };
        let request = self.books.origin.request(&plain, None).headers;
        let date = self.date();
        let answer = self.books.origin.answer(self.now_ms, &date, &request);
        self.say_origin(&request, || answered(0, &answer.response, None));
    }

    fn say_origin(&mut self, request: &Headers, deed: impl FnOnce() -> Deed) {
        let text = |name: &str| request.text(name).unwrap_or_default();
        self.say(|| Said::Origin(text(":method"), text(":path"), deed()));
    }

    fn date(&self) -> String {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(BASE_MS + self.now_ms);
        httpdate::fmt_http_date(at)
    }

    fn note_failure(&mut self, exchanged: &Exchanged) {
        if let Some(object) = exchanged.object {
            self.books.origin.failures.push((object, self.now_ms));
        }
        self.note(|| format!("origin fails {}", exchanged.request.text(":path").unwrap_or_default()));
        let for_call = match exchanged.from {
            From::Call(call) => self.calls_for.get(&(exchanged.who.envoy, exchanged.who.life, call)).copied(),
            From::Stream(_) => None,
        };
        let client = self.clients.values_mut().find(|client| {
            Some(client.number) == for_call
                || (client.who == exchanged.who && From::Stream(client.stream) == exchanged.from)
        });
        if let Some(client) = client {
            client.upstream_failed = true;
        }
    }

    fn fails(&mut self, exchanged: Exchanged, how: UpstreamFailure) {
        self.note_failure(&exchanged);
        self.after(1, Event::FromOrigin(exchanged, Delivery::Fails(how)));
    }

    pub(super) fn hear_origin(&mut self, exchanged: Exchanged, delivery: Delivery) {
        let Some(envoy) = self.fleet.envoys.get_mut(exchanged.who.envoy).filter(|e| e.life == exchanged.who.life)
        else {
            return;
        };
        let host = &mut envoy.host;
        let stream = match exchanged.from {
            From::Stream(stream) => stream,
            From::Call(call) => {
                match delivery {
                    Delivery::Whole(response) => host.answer_call(call, response),
                    Delivery::Fails(UpstreamFailure::ConnectionRefused) => host.refuse_call(call),
                    _ => host.reset_call(call),
                }
                return;
            }
        };
        // Envoy may have given it up meanwhile.
        if host.is_over(stream) || host.upstream(stream).is_none_or(|upstream| upstream.reset) {
            return;
        }
        let mut next = None;
        match delivery {
            Delivery::Whole(response) => {
                if host.upstream(stream).is_some_and(|upstream| !upstream.answered) {
                    host.respond(stream, response);
                }
            }
            Delivery::Head(headers, pieces, ends) => {
                if host.upstream(stream).is_some_and(|upstream| !upstream.answered) {
                    host.respond_headers(stream, headers, false);
                    next = Some((pieces, ends));
                }
            }
            Delivery::Piece(mut pieces, ends) => {
                if pieces.is_empty() {
                    if ends {
                        host.respond_body(stream, [], true);
                    } else {
                        host.respond_truncated(stream);
                    }
                } else {
                    host.respond_body(stream, pieces.remove(0), false);
                    next = Some((pieces, ends));
                }
            }
            Delivery::Fails(how) => host.fail_upstream(stream, how),
        }
        // Once the origin has said all, a write is known to have succeeded: its Envoy must know.
        let finished = self.clients.values().find(|c| c.stream == stream && c.who == exchanged.who);
        let made = finished
            .filter(|client| !client.vm_died)
            .and_then(|client| client.made.map(|version| (client.ask.object, version)));
        if let Some((object, version)) = made {
            for worker in 0..self.plan.options.workers {
                let neighbour = self.fleet.who(exchanged.who.envoy, worker);
                self.books.written(neighbour, object, version);
            }
        }
        if let Some((pieces, ends)) = next {
            let after = self.dice.between(0, 30);
            self.after(after, Event::FromOrigin(exchanged, Delivery::Piece(pieces, ends)));
        }
    }
}

fn answered(after_ms: u64, response: &Response, cut: Option<usize>) -> Deed {
    let (status, body) = (response.status(), response.body.clone());
    Deed::Answered { after_ms, status, fields: fields(&response.headers), body, cut }
}

/// Fields without those that are none.
pub(super) fn fields(headers: &Headers) -> Vec<(String, String)> {
    let plain = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    plain.map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect()
}
