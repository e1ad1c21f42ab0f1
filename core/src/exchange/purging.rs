//! `PURGE` from clients: where the policy allows it, and only with a token that a node knows for that.
//!
//! A request purges its own URL with all variants, or the tags that `Surrogate-Key` lists; `Soft-Purge: 1` makes it soft. The worker
//! knows no tokens: it hands the request's to the node that takes the purge into the log, and answers with the node's word.
//! Without a cluster there is nobody to ask, and nothing is purged.

use bytes::Bytes;

use super::invalidate::stored_url;
use super::verdict::{Effect, Invalidation, Reply, ReplyBody, RequestVerdict};
use super::{Exchange, State, reply};
use crate::cluster::message::{Denial, Message, Purge, PurgeAnswer};
use crate::cluster::{Call, CallFailure, LOG_NAME, TELL_TIMEOUT};
use crate::decide::invalidation::UrlKey;
use crate::field::cache_status::CacheStatus;
use crate::field::surrogate;
use crate::fields::RequestHead;
use crate::key;
use crate::policy::rules::{PurgeRule, Rules};
use crate::purge::{Mode, Scope};
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

/// A purge that a node has been asked for.
#[derive(Debug)]
pub(super) struct Purging {
    rules: usize,
    purges: Vec<(Scope, Mode)>,
}

impl Exchange {
    /// The verdict on a `PURGE`, where the policy has these answered here.
    pub(super) fn purge(
        &mut self,
        now: Timestamp,
        request: &RequestHead,
        rules: &Rules,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<RequestVerdict> {
        if request.method != "PURGE" || rules.purge_method != PurgeRule::Token {
            return None;
        }
        worker.tally.add(rules.index, Count::Request(Outcome::Purge), 1);
        let refused = |status, text| Some(RequestVerdict::Respond(plain(status, text, now)));
        self.state = State::Nothing;
        if request.has_body {
            return refused(400, "PURGE takes no body\n");
        }
        let Some(token) = bearer(request) else {
            let mut reply = plain(401, "PURGE needs a token: Authorization: Bearer ...\n", now);
            reply.extra.add("www-authenticate", "Bearer");
            return Some(RequestVerdict::Respond(reply));
        };
        if worker.cluster.is_none() {
            return refused(503, "There is no cluster to purge\n");
        }
        let mode = if request.fields.first("soft-purge") == Some(b"1") { Mode::Soft } else { Mode::Hard };
        let named = surrogate::tags(&request.fields, ["surrogate-key"]);
        let scopes: Vec<Scope> = match request.fields.has("surrogate-key") {
            true if named.refused || named.tags.is_empty() => {
                return refused(400, "Surrogate-Key lists no tags, or too many\n");
            }
            true => named.tags.into_iter().map(Scope::Tag).collect(),
            false => {
                let scheme = request.scheme.to_ascii_lowercase();
                let authority = key::canonical_authority(&scheme, &request.authority);
                let url = UrlKey { scheme, authority, target: request.target.clone() };
                vec![Scope::Url(stored_url(&self.policy, request, &url, worker))]
            }
        };
        let purges: Vec<_> = scopes.into_iter().map(|scope| (scope, mode)).collect();
        let message = Purge { who: "PURGE".to_owned(), token: Some(token), purges: purges.clone() };
        let (path, name) = (Purge::PATH, LOG_NAME.to_owned());
        out.push(Effect::Lookup(Box::new(Call {
            path,
            name,
            body: message.encode(),
            timeout: TELL_TIMEOUT,
            group: 0,
        })));
        self.state = State::Purging(Box::new(Purging { rules: rules.index, purges }));
        Some(RequestVerdict::Wait)
    }

    /// The node's word.
    pub(super) fn purged(
        &mut self,
        now: Timestamp,
        purging: Purging,
        answer: Result<Bytes, CallFailure>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        let answer = answer.ok().and_then(PurgeAnswer::decode);
        worker.note_call(now, answer.is_some());
        let reply = match answer {
            Some(PurgeAnswer::Done(position)) => {
                worker.tally.add(purging.rules, Count::Invalidated, purging.purges.len() as u64);
                // Here at once; the log brings it to everybody.
                let mut numbers = purging.purges.iter().map(|(scope, mode)| worker.purges.append(scope.clone(), *mode));
                if let Some(first) = numbers.next() {
                    let last = numbers.last().unwrap_or(first);
                    worker.purges.sent(first, last);
                    worker.purges.acknowledged(last, position);
                    let told = Invalidation { purges: purging.purges, last, call: None, at: Some(position) };
                    out.push(Effect::Invalidate(Box::new(told)));
                }
                let text = format!("{{\"log\":\"{:x}\",\"sequence\":{}}}\n", position.log, position.sequence.0);
                let mut reply = plain(200, "", now);
                reply.extra.set("content-type", "application/json");
                reply.body = ReplyBody::Bytes(text.into());
                reply
            }
            Some(PurgeAnswer::Denied(Denial::Unauthorized)) => {
                let mut reply = plain(401, "The token is not known\n", now);
                reply.extra.add("www-authenticate", "Bearer error=\"invalid_token\"");
                reply
            }
            Some(PurgeAnswer::Denied(Denial::Forbidden)) => plain(403, "The token is not for purging\n", now),
            Some(PurgeAnswer::Denied(Denial::Unavailable)) | None => {
                plain(503, "The purge log cannot be reached: nothing is purged\n", now)
            }
        };
        RequestVerdict::Respond(reply)
    }
}

fn plain(status: u16, text: &'static str, now: Timestamp) -> Reply {
    let mut reply = reply::plain(status, text, None, now, CacheStatus::default());
    reply.extra.remove("cache-status");
    reply.extra.add("cache-control", "no-store");
    reply
}

/// The token of `Authorization: Bearer ...` (RFC 6750 2.1).
fn bearer(request: &RequestHead) -> Option<Vec<u8>> {
    let value = request.fields.first("authorization")?.trim_ascii();
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then(|| token.to_vec())
}
