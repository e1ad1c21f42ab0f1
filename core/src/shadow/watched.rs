//! One exchange as the shadow sees it: its request, what became of it, and in what the shadow would have done otherwise.
//!
//! A request that would be a hit is counted at once. Every other is counted when it is answered, by what answered it: the origin, or a
//! stored response that stands for what the origin would have said.

use std::sync::Arc;

use super::index::{Mark, Slot};
use super::{Difference, Shadow, ShadowOutcome};
use crate::decide::admit::{self, Bypass};
use crate::decide::age::{self, Times};
use crate::decide::freshness;
use crate::decide::identity::{self, Identity};
use crate::decide::lifetime::{self, Lifetime};
use crate::decide::reuse::{self, Reuse};
use crate::decide::store::{self, Candidate, NotStored};
use crate::exchange::{keyed, scopes_of, tags_of, times_of};
use crate::field::cache_control::CacheControl;
use crate::field::vary::{self, Vary};
use crate::fields::{Fields, RequestHead, ResponseHead, Source};
use crate::judged;
use crate::key::{self, Key, Keyed};
use crate::policy::rules::{AuthorizationRule, Kind, Rules, SetCookieRule};
use crate::policy::template::Params;
use crate::purge::{Covered, Sequence, Standing};
use crate::shelf::Variant;
use crate::tally::Count;
use crate::time::{Seconds, Timestamp};
use crate::worker::Worker;

/// A request under the shadow's rules.
#[derive(Debug)]
pub(crate) struct Watched {
    revision: u64,
    request: RequestHead,
    /// The rules in force.
    active: Arc<Rules>,
    rules: Arc<Rules>,
    params: Params,
    keyed: Keyed,
    identity: Identity,
    progress: Progress,
    began: Timestamp,
    standing: Standing,
    /// In the order of the shadow's own invalidations.
    own: Sequence,
}

/// What is known and what is awaited.
#[derive(Debug)]
enum Progress {
    /// It would go around the cache, and may change state.
    Bypass,
    /// It would be a hit on this; `renew` where it would be refreshed as well.
    Hit { mark: Mark, renew: bool },
    /// It would not be a hit: what answers?
    Open,
    /// The origin's head was seen, and the body is awaited. To be compared with what a hit would have served; to be remembered.
    Body { compare: Option<Mark>, slot: Option<Box<Draft>>, mark: Mark },
    /// Counted.
    Over,
}

/// How a response would answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Fresh,
    /// Stale, as the client itself allows.
    AsAllowed,
    /// Stale, and it would be refreshed.
    Stale,
}

/// What is to be remembered once the body is known.
#[derive(Clone, Debug)]
struct Draft {
    names: Vec<String>,
    slot: Slot,
}

/// Where a stored response came from that answers a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// A store.
    Store,
    /// A store whose body is elsewhere, and so long where that is known.
    Elsewhere(Option<u64>),
    /// A store, and the origin has confirmed it just now.
    Confirmed,
}

/// What of the origin's response will be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// No more than the head.
    Nothing,
    /// The body, at [`Watched::ended`].
    Body,
}

impl Watched {
    /// A request, where there is a shadow. `active` are the rules in force.
    pub(crate) fn begin(
        now: Timestamp,
        request: &RequestHead,
        active: &Arc<Rules>,
        behind_edge: bool,
        worker: &mut Worker,
    ) -> Option<Box<Self>> {
        let mut shadow = worker.shadow.take()?;
        let matched = shadow.policy.route(request);
        let admitted = admit::admit(&matched.rules, request, matched.suspicious_path);
        let admitted = admitted.and(if behind_edge { Err(Bypass::Edge) } else { Ok(()) });
        let rules = matched.rules;
        let unidentified = rules.override_unsafe || admitted.is_err();
        let identity = if unidentified { Identity::None } else { identity::identity(&rules, &request.fields) };
        let mut watched = Self {
            revision: shadow.policy.revision,
            keyed: keyed(&rules, request, &worker.shelf),
            request: request.clone(),
            active: active.clone(),
            params: matched.params,
            identity,
            progress: Progress::Open,
            began: now,
            standing: worker.purges.now(),
            own: shadow.invalidated.head(),
            rules,
        };
        match admitted {
            Err(_) => {
                watched.progress = Progress::Bypass;
                shadow.count(watched.rules.index, Count::ShadowRequest(ShadowOutcome::Bypass));
            }
            Ok(()) if worker.is_current(now) => watched.look(now, &mut shadow, worker),
            Ok(()) => {}
        }
        worker.shadow = Some(shadow);
        Some(Box::new(watched))
    }

    /// Whether it would be a hit.
    fn look(&mut self, now: Timestamp, shadow: &mut Shadow, worker: &Worker) {
        let Some((slot, age, covered)) = shadow.find(&self.keyed.key, &self.request, now, &worker.purges) else {
            return;
        };
        if self.identity != Identity::None && !slot.shareable {
            return;
        }
        let Some(serves) = self.serves(&slot.lifetime, age, covered) else { return };
        let (mark, apart) = (slot.mark, slot.apart || self.keeps_apart(slot.shareable));
        let staler = age >= slot.allowed && serves != Serves::AsAllowed;
        self.progress = Progress::Hit { mark, renew: serves == Serves::Stale };
        self.hit(mark.bytes, apart, staler, shadow);
    }

    fn hit(&self, bytes: Option<u64>, apart: bool, staler: bool, shadow: &mut Shadow) {
        let rules = self.rules.index;
        shadow.count(rules, Count::ShadowRequest(ShadowOutcome::Hit));
        // What a condition or a range leaves of it is not looked into.
        let fields = &self.request.fields;
        let whole = self.request.method == "GET"
            && !fields.has("range")
            && !store::CONDITIONS.iter().any(|name| fields.has(name));
        if whole {
            shadow.tally.add(rules, Count::ShadowBytes, bytes.unwrap_or_default());
        }
        if apart && !self.keyed.names_user {
            shadow.count(rules, Count::ShadowDiffers(Difference::Identity));
        }
        if staler {
            shadow.count(rules, Count::ShadowDiffers(Difference::Staler));
        }
    }

    /// Whether a response of this age would answer the request.
    fn serves(&self, lifetime: &Lifetime, age: Seconds, covered: Covered) -> Option<Serves> {
        let directives = CacheControl::of_request(&self.request.fields);
        let obeyed = self.rules.obey_request_directives.then_some(&directives);
        match reuse::reuse(lifetime, age, covered, obeyed) {
            Reuse::Fresh => Some(Serves::Fresh),
            Reuse::StaleAllowed => Some(Serves::AsAllowed),
            Reuse::StaleWhileRevalidate => Some(Serves::Stale),
            Reuse::Validate(_) | Reuse::Gone => None,
        }
    }

    /// Whether the rules in force keep whatever answers this request from others, by what the request says.
    fn keeps_apart(&self, shareable: bool) -> bool {
        let (active, fields) = (&self.active, &self.request.fields);
        if active.override_unsafe {
            return false;
        }
        active.kind == Kind::Personal
            || key::names_user(&active.key, &self.request)
            || (active.identity.authorization == AuthorizationRule::Bypass && fields.has("authorization"))
            || (!shareable && identity::identity(active, fields) != Identity::None)
    }

    /// The same, and by what the response says.
    fn keeps_response_apart(&self, response: &Fields, shareable: bool) -> bool {
        let active = &self.active;
        let said = || {
            CacheControl::of_response(response, &active.targeted).private
                || (response.has("set-cookie") && active.identity.set_cookie == SetCookieRule::NotStored)
        };
        !active.override_unsafe && (self.keeps_apart(shareable) || said())
    }

    /// The shadow is another one by now, or none: nothing is counted for it.
    fn shadow_of(&self, worker: &mut Worker) -> Option<Box<Shadow>> {
        if worker.shadow.as_ref()?.policy.revision == self.revision { worker.shadow.take() } else { None }
    }

    /// A stored response answers, under this key of the policy in force.
    pub(crate) fn stored(&mut self, now: Timestamp, active: &Key, variant: &Variant, seen: Seen, worker: &mut Worker) {
        if !matches!(self.progress, Progress::Open | Progress::Hit { .. }) {
            return;
        }
        let Some(mut shadow) = self.shadow_of(worker) else { return };
        let facts = variant.entry.facts();
        let (body, length) = match seen {
            Seen::Elsewhere(length) => (None, length),
            Seen::Store | Seen::Confirmed => (Some(&*facts.body), Some(facts.body.len() as u64)),
        };
        let etag = facts.fields.first("etag").filter(|_| !facts.made_etag);
        let from_origin = matches!(seen, Seen::Confirmed);
        let (compare, renew) = match std::mem::replace(&mut self.progress, Progress::Over) {
            Progress::Hit { mark, renew } => (Some(mark), renew),
            _ => (None, true),
        };
        if let Some(before) = compare.filter(|_| from_origin)
            && before.differs(&mark(&shadow, facts.status, (body, length), etag))
        {
            shadow.count(self.rules.index, Count::ShadowDiffers(Difference::OtherBody));
        }
        if renew {
            let (status, fields) = (facts.status, facts.fields.clone());
            let head = ResponseHead { status, fields, source: Source::Origin, ends: length == Some(0) };
            let said = Said { head, times: facts.times, standing: variant.standing };
            let counted = compare.is_some();
            let draft = if from_origin {
                let draft = self.draft(&said, worker).and_then(|draft| self.got(draft));
                self.not_hit(&draft, counted, &mut shadow);
                draft.map(|mut draft| {
                    draft.slot.mark = mark(&shadow, status, (body, length), etag);
                    draft
                })
            } else {
                let mark = mark(&shadow, status, (body, length), etag);
                self.stand_in(now, &said, (mark, *active == self.keyed.key, counted), &mut shadow, worker)
            };
            if let Ok(draft) = draft {
                self.remember(draft, &mut shadow);
            }
        }
        worker.shadow = Some(shadow);
    }

    /// A stored response stands for what the origin would have said. What is to be remembered of it.
    fn stand_in(
        &mut self,
        now: Timestamp,
        said: &Said,
        (mark, same_key, counted): (Mark, bool, bool),
        shadow: &mut Shadow,
        worker: &Worker,
    ) -> Result<Draft, NotStored> {
        let draft = self.draft(said, worker);
        // Under the same key the shadow would have stored it when it came, here or in the cluster.
        let served = draft.as_ref().ok().filter(|_| same_key).and_then(|Draft { slot, .. }| {
            let age = age::current_age(&slot.times, now);
            let serves = self.serves(&slot.lifetime, age, Covered::No)?;
            Some((serves, slot.apart, age >= slot.allowed && serves != Serves::AsAllowed))
        });
        if let (Some((serves, apart, staler)), Ok(mut draft)) = (served, draft.clone()) {
            if !counted {
                self.hit(mark.bytes, apart, staler, shadow);
            }
            if serves != Serves::Stale {
                draft.slot.mark = mark;
                return Ok(draft);
            }
        }
        let draft = draft.and_then(|draft| self.got(draft));
        self.not_hit(&draft, counted || served.is_some(), shadow);
        let mut draft = draft?;
        // As if it had come just now: so long as it had to live when it came. What the origin would really have said nobody knows.
        let age = age::current_age(&said.times, said.times.response);
        draft.slot.times = Times { request: now, response: now, date: None, age };
        draft.slot.mark = Mark { assumed: true, ..mark };
        Ok(draft)
    }

    /// A response to a GET is stored.
    fn got(&self, draft: Draft) -> Result<Draft, NotStored> {
        if self.request.method == "GET" { Ok(draft) } else { Err(NotStored::Method) }
    }

    /// Counts what would not be a hit.
    fn not_hit(&self, draft: &Result<Draft, NotStored>, counted: bool, shadow: &mut Shadow) {
        if counted {
            return;
        }
        let rules = self.rules.index;
        let outcome = if draft.is_ok() { ShadowOutcome::Miss } else { ShadowOutcome::NotStored };
        shadow.count(rules, Count::ShadowRequest(outcome));
        if draft.as_ref().is_ok_and(|draft| draft.slot.apart) && !self.keyed.names_user {
            shadow.count(rules, Count::ShadowDiffers(Difference::Identity));
        }
    }

    /// What answers says nothing of the origin's response.
    pub(crate) fn unknown(&mut self, worker: &mut Worker) {
        if let Progress::Open = std::mem::replace(&mut self.progress, Progress::Over)
            && let Some(mut shadow) = self.shadow_of(worker)
        {
            shadow.count(self.rules.index, Count::ShadowRequest(ShadowOutcome::NotStored));
            worker.shadow = Some(shadow);
        }
    }

    /// The origin's response, or a failure to get one.
    pub(crate) fn answered(&mut self, now: Timestamp, head: ResponseHead, coming: Coming, worker: &mut Worker) {
        let Some(mut shadow) = self.shadow_of(worker) else { return };
        let is_whole =
            head.source == Source::Origin && head.status < 500 && !matches!(head.status, 206 | 304 | 412 | 416);
        let declared = head.content_length();
        let mark = mark(&shadow, head.status, (None, declared), head.fields.first("etag"));
        let is_empty = head.ends && self.request.method == "GET";
        let counted = matches!(self.progress, Progress::Hit { .. });
        let (compare, renew) = match std::mem::replace(&mut self.progress, Progress::Over) {
            Progress::Bypass => {
                let policy = shadow.policy.clone();
                if admit::admit(&self.rules, &self.request, false) == Err(Bypass::UnsafeMethod) {
                    let (request, rules, params) = (&self.request, &self.rules, &self.params);
                    shadow.invalidate(scopes_of(&policy, request, rules, params, &head, worker));
                }
                (None, false)
            }
            Progress::Hit { mark, renew } => (Some(mark).filter(|_| is_whole), renew),
            Progress::Open => (None, true),
            Progress::Body { .. } | Progress::Over => (None, false),
        };
        let mut slot = None;
        if renew {
            let times = times_of(&head, self.began, now);
            let said = Said { head, times, standing: self.standing };
            let draft = self.draft(&said, worker).and_then(|draft| self.got(draft));
            // A 304 is about the client's own condition: a request for a whole response would have been sent instead.
            if said.head.status == 304 && !counted {
                shadow.count(self.rules.index, Count::ShadowRequest(ShadowOutcome::Miss));
            } else {
                self.not_hit(&draft, counted, &mut shadow);
            }
            slot = draft.ok().map(Box::new);
        }
        if compare.is_some() || slot.is_some() {
            self.progress = Progress::Body { compare, slot, mark };
        }
        worker.shadow = Some(shadow);
        if coming == Coming::Nothing {
            self.ended(is_empty.then_some(&[]), worker);
        }
    }

    /// The body is whole, or will not be seen.
    pub(crate) fn ended(&mut self, body: Option<&[u8]>, worker: &mut Worker) {
        if !matches!(self.progress, Progress::Body { .. }) {
            return;
        }
        let Progress::Body { compare, slot, mark: head } = std::mem::replace(&mut self.progress, Progress::Over) else {
            return;
        };
        let length = body.map(|body| body.len() as u64);
        let truncated = length.is_some() && head.bytes.is_some() && length != head.bytes;
        if truncated && self.request.method != "HEAD" {
            return;
        }
        let Some(mut shadow) = self.shadow_of(worker) else { return };
        let mark = Mark { body: body.map(|body| shadow.index.hash(body)), bytes: length.or(head.bytes), ..head };
        if compare.is_some_and(|before| before.differs(&mark)) {
            shadow.count(self.rules.index, Count::ShadowDiffers(Difference::OtherBody));
        }
        if let Some(mut draft) = slot {
            draft.slot.mark = mark;
            if mark.bytes.unwrap_or_default() <= self.rules.limits.object_bytes_max {
                self.remember(*draft, &mut shadow);
            }
        }
        worker.shadow = Some(shadow);
    }

    fn remember(&self, draft: Draft, shadow: &mut Shadow) {
        let limits = self.rules.limits;
        let Draft { names, slot } = draft;
        shadow.index.put(&self.keyed.key, names, &self.request.fields, slot, limits.variants_per_key_max);
    }

    /// What the shadow would store of a response.
    fn draft(&mut self, said: &Said, worker: &Worker) -> Result<Draft, NotStored> {
        let (rules, head) = (&self.rules, &said.head);
        let directives = CacheControl::of_response(&head.fields, &rules.targeted);
        let get =
            (self.request.method == "HEAD").then(|| RequestHead { method: "GET".to_owned(), ..self.request.clone() });
        let lifetime = store::storable(&Candidate {
            rules,
            request: get.as_ref().unwrap_or(&self.request),
            identity: self.identity,
            covers: &self.keyed.covers,
            response: head,
            directives: &directives,
            times: &said.times,
        })?;
        // A part answers other requests than the whole does, and no look-up here knows of ranges.
        if head.status == 206 {
            return Err(NotStored::Partial);
        }
        // What the origin has said of its queries meanwhile counts for the key.
        self.keyed = keyed(rules, &self.request, &worker.shelf);
        let url = self.keyed.url();
        let tags = tags_of(&self.params, rules, &head.fields, &self.keyed)?;
        let names = match vary::parse(&head.fields) {
            Vary::Any => return Err(NotStored::VaryAny),
            Vary::Names(names) => names.into_iter().filter(|name| !self.keyed.covers.contains(name)).collect(),
        };
        let shareable = store::is_shareable(&directives);
        let spread = judged::spread(&url, said.times.response);
        let lifetime =
            Lifetime { fresh_for: lifetime::jittered(lifetime.fresh_for, rules.jitter_percent, spread), ..lifetime };
        let slot = Slot {
            lifetime,
            times: said.times,
            allowed: self.allowed(head, &said.times),
            mark: Mark::default(),
            shareable,
            apart: self.keeps_response_apart(&head.fields, shareable),
            url: url.into(),
            tags: tags.into(),
            standing: said.standing,
            own: self.own,
        };
        Ok(Draft { names, slot })
    }

    /// The age up to which the origin, or the policy in force, calls a response fresh.
    fn allowed(&self, head: &ResponseHead, times: &Times) -> Seconds {
        let directives = CacheControl::of_response(&head.fields, &self.active.targeted);
        let said = freshness::explicit_lifetime(&directives, &head.fields, times).map(|(span, _)| span);
        let by_policy = lifetime::of(&self.active, head.status, &directives, &head.fields, times);
        let span = |lifetime: Lifetime| lifetime.fresh_for.plus(lifetime.stale_while_revalidate);
        said.unwrap_or_default().max(by_policy.map(span).unwrap_or_default())
    }
}

/// A response, whoever says it.
struct Said {
    head: ResponseHead,
    times: Times,
    standing: Standing,
}

fn mark(shadow: &Shadow, status: u16, (body, bytes): (Option<&[u8]>, Option<u64>), etag: Option<&[u8]>) -> Mark {
    let hash = |bytes: &[u8]| shadow.index.hash(bytes);
    Mark { status, body: body.map(hash), etag: etag.map(hash), bytes, assumed: false }
}
