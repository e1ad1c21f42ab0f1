//! Requests that do not use the cache: passed on, yet told what the policy says, given validators, and heeded where they
//! change state (RFC 9111 4.4).

use std::sync::Arc;

use super::receive::Receiving;
use super::request::{internal_edits, miss};
use super::response::wants_etag;
use super::verdict::{Edit, Effect, RequestVerdict, ResponseVerdict};
use super::{Bypassed, Exchange, State, post};
use crate::decide::admit::Bypass;
use crate::edge::MARK;
use crate::field::cache_status::CacheStatus;
use crate::fields::{Name, RequestHead, ResponseHead};
use crate::policy::rules::Rules;
use crate::policy::template::Params;
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

/// A request that goes around the cache.
pub(super) struct Bypassing {
    pub head: RequestHead,
    pub rules: Arc<Rules>,
    pub params: Params,
    pub reason: Bypass,
    pub behind_edge: bool,
}

impl Exchange {
    pub(super) fn bypass(&mut self, now: Timestamp, bypassing: Bypassing, worker: &mut Worker) -> RequestVerdict {
        let Bypassing { head: request, rules, params, reason, behind_edge } = bypassing;
        let mut edits = internal_edits(&request.fields);
        edits.extend(worker.edge.mark(now).map(|mark| Edit::Set(Name::new(MARK), mark.into())));
        let standing = worker.purges.now();
        let bypassed = Bypassed { request, rules, params, reason, behind_edge, sent: now, standing };
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
        let Bypassed { request, rules, params, reason, behind_edge, .. } = bypassed;
        worker.tally.answered(rules.index, Outcome::Bypass, now.since(self.begun));
        worker.tally.add(rules.index, Count::Bypass(reason), 1);
        let forwarded = if matches!(reason, Bypass::UnsafeMethod | Bypass::Method) { "method" } else { "bypass" };
        let status = CacheStatus { detail: Some(reason.as_str().into()), ..miss(worker.name, forwarded) };
        let told = matches!(reason, Bypass::Policy | Bypass::Authorization | Bypass::Edge);
        if !told {
            let said = status.appended_to(&head.fields);
            let edits = vec![Edit::Set(Name::new("cache-status"), said.into())];
            return ResponseVerdict::Pass { edits, capture: false };
        }
        let wants_etag = wants_etag(rules.etag, &head) && request.method == "GET";
        let receiving = Receiving {
            restricted: request.fields.has("authorization") || request.fields.has("cookie"),
            // The edge has made its request conditional by a tag that was made here.
            client_preconditions: wants_etag && reason == Bypass::Edge,
            wants_etag,
            edge_tags: behind_edge.then(|| edge_tags(&rules, &params)),
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

/// The policy's tags for what an edge stores. Those that the origin itself gives are in the response already.
fn edge_tags(rules: &Rules, params: &Params) -> Vec<String> {
    rules.tags.templates.iter().filter_map(|tag| tag.expand(params)).collect()
}
