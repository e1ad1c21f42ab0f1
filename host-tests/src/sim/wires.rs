//! Between Envoys and nodes: every message takes its time, and may be lost, come twice, or come changed.

use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::message::{Message, Poll, PollAnswer, Purge as PurgeMessage, PurgeAnswer};
use larder_core::cluster::{LOG_NAME, MARKER, PROTOCOL};
use larder_core::purge::{Mode, Scope};

use super::books::{Purged, Who};
use super::nodes::{Answer, Ticket};
use super::origin;
use super::plan::Purging;
use super::world::{Event, Purge, World};
use crate::cluster::CLUSTER;
use crate::host::{CallId, Response, StreamId, UpstreamFailure};

/// Who waits for a node's answer.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// A worker.
    Call { who: Who, call: CallId, path: String, node: usize },
    /// A request that the node is to serve.
    Stream { who: Who, stream: StreamId, name: String, node: usize },
    /// The purger.
    Purge(Purge),
    /// Nobody: the message came twice.
    Nobody,
}

/// A message on its way to a node.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub asked: Asked,
    pub node: usize,
    pub path: String,
    pub body: Bytes,
    /// Not a message but a request that is to be served.
    pub request: Option<http::Request<()>>,
}

/// Envoy's health checks find out after so long.
const NOTICED_MS: u64 = 1_000;
/// The purger tries again after so long.
const PURGE_AGAIN_MS: u64 = 400;

impl World {
    pub(super) fn link_ms(&mut self) -> u64 {
        let (least, most) = if self.calm { (1, 2) } else { self.plan.options.link_ms };
        self.dice.between(least, most)
    }

    /// A node's answer takes longer where the node is slow.
    fn answer_ms(&mut self, node: usize) -> u64 {
        let is_slow = !self.calm && self.slow.get(node).is_some_and(|slow| *slow > 0);
        let late = if is_slow { self.plan.options.slow_ms } else { 0 };
        self.link_ms() + self.dice.between(late / 2, late)
    }

    pub(super) fn happens(&mut self, per_mille: u64) -> bool {
        !self.calm && self.dice.per_mille(per_mille)
    }

    fn hears(&self, who: Who, node: usize) -> bool {
        self.partitions.get(&(who.envoy, node)).is_none_or(|depth| *depth == 0)
    }

    /// The node that Envoy's ring has for a name, among those that its health checks know.
    pub(super) fn node_of(&self, name: &str) -> Option<usize> {
        let known = |node: &usize| match self.down_since.get(*node) {
            Some(Some(since)) => self.now_ms < since + NOTICED_MS,
            Some(None) => {
                self.up_since.get(*node).is_some_and(|since| *since == 0 || self.now_ms >= since + NOTICED_MS)
            }
            None => false,
        };
        let hash = |node: &usize| {
            let text = format!("{node}/{name}");
            text.bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        };
        (0..self.plan.options.nodes).filter(known).max_by_key(hash)
    }

    pub(super) fn node_down(&mut self, node: usize) {
        if self.nodes.is_up(node) {
            self.nodes.end(node);
            self.down_since[node] = Some(self.now_ms);
            // Connections break: whoever waits is told.
            let waiting: Vec<Ticket> = self
                .tickets
                .iter()
                .filter(|(_, asked)| matches!(asked, Asked::Call { node: at, .. } | Asked::Stream { node: at, .. } if *at == node))
                .map(|(ticket, _)| *ticket)
                .collect();
            for ticket in waiting {
                if let Some(asked) = self.tickets.remove(&ticket) {
                    self.after(1, Event::Refused(asked));
                }
            }
        }
    }

    pub(super) fn node_up(&mut self, node: usize) {
        if !self.nodes.is_up(node) {
            self.note(|| format!("node {node} is up"));
            self.nodes.begin(node);
            self.down_since[node] = None;
            self.up_since[node] = self.now_ms;
        }
    }

    /// Calls that Envoys have made since the last look go on their way.
    pub(super) fn take_up_calls(&mut self) {
        for number in 0..self.fleet.envoys.len() {
            let life = self.fleet.envoys[number].life;
            let last = self.calls.get(&(number, life)).copied();
            for call in self.fleet.envoys[number].host.calls_after(last) {
                self.calls.insert((number, life), call.id);
                let who = Who { envoy: number, life, worker: call.worker, vm: call.generation };
                if call.cluster != CLUSTER {
                    self.take_up_refresh(who, &call);
                    continue;
                }
                self.report.messages += 1;
                self.note(|| format!("envoy {number} worker {} calls {}", call.worker, call.path()));
                let name = call.headers.text(":authority").unwrap_or_default();
                let (path, latency) = (call.path(), self.link_ms());
                let Some(node) = self.node_of(&name) else {
                    let asked = Asked::Call { who, call: call.id, path, node: 0 };
                    self.after(1, Event::Refused(asked));
                    continue;
                };
                let asked = Asked::Call { who, call: call.id, path: path.clone(), node };
                let body = Bytes::from(call.body);
                if self.happens(self.plan.options.twice_per_mille) {
                    let later = latency + self.dice.below(50);
                    let (path, body) = (path.clone(), body.clone());
                    let again = Sent { asked: Asked::Nobody, node, path, body, request: None };
                    self.after(later, Event::AtNode(again));
                }
                self.after(latency, Event::AtNode(Sent { asked, node, path, body, request: None }));
            }
        }
    }

    pub(super) fn at_node(&mut self, sent: Sent) {
        let lost = match &sent.asked {
            Asked::Call { who, .. } | Asked::Stream { who, .. } => {
                !self.hears(*who, sent.node) || self.happens(self.plan.options.lost_per_mille / 2)
            }
            _ => false,
        };
        if lost {
            return;
        }
        if !self.nodes.is_up(sent.node) {
            let latency = self.link_ms();
            self.after(latency, Event::Refused(sent.asked));
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, sent.asked);
        match sent.request {
            Some(request) => self.nodes.serve(sent.node, ticket, request),
            None => self.nodes.ask(sent.node, ticket, &sent.path, sent.body),
        }
    }

    /// Nodes have answered.
    pub(super) fn answered(&mut self, answered: Vec<(Ticket, Answer)>) {
        for (ticket, answer) in answered {
            let Some(asked) = self.tickets.remove(&ticket) else { continue };
            let lost = match &asked {
                Asked::Call { who, node, .. } | Asked::Stream { who, node, .. } => {
                    !self.hears(*who, *node) || self.happens(self.plan.options.lost_per_mille / 2)
                }
                Asked::Purge(_) => false,
                Asked::Nobody => true,
            };
            if lost {
                continue;
            }
            let latency = match &asked {
                Asked::Call { node, .. } | Asked::Stream { node, .. } => self.answer_ms(*node),
                _ => self.link_ms(),
            };
            let event = match answer {
                Answer::Message(answer) => {
                    let answer = answer.map(|answer| self.perhaps_changed(&asked, answer));
                    Event::FromNode(asked, answer)
                }
                Answer::Served(response) => Event::Served(asked, response),
            };
            self.after(latency, event);
        }
    }

    fn perhaps_changed(&mut self, asked: &Asked, answer: Bytes) -> Bytes {
        let Asked::Call { path, .. } = asked else { return answer };
        let before = self.last_answers.insert(path.clone(), answer.clone());
        if !self.happens(self.plan.options.lies_per_mille) {
            return answer;
        }
        let mut bytes = answer.to_vec();
        match self.dice.below(4) {
            // Another's answer.
            0 => return before.unwrap_or(answer),
            1 => bytes.truncate(self.dice.index(bytes.len())),
            2 => bytes.extend_from_slice(b"more"),
            _ => {
                let at = self.dice.index(bytes.len());
                let by = self.dice.between(1, 255) as u8;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= by;
                }
            }
        }
        self.note(|| format!("an answer to {path} is changed"));
        Bytes::from(bytes)
    }

    pub(super) fn hear_node(&mut self, asked: &Asked, answer: Option<Bytes>) {
        match asked {
            Asked::Call { who, call, path, .. } => {
                self.note(|| format!("envoy {} worker {} hears of {path}", who.envoy, who.worker));
                let Some(envoy) = self.fleet.envoys.get_mut(who.envoy).filter(|envoy| envoy.life == who.life) else {
                    return;
                };
                let response = match &answer {
                    Some(answer) => Response::new(200).header(MARKER, PROTOCOL.to_string()).body(answer.to_vec()),
                    None => Response::new(503).header(MARKER, PROTOCOL.to_string()),
                };
                // A call that is not waited for any more tells nobody anything.
                let polled = answer.filter(|_| path == Poll::PATH && envoy.host.is_waiting(*call));
                envoy.host.answer_call(*call, response);
                if let Some(answer) = polled.and_then(PollAnswer::decode) {
                    self.books.heard(self.now_ms, *who, answer.position);
                    if let Some(policies) = &answer.policies {
                        let text = policies.active.as_ref().map(|active| active.text.as_str());
                        self.books.told(*who, text);
                        self.note(|| format!("envoy {} worker {} is under another policy", who.envoy, who.worker));
                    }
                }
            }
            Asked::Purge(purge) => match answer.and_then(PurgeAnswer::decode) {
                Some(PurgeAnswer::Done(at)) => {
                    let now_ms = self.now_ms;
                    self.note(|| format!("purged {:?} of {} as {at:?}", purge.by, purge.object));
                    let floors = purge.floors.clone();
                    self.books.purged(Purged { at, acknowledged_ms: now_ms, floors, soft: purge.soft });
                }
                _ => self.after(PURGE_AGAIN_MS, Event::Purge(purge.clone())),
            },
            Asked::Stream { .. } | Asked::Nobody => {}
        }
    }

    pub(super) fn refused(&mut self, asked: &Asked) {
        match asked {
            Asked::Call { who, call, .. } => {
                if let Some(envoy) = self.fleet.envoys.get_mut(who.envoy).filter(|envoy| envoy.life == who.life) {
                    envoy.host.refuse_call(*call);
                }
            }
            Asked::Stream { who, stream, .. } => {
                if let Some(envoy) = self.fleet.envoys.get_mut(who.envoy).filter(|envoy| envoy.life == who.life) {
                    envoy.host.fail_upstream(*stream, UpstreamFailure::ConnectionRefused);
                }
            }
            Asked::Purge(purge) => self.after(PURGE_AGAIN_MS, Event::Purge(purge.clone())),
            Asked::Nobody => {}
        }
    }

    /// The purger asks whichever node there is.
    pub(super) fn send_purge(&mut self, purge: Purge) {
        let Some(node) = self.node_of(LOG_NAME) else {
            self.after(PURGE_AGAIN_MS, Event::Purge(purge));
            return;
        };
        let kinds = self.books.origin.kinds();
        let path = origin::path(kinds, purge.object);
        let url = format!("http://api.example{path}");
        let scope = match purge.by {
            Purging::Tag => Scope::Tag(origin::tag(kinds, purge.object)),
            Purging::Prefix => Scope::Prefix(url),
            Purging::All => Scope::All,
            Purging::Url | Purging::None => Scope::Url(url),
        };
        let mode = if purge.soft { Mode::Soft } else { Mode::Hard };
        let message = PurgeMessage { who: "sim".to_owned(), token: None, purges: vec![(scope, mode)] };
        let latency = self.link_ms();
        let body = Bytes::from(message.encode());
        let asked = Asked::Purge(purge);
        let path = PurgeMessage::PATH.to_owned();
        self.after(latency, Event::AtNode(Sent { asked, node, path, body, request: None }));
    }
}

/// A span in whole milliseconds, rounded up.
pub(super) fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
