//! The answer to a POST, stored for later GETs (RFC 9110 9.3.3): where the policy says so, and the response itself says that it
//! is the content of the URL that was posted to.
//!
//! Comes after the invalidation that the POST causes. The entry carries the log's position behind it, so that its own POST does
//! not take it away, and everything later does.

use super::receive::{Receiving, Storing};
use super::request::miss;
use super::response::times_of;
use super::verdict::{Effect, ResponseVerdict};
use super::{Asked, Bypassed, Exchange, storing};
use crate::decide::freshness;
use crate::decide::identity::Identity;
use crate::decide::invalidation;
use crate::decide::store::{self, Candidate};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::fields::{RequestHead, ResponseHead};
use crate::purge::Covered;
use crate::time::{Seconds, Timestamp};
use crate::worker::Worker;

/// A POST whose answer may be stored.
pub(super) struct Post {
    request: RequestHead,
    /// The GET that it answers as well.
    asked: Asked,
    storing: Storing,
}

/// Decides, before the POST's own invalidation is in the log; `None` is no.
pub(super) fn storable(bypassed: &Bypassed, head: &ResponseHead, now: Timestamp, worker: &Worker) -> Option<Post> {
    let Bypassed { request, rules, params, sent, .. } = bypassed;
    if !rules.store_post || request.method != "POST" || head.status != 200 {
        return None;
    }
    // RFC 9110 9.3.3: "explicit freshness information" and "a Content-Location header field that has the same value as the
    // POST's target URI".
    if !invalidation::is_content_of_target(request, head) {
        return None;
    }
    let directives = CacheControl::of_response(&head.fields, &rules.targeted);
    let times = times_of(head, *sent, now);
    freshness::explicit_lifetime(&directives, &head.fields, &times).filter(|(span, _)| *span > Seconds::ZERO)?;

    let get = RequestHead { method: "GET".to_owned(), has_body: false, ..request.clone() };
    let asked = Asked::new(get, rules.clone(), params.clone(), &worker.shelf);
    // What was keyed has to be what was forwarded, and a POST is forwarded as it came.
    if asked.keyed.forward_target.is_some() || !asked.keyed.forward_fields.is_empty() {
        return None;
    }
    store::storable(&Candidate {
        rules,
        request: &asked.request,
        identity: asked.identity,
        covers: &asked.keyed.covers,
        response: head,
        directives: &directives,
        times: &times,
    })
    .ok()?;
    // What was purged in the meantime may be what this response shows.
    let tags = storing::tags(&asked.params, rules, &head.fields, &asked.keyed).ok()?;
    let tags = tags.iter().map(String::as_str);
    if worker.purges.covers(&asked.keyed.url(), tags, bypassed.standing) != Covered::No {
        return None;
    }
    let storing = Storing { times, directives, sent: *sent, standing: bypassed.standing, lease: 0 };
    Some(Post { request: request.clone(), asked, storing })
}

impl Exchange {
    pub(super) fn store_post(
        &mut self,
        now: Timestamp,
        post: Post,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        let Post { request, asked, mut storing } = post;
        storing.standing = worker.purges.now();
        let receiving = Receiving {
            restricted: asked.identity != Identity::None || asked.keyed.names_user,
            client_preconditions: false,
            wants_etag: false,
            edge_tags: None,
            request,
            rules: asked.rules.clone(),
            covers: asked.keyed.covers.clone(),
            response: head,
            status: Some(CacheStatus { stored: true, ..miss(worker.name, "method") }),
            storing: Some(storing),
            asked: Some(asked),
            held: false,
        };
        self.receive(now, receiving, worker, out)
    }
}
