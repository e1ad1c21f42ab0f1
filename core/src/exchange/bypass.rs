//! Requests that do not use the cache: passed on, yet told what the policy says, given validators, and heeded where they
//! change state (RFC 9111 4.4).

use std::sync::Arc;

use super::receive::Receiving;
use super::request::{internal_edits, miss};
use super::response::wants_etag;
use super::verdict::{Effect, RequestVerdict, ResponseVerdict, edits_between};
use super::{Bypassed, Exchange, State, post};
use crate::decide::admit::Bypass;
use crate::field::cache_status::CacheStatus;
use crate::fields::{RequestHead, ResponseHead};
use crate::policy::rules::Rules;
use crate::policy::template::Params;
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

impl Exchange {
    pub(super) fn bypass(
        &mut self,
        now: Timestamp,
        request: RequestHead,
        rules: Arc<Rules>,
        params: Params,
        reason: Bypass,
        worker: &Worker,
    ) -> RequestVerdict {
        let edits = internal_edits(&request.fields);
        let standing = worker.purges.now();
        let bypassed = Bypassed { request, rules, params, reason, sent: now, standing };
        self.state = State::BypassedResponse(Box::new(bypassed));
        RequestVerdict::Forward(edits)
    }

    pub(super) fn bypassed_response(
        &mut self,
        now: Timestamp,
        bypassed: Bypassed,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        if bypassed.reason == Bypass::UnsafeMethod {
            let post = post::storable(&bypassed, &head, now, worker);
            let Bypassed { request, rules, params, .. } = &bypassed;
            self.invalidate(request, rules, params, &head, worker, out);
            if let Some(post) = post {
                return self.store_post(now, post, head, worker, out);
            }
        }
        let Bypassed { request, rules, params: _, reason, .. } = bypassed;
        worker.tally.add(rules.index, Count::Request(Outcome::Bypass), 1);
        worker.tally.add(rules.index, Count::Bypass(reason), 1);
        let forwarded = if matches!(reason, Bypass::UnsafeMethod | Bypass::Method) { "method" } else { "bypass" };
        let status = CacheStatus { detail: Some(reason.as_str().into()), ..miss(forwarded) };
        let told = matches!(reason, Bypass::Policy | Bypass::Authorization);
        if !told {
            let mut fields = head.fields.clone();
            status.append_to(&mut fields);
            return ResponseVerdict::Pass { edits: edits_between(&head.fields, &fields), capture: false };
        }
        let wants_etag = wants_etag(rules.etag, &head) && request.method == "GET";
        let receiving = Receiving {
            restricted: request.fields.has("authorization") || request.fields.has("cookie"),
            client_preconditions: false,
            wants_etag,
            covers: Vec::new(),
            request,
            rules,
            response: head,
            status: Some(status),
            storing: None,
            asked: None,
            held: false,
        };
        self.receive(now, receiving, worker, out)
    }
}
