//! A background refresh: stale-while-revalidate's other half (RFC 5861 3). Conditional where the origin gave a validator.

use std::sync::Arc;

use super::Asked;
use super::request::forwarded_fields;
use super::response::{times_of, wants_etag};
use super::storing::{self, Context, Whole};
use crate::decide::conditional;
use crate::decide::store::{self, Candidate};
use crate::entry::etag;
use crate::field::cache_control::CacheControl;
use crate::fields::{RequestHead, ResponseHead};
use crate::policy::Policy;
use crate::policy::rules::EtagRule;
use crate::purge::Standing;
use crate::shelf::Variant;
use crate::tally::Count;
use crate::time::{Millis, Timestamp};
use crate::worker::Worker;

/// A refresh for the host to carry out.
#[derive(Debug)]
pub struct Refresh {
    /// The request to send.
    pub request: RequestHead,
    policy: Arc<Policy>,
    asked: Asked,
    stale: Variant,
    validating: bool,
    sent: Timestamp,
    standing: Standing,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// A complete response.
    Response(ResponseHead, &'a [u8]),
    /// None.
    Failed,
}

/// After a failed refresh the origin is left alone for this long, per key.
const RETRY_AFTER: Millis = Millis(1000);

impl Refresh {
    pub(super) fn new(policy: Arc<Policy>, asked: Asked, stale: &Variant, now: Timestamp, worker: &Worker) -> Self {
        let mut fields = forwarded_fields(&asked);
        for name in ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"] {
            fields.remove(name);
        }
        let validating = stale.entry.has_origin_validator();
        if validating {
            let last_modified = stale.entry.facts().fields.first("last-modified");
            conditional::make_conditional(&mut fields, stale.entry.origin_etag(), last_modified);
        }
        let request = RequestHead {
            method: "GET".to_owned(),
            target: asked.keyed.forward_target.clone().unwrap_or_else(|| asked.request.target.clone()),
            fields,
            ..asked.request.clone()
        };
        // What is stored is stored for the request that was sent, whatever the client's method was.
        let asked = Asked { request: RequestHead { method: "GET".to_owned(), ..asked.request.clone() }, ..asked };
        let standing = worker.purges.now();
        Self { request, policy, asked, stale: stale.clone(), validating, sent: now, standing }
    }

    /// Takes up the answer. An error leaves the stale response as it is.
    pub fn finish(self, now: Timestamp, answer: Answer<'_>, worker: &mut Worker) {
        let key = self.asked.keyed.key.clone();
        worker.flights.end_refresh(&key);
        let (head, body) = match answer {
            Answer::Response(head, body) if head.status < 500 => (head, body),
            _ => {
                worker.flights.defer_refresh(&key, now.plus(RETRY_AFTER));
                return;
            }
        };
        let context = Context { policy: &self.policy, asked: &self.asked, sent: self.sent, standing: self.standing };
        if head.status == 304 && self.validating {
            storing::freshen(&context, &self.stale, &head.fields, now, worker);
            return;
        }
        let rules = &self.asked.rules;
        let directives = CacheControl::of_response(&head.fields, &rules.targeted);
        let times = times_of(&head, self.sent, now);
        let candidate = Candidate {
            rules,
            request: &self.asked.request,
            identity: self.asked.identity,
            covers: &self.asked.keyed.covers,
            response: &head,
            directives: &directives,
            times: &times,
        };
        let truncated = head.content_length().is_some_and(|length| length != body.len() as u64);
        let stored = store::storable(&candidate).and_then(|_| {
            if truncated {
                return Err(store::NotStored::Truncated);
            }
            let coding = head.fields.joined("content-encoding");
            let made = wants_etag(rules.etag, &head)
                .then(|| etag::of_body(body, coding.as_deref(), rules.etag == EtagRule::Weak));
            let whole = Whole {
                status: head.status,
                fields: &head.fields,
                directives: &directives,
                times,
                body,
                made_etag: made.as_ref(),
            };
            storing::store(&context, &whole, worker)
        });
        if let Err(reason) = stored {
            worker.tally.add(rules.index, Count::NotStored(reason), 1);
            if reason.is_lasting() {
                worker.shelf.forget(&key, &self.stale.entry);
            }
            worker.flights.defer_refresh(&key, now.plus(RETRY_AFTER));
        }
    }
}
