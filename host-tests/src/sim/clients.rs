//! The clients: they ask, may go away, and remember what they got.

use super::books::{Seen, Who};
use super::export::Said;
use super::plan::{Ask, What};
use super::upstream::fields;
use super::world::{Event, World};
use crate::cluster::CLUSTER;
use crate::host::{ClientView, Outcome, StreamId};

/// A request that is not over.
#[derive(Debug)]
pub(super) struct Client {
    pub number: usize,
    pub who: Who,
    pub stream: StreamId,
    pub ask: Ask,
    pub known: Option<String>,
    pub begun_ms: u64,
    pub floor: u64,
    pub soft_floor: u64,
    /// The policy that it is under.
    pub policy: usize,
    pub left: bool,
    /// Its VM died.
    pub vm_died: bool,
    /// The origin was asked for it by a call, since a node did not serve it.
    pub fetched: bool,
    pub upstream_failed: bool,
    /// The version that an unsafe request made.
    pub made: Option<u64>,
}

impl World {
    pub(super) fn ask(&mut self, ask: Ask) {
        let before = self.fleet.who(ask.envoy, ask.worker);
        let known = self.known_etags.get(&(ask.user, ask.object)).filter(|_| ask.what == What::IfNoneMatch).cloned();
        let request = self.books.origin.request(&ask, known.as_deref());
        let number = self.next_client;
        let at_ms = self.now_ms;
        self.say(|| {
            let text = |name: &str| request.headers.text(name).unwrap_or_default();
            Said::Asked(
                at_ms,
                number,
                text(":method"),
                text(":path"),
                fields(&request.headers),
                !request.body.is_empty(),
            )
        });
        self.next_client += 1;
        self.note(|| format!("#{number} asks {ask:?}"));
        let Some(envoy) = self.fleet.envoys.get_mut(ask.envoy) else { return };
        let stream = envoy.host.request(ask.worker, request);
        // Another VM than before knows nothing yet.
        let who = self.fleet.who(ask.envoy, ask.worker);
        self.report.vms += usize::from(who != before);
        self.books.begin(who);
        let (floor, soft_floor) = (self.books.floor(who, ask.object), self.books.soft_floor(who, ask.object));
        let policy = self.books.policy(who);
        if let Some(after) = ask.leaves_after_ms {
            self.after(after, Event::Leaves(number));
        }
        let begun_ms = self.now_ms;
        let client = Client {
            number,
            who,
            stream,
            ask,
            known,
            begun_ms,
            floor,
            soft_floor,
            policy,
            left: false,
            vm_died: false,
            fetched: false,
            upstream_failed: false,
            made: None,
        };
        self.clients.insert(number, client);
    }

    pub(super) fn leaves(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.left = true;
        let at_ms = self.now_ms;
        self.report.said.extend(self.tell.then_some(Said::Left(at_ms, number)));
        let (who, stream) = (client.who, client.stream);
        if let Some(envoy) = self.fleet.envoys.get_mut(who.envoy).filter(|envoy| envoy.life == who.life) {
            envoy.host.client_gone(stream);
        }
    }

    /// A worker's VM dies, with the requests that it has.
    pub(super) fn vm_dies(&mut self, envoy: usize, worker: usize) {
        let who = self.fleet.who(envoy, worker);
        if let Some(envoy) = self.fleet.envoys.get_mut(envoy) {
            envoy.host.trap(worker);
        }
        self.clients.values_mut().filter(|client| client.who == who).for_each(|client| client.vm_died = true);
        self.fetching.retain(|(fetching, _), _| *fetching != who);
    }

    /// An Envoy ends: so do its clients' connections. Nothing can be said of them.
    pub(super) fn clients_of_gone(&mut self, envoy: usize) {
        self.clients.retain(|_, client| client.who.envoy != envoy);
        self.fetching.retain(|(who, _), _| who.envoy != envoy);
    }

    /// Whoever has all there will be of an answer is judged.
    pub(super) fn look_at_clients(&mut self) {
        let over: Vec<usize> = self
            .clients
            .values()
            .filter(|client| self.fleet.envoys[client.who.envoy].host.is_over(client.stream))
            .map(|client| client.number)
            .collect();
        for number in over {
            let Some(client) = self.clients.remove(&number) else { continue };
            let host = &self.fleet.envoys[client.who.envoy].host;
            let view = host.client(client.stream);
            let sent_on = host.upstream(client.stream);
            let rerouted = sent_on.as_ref().is_some_and(|sent| sent.cluster == CLUSTER);
            let forwarded = client.fetched || (sent_on.is_some() && !rerouted);
            self.report.rerouted += usize::from(rerouted);
            self.report.policed += usize::from(client.policy > 0);
            self.fetching.remove(&(client.who, client.stream));
            let seen = seen(client, view, forwarded, self.now_ms);
            self.note(|| format!("seen {}", seen.line()));
            self.report.answered += usize::from(seen.outcome == Outcome::Complete);
            self.report.hits += usize::from(seen.outcome == Outcome::Complete && !forwarded);
            if seen.outcome == Outcome::Complete
                && seen.status == 200
                && let Some(etag) = seen.headers.text("etag")
            {
                self.known_etags.insert((seen.ask.user, seen.ask.object), etag);
            }
            let verdict = self.oracles.seen(&seen, &self.books);
            let is_first = verdict.is_err() && self.report.violation.is_none();
            self.judge(verdict);
            if is_first {
                if let Some(violation) = &mut self.report.violation {
                    violation.client = Some(number);
                }
                self.would_say(&seen.ask);
            }
        }
    }
}

fn seen(client: Client, view: ClientView, forwarded: bool, ended_ms: u64) -> Seen {
    let status = view.status().unwrap_or(0);
    Seen {
        number: client.number,
        who: client.who,
        ask: client.ask,
        known: client.known,
        begun_ms: client.begun_ms,
        ended_ms,
        floor: client.floor,
        soft_floor: client.soft_floor,
        policy: client.policy,
        vm_died: client.vm_died,
        outcome: view.outcome,
        left: client.left,
        status,
        headers: view.headers.unwrap_or_default(),
        body: view.body,
        forwarded,
        upstream_failed: client.upstream_failed,
    }
}
