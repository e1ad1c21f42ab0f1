//! A large stored response that a node gives the client by itself, and what to do should the node fail.
//!
//! The request was sent to the node on this worker's word that what is stored there may be used. The node's head is made the
//! client's by the policy in force. Where the node has nothing to say before its first byte, the origin is asked instead.

use std::sync::Arc;

use super::receive::Receiving;
use super::refresh::Answer;
use super::request::{forwarded_fields, hit};
use super::response::times_of;
use super::verdict::{Edit, Edits, Effect, Reply, ReplyBody, ResponseVerdict, edits_between};
use super::{Asked, Exchange, Fetch, State};
use crate::cluster::serving::Label;
use crate::cluster::{MARKER, SERVE};
use crate::decide::identity::Identity;
use crate::decide::reuse::{self, Reuse};
use crate::decide::{age, lifetime, store};
use crate::edge::MARK;
use crate::field::cache_control::CacheControl;
use crate::field::hop;
use crate::fields::{Failure, ResponseHead, Source};
use crate::flights::Part;
use crate::purge::Covered;
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

/// A request that a node answers.
#[derive(Debug)]
pub(super) struct Served {
    asked: Asked,
    /// Seconds that the response is fresh yet.
    left: i64,
    /// When it was received, by the cluster's clock: another one is weighed anew.
    version: Timestamp,
}

/// A request whose node has failed, and that the origin is asked for.
#[derive(Debug)]
pub(super) struct Fallback {
    fetch: Fetch,
}

impl Served {
    pub(super) fn begin(asked: Asked, left: i64, version: Timestamp) -> (Self, Edits) {
        let mut fields = forwarded_fields(&asked);
        fields.set(SERVE, asked.keyed.name());
        let mut edits = edits_between(&asked.request.fields, &fields);
        edits.push(Edit::Route);
        (Self { asked, left, version }, edits)
    }
}

/// For how long another response than the one that was expected is fresh; `None` where it must not be used: the node must know of
/// every purge that this worker knows of, and the policy in force must find it fresh.
fn still_fresh(asked: &Asked, head: &ResponseHead, label: Label, now: Timestamp, worker: &Worker) -> Option<i64> {
    worker.purges.are_known_to(label.good_at?).then_some(())?;
    let rules = &asked.rules;
    let directives = CacheControl::of_response(&head.fields, &rules.targeted);
    let times = times_of(head, now, now);
    let lifetime = lifetime::of(rules, 200, &directives, &head.fields, &times)?;
    let age = age::current_age(&times, now);
    let wanted = CacheControl::of_request(&asked.request.fields);
    let obeyed = rules.obey_request_directives.then_some(&wanted);
    let fresh = reuse::reuse(&lifetime, age, Covered::No, obeyed) == Reuse::Fresh;
    let shareable = asked.identity == Identity::None || store::is_shareable(&directives);
    (fresh && shareable).then(|| i64::from(lifetime.fresh_for.get()) - i64::from(age.get()))
}

impl Exchange {
    pub(super) fn served(
        &mut self,
        now: Timestamp,
        served: Served,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        let Served { asked, left, version } = served;
        let mut head = head;
        let sent = head.fields.clone();
        let label = Label::take(&mut head.fields);
        let from_node = head.source == Source::Origin && head.fields.has(MARKER);
        // A response to another request is nobody's answer, however it came here.
        let is_this = head.fields.first(SERVE).is_some_and(|name| name == asked.keyed.name().as_bytes());
        let answers = from_node && is_this && (head.status < 400 || matches!(head.status, 412 | 416));
        let left = match label.received {
            _ if !answers => None,
            // Two fetches of one key that ended in the same millisecond are taken for the same.
            Some(received) if received == version => Some(left),
            _ => still_fresh(&asked, &head, label, now, worker),
        };
        if let Some(left) = left {
            let mut fields = head.fields.clone();
            fields.remove(MARKER);
            fields.remove(SERVE);
            let length = head.content_length().unwrap_or_default();
            self.count(now, &asked, Outcome::ClusterHit, worker);
            worker.tally.add(asked.rules.index, Count::BytesFromStore, length);
            let mut status = hit(worker.name, left);
            status.detail = Some("cluster".into());
            let restricted = asked.keyed.names_user;
            let mut receiving = Receiving::passed(asked, ResponseHead { fields, ..head.clone() }, restricted, status);
            let wanted = receiving.client_fields(None, now);
            return ResponseVerdict::Pass { edits: edits_between(&sent, &wanted), capture: false };
        }
        if let Some(cluster) = &mut worker.cluster {
            let known = cluster.afar.variants(&asked.keyed.key).to_vec();
            known.iter().for_each(|variant| cluster.afar.forget(&asked.keyed.key, &variant.entry));
        }
        if head.source == Source::Origin && !from_node {
            self.from_origin = Some(asked.rules.index);
        }
        let fetch = Fetch {
            part: Part::Alone,
            stale: None,
            validating: false,
            preconditions_taken: false,
            forwarded: "uri-miss",
            detail: Some(if from_node { "cluster-lost" } else { "cluster-unreachable" }),
            sent: now,
            standing: worker.purges.now(),
            lease: 0,
            known_there: false,
            asked,
        };
        // Not routed to a node at all: the origin has answered already.
        if head.source == Source::Origin && !from_node && head.status < 500 {
            return self.fetched(now, Fetch { detail: Some("not-rerouted"), ..fetch }, head, worker, out);
        }
        // A node that has it no longer is none that fails.
        worker.note_call(now, from_node);
        let mut request = fetch.asked.request.clone();
        request.fields = forwarded_fields(&fetch.asked);
        if let Some(mark) = worker.edge.mark(now) {
            request.fields.set(MARK, mark);
        }
        if let Some(target) = &fetch.asked.keyed.forward_target {
            request.target.clone_from(target);
        }
        out.push(Effect::Fetch(Box::new(request)));
        self.state = State::Fetched(Box::new(Fallback { fetch }));
        ResponseVerdict::Wait
    }

    pub(super) fn fallen_back(
        &mut self,
        now: Timestamp,
        fallback: Fallback,
        answer: Answer<'_>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<Reply> {
        let Answer::Response(mut head, body) = answer else { return None };
        hop::strip_hop_by_hop(&mut head.fields);
        head.ends = body.is_empty();
        // To a call, Envoy's own failure reads like the origin's: neither is kept.
        if head.status >= 500 {
            head.source = Source::Failure(Failure::Other);
        }
        worker.tally.add(fallback.fetch.asked.rules.index, Count::BytesFromOrigin, body.len() as u64);
        let source = head.clone();
        let verdict = self.fetched(now, fallback.fetch, head, worker, out);
        let edits = match verdict {
            ResponseVerdict::Replace(reply) => return Some(reply),
            ResponseVerdict::Pass { edits, capture } => {
                if capture {
                    self.on_end(now, body, worker, out);
                }
                edits
            }
            ResponseVerdict::Hold | ResponseVerdict::Wait => match self.on_end(now, body, worker, out) {
                super::EndVerdict::Replace(reply) => return Some(reply),
                super::EndVerdict::Release(edits) => edits,
                super::EndVerdict::Done => Edits::new(),
            },
        };
        let mut extra = source.fields;
        for edit in edits {
            match edit {
                Edit::Remove(name) => extra.remove(&name),
                Edit::Set(name, value) => extra.set(&name, value),
                Edit::Add(name, value) => extra.add(&name, value),
                Edit::Target(_) | Edit::Route => {}
            }
        }
        extra.remove("content-length");
        Some(Reply {
            status: source.status,
            base: Arc::default(),
            extra,
            body: ReplyBody::Bytes(bytes::Bytes::copy_from_slice(body)),
            head_only: false,
        })
    }
}
