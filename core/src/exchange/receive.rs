//! The response's body: hold the head for an ETag or a late 304, collect, store at the end.

use std::sync::Arc;

use bytes::Bytes;

use super::storing::{self, Context};
use super::verdict::{BodyVerdict, Edits, Effect, EndVerdict, ResponseVerdict, edits_between};
use super::{Asked, Exchange, State, reply, request, response, share, wake_all};
use crate::cluster::leases::LeaseId;
use crate::cluster::message::Release;
use crate::decide::age::Times;
use crate::decide::client;
use crate::decide::preconditions::{self, Verdict};
use crate::decide::store::NotStored;
use crate::decide::vary::VaryKey;
use crate::edge::TAGS;
use crate::entry::{Entry, Facts, etag};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::field::date;
use crate::field::etag::EntityTag;
use crate::field::hop;
use crate::field::surrogate;
use crate::fields::{Fields, RequestHead, ResponseHead};
use crate::flights::Wake;
use crate::judged::Judged;
use crate::policy::rules::{EtagRule, Rules};
use crate::purge::{Position, Standing};
use crate::shelf::Variant;
use crate::tally::Count;
use crate::time::Timestamp;
use crate::worker::Worker;

/// A response whose body is coming.
#[derive(Debug)]
pub(super) struct Receiving {
    pub request: RequestHead,
    pub rules: Arc<Rules>,
    pub covers: Vec<String>,
    pub response: ResponseHead,
    /// The answer may be one user's.
    pub restricted: bool,
    /// The client's If-None-Match or If-Modified-Since is ours to evaluate.
    pub client_preconditions: bool,
    pub wants_etag: bool,
    /// The policy's tags, where an edge stores the response and tells clients what the policy says.
    pub edge_tags: Option<Vec<String>>,
    pub status: Option<CacheStatus<'static>>,
    pub storing: Option<Storing>,
    /// Where the request took part in the cache.
    pub asked: Option<Asked>,
    /// The head is held back.
    pub held: bool,
}

/// What is needed to store at the end.
#[derive(Debug)]
pub(super) struct Storing {
    pub times: Times,
    pub directives: CacheControl,
    pub sent: Timestamp,
    pub standing: Standing,
    /// The cluster's leave to fill the key; zero where there is none.
    pub lease: LeaseId,
}

impl Receiving {
    /// A response that passes on, and is not stored.
    pub(super) fn passed(asked: Asked, response: ResponseHead, restricted: bool, status: CacheStatus<'static>) -> Self {
        Self {
            request: asked.request,
            rules: asked.rules,
            covers: asked.keyed.covers,
            response,
            restricted,
            client_preconditions: false,
            wants_etag: false,
            edge_tags: None,
            status: Some(status),
            storing: None,
            asked: None,
            held: false,
        }
    }

    pub(super) fn into_asked(self) -> Option<Asked> {
        self.asked
    }

    /// Whether the head is better held until the whole body is here.
    fn is_worth_holding(&self) -> bool {
        let known = self.response.content_length();
        let fits = known.is_none_or(|length| length <= self.rules.limits.hold_bytes_max);
        let has_get_body = self.request.method == "GET" && !self.response.ends;
        fits && has_get_body && self.response.status == 200 && (self.wants_etag || self.client_preconditions)
    }

    /// The edits that make the origin's head the client's.
    fn edits(&mut self, made: Option<&EntityTag>, now: Timestamp) -> Edits {
        let fields = self.client_fields(made, now);
        edits_between(&self.response.fields, &fields)
    }

    pub(super) fn client_fields(&mut self, made: Option<&EntityTag>, now: Timestamp) -> Fields {
        let mut fields = self.response.fields.clone();
        if let Some(tag) = made {
            fields.set("etag", tag.to_bytes());
        }
        add_last_modified(&self.rules, &self.response, &mut fields, now);
        fields.remove(TAGS);
        if let Some(tags) = &self.edge_tags {
            if !tags.is_empty() {
                fields.set(TAGS, surrogate::joined(tags));
            }
        } else if client::rewrite(&self.rules, &self.covers, self.response.status, self.restricted, &mut fields) {
            fields.remove("age");
        }
        if let Some(status) = self.status.take() {
            status.append_to(&mut fields);
        }
        fields
    }

    fn make_etag(&self, body: &[u8]) -> Option<EntityTag> {
        self.wants_etag.then(|| {
            let coding = self.response.fields.joined("content-encoding");
            etag::of_body(body, coding.as_deref(), self.rules.etag == EtagRule::Weak)
        })
    }
}

fn add_last_modified(rules: &Rules, response: &ResponseHead, fields: &mut Fields, now: Timestamp) {
    if rules.add_last_modified && response.status == 200 && !fields.has("last-modified") {
        fields.add("last-modified", date::format(now));
    }
}

impl Exchange {
    /// Decides between passing on and holding back.
    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        mut receiving: Receiving,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        if let Some(asked) = &receiving.asked {
            self.count(now, asked, response::outcome(receiving.storing.is_some()), worker);
        }
        if receiving.response.ends {
            let made = receiving.make_etag(&[]).filter(|_| receiving.request.method == "GET");
            let edits = receiving.edits(made.as_ref(), now);
            self.store_all(now, &mut receiving, &[], made.as_ref(), worker, out);
            return ResponseVerdict::Pass { edits, capture: false };
        }
        if worker.holds && receiving.is_worth_holding() {
            receiving.held = true;
            self.state = State::Body(Box::new(receiving));
            return ResponseVerdict::Hold;
        }
        let edits = receiving.edits(None, now);
        let capture = receiving.storing.is_some();
        if capture {
            self.announce(&receiving, worker, out);
            self.state = State::Body(Box::new(receiving));
        }
        ResponseVerdict::Pass { edits, capture }
    }

    pub(super) fn received_some(
        &mut self,
        now: Timestamp,
        mut receiving: Box<Receiving>,
        so_far: u64,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> BodyVerdict {
        let limits = receiving.rules.limits;
        if so_far > limits.object_bytes_max
            && let Some(storing) = receiving.storing.take()
        {
            self.give_up(now, &receiving, storing.lease, NotStored::TooLarge, worker, out);
        }
        let capture = receiving.storing.is_some();
        if receiving.held && so_far > limits.hold_bytes_max {
            receiving.held = false;
            let edits = receiving.edits(None, now);
            if capture {
                self.announce(&receiving, worker, out);
                self.state = State::Body(receiving);
            }
            return BodyVerdict::Release { edits, capture };
        }
        if capture || receiving.held {
            self.state = State::Body(receiving);
            BodyVerdict::Capture
        } else {
            BodyVerdict::Ignore
        }
    }

    pub(super) fn received_all(
        &mut self,
        now: Timestamp,
        mut receiving: Receiving,
        body: &[u8],
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> EndVerdict {
        let declared = receiving.response.content_length();
        if declared.is_some_and(|declared| declared != body.len() as u64)
            && let Some(storing) = receiving.storing.take()
        {
            self.give_up(now, &receiving, storing.lease, NotStored::Truncated, worker, out);
        }
        let made = receiving.make_etag(body);
        let variant = self.store_all(now, &mut receiving, body, made.as_ref(), worker, out);
        if !receiving.held {
            return EndVerdict::Done;
        }
        if self.answers_not_modified(&receiving, made.as_ref(), now) {
            let status = receiving.status.take().unwrap_or_else(|| request::miss(worker.name, "bypass"));
            let variant = variant.unwrap_or_else(|| self.unstored(&receiving, made.as_ref(), now));
            worker.tally.add(receiving.rules.index, Count::NotModified, 1);
            return EndVerdict::Replace(reply::from_stored(&receiving.request, &variant, now, status));
        }
        EndVerdict::Release(receiving.edits(made.as_ref(), now))
    }

    /// Whether the client has this already, by the validators that it will be given.
    fn answers_not_modified(&self, receiving: &Receiving, made: Option<&EntityTag>, now: Timestamp) -> bool {
        let fields = &receiving.response.fields;
        let own = fields.first("etag").and_then(EntityTag::parse);
        let modified = fields.first("last-modified").and_then(|value| date::parse(value, now));
        let verdict = preconditions::evaluate(
            &receiving.request.fields,
            &receiving.request.method,
            made.or(own.as_ref()),
            modified,
            fields.first("date").and_then(|value| date::parse(value, now)),
            true,
            now,
        );
        verdict == Verdict::NotModified
    }

    /// The head of a response that is not stored, in the shape of one that is.
    fn unstored(&self, receiving: &Receiving, made: Option<&EntityTag>, now: Timestamp) -> Variant {
        let mut fields = receiving.response.fields.clone();
        hop::strip_hop_by_hop(&mut fields);
        fields.remove(TAGS);
        if let Some(tag) = made {
            fields.set("etag", tag.to_bytes());
        }
        let entry = Entry::new(Facts {
            url: String::new(),
            status: receiving.response.status,
            fields,
            body: Bytes::new(),
            times: response::times_of(&receiving.response, now, now),
            vary: VaryKey(Vec::new()),
            tags: Vec::new(),
            position: Position::default(),
            made_etag: made.is_some(),
            identified: receiving.restricted,
            personal: false,
        });
        let judged = Judged::new(&receiving.rules, self.policy.revision, &receiving.covers, &entry);
        Variant { entry: entry.into(), judged: judged.into(), standing: Standing::default() }
    }

    fn store_all(
        &mut self,
        now: Timestamp,
        receiving: &mut Receiving,
        body: &[u8],
        made: Option<&EntityTag>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<Variant> {
        let storing = receiving.storing.take()?;
        let asked = receiving.asked.take()?;
        let context = Context { policy: &self.policy, asked: &asked, sent: storing.sent, standing: storing.standing };
        let mut response = receiving.response.fields.clone();
        add_last_modified(&receiving.rules, &receiving.response, &mut response, now);
        let whole = storing::Whole {
            status: receiving.response.status,
            fields: &response,
            directives: &storing.directives,
            times: storing.times,
            body,
            made_etag: made,
        };
        let stored = storing::store(&context, &whole, worker);
        let key = &asked.keyed.key;
        match &stored {
            Ok(variant) => {
                share::stored(&context, variant, storing.lease, now, worker, out);
                self.wake_followers(now, &asked, variant, worker, out);
            }
            Err(reason) => {
                let release = Release { uncacheable: true, ..Release::default() };
                share::release(&asked.keyed, storing.lease, release, worker, out);
                worker.tally.add(receiving.rules.index, Count::NotStored(*reason), 1);
                worker.flights.note_uncacheable(key, now);
                wake_all(worker.flights.scatter(key, self.id, Wake::Released), out);
            }
        }
        stored.ok()
    }

    /// A response that looked storable is not, after all.
    fn give_up(
        &mut self,
        now: Timestamp,
        receiving: &Receiving,
        lease: LeaseId,
        reason: NotStored,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) {
        worker.tally.add(receiving.rules.index, Count::NotStored(reason), 1);
        let Some(asked) = &receiving.asked else { return };
        if reason.is_lasting() {
            worker.flights.note_uncacheable(&asked.keyed.key, now);
        }
        let release = Release { uncacheable: reason.is_lasting(), ..Release::default() };
        share::release(&asked.keyed, lease, release, worker, out);
        wake_all(worker.flights.scatter(&asked.keyed.key, self.id, Wake::Released), out);
    }
}
