//! Following a response that is still on its way to another client, where the host can have two read one body.
//!
//! The leader's head is announced once it is known that the body is to be stored. Who asked for the same gets that head and the
//! body as it comes, judged as if it were stored already: its variant, its identity, its purges, its lifetime. Whom it does not
//! fit waits for the end, as without.

use super::receive::Receiving;
use super::request::{Found, Stored, hit};
use super::storing::{self, Context, Whole};
use super::verdict::{Effect, RequestVerdict};
use super::{Asked, Exchange, State, reply, wake_all};
use crate::decide::age;
use crate::decide::reuse::{self, Reuse};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::shadow::Seen;
use crate::tally::Outcome;
use crate::time::Timestamp;
use crate::worker::Worker;

impl Exchange {
    /// The head goes to the client and the body is being stored: says so to whoever waits.
    pub(super) fn announce(&self, receiving: &Receiving, worker: &mut Worker, out: &mut Vec<Effect>) {
        let (true, Some(storing), Some(asked)) = (worker.follows, &receiving.storing, &receiving.asked) else { return };
        // Whoever waits for a whole response is not served by a part.
        if receiving.response.status == 206 {
            return;
        }
        let context = Context { policy: &self.policy, asked, sent: storing.sent, standing: storing.standing };
        let head = Whole {
            status: receiving.response.status,
            fields: &receiving.response.fields,
            directives: &storing.directives,
            times: storing.times,
            body: &[],
            made_etag: None,
        };
        if let Ok((_, variant)) = storing::variant(&context, &head, worker) {
            wake_all(worker.flights.announce(&asked.keyed.key, self.id, variant), out);
        }
    }

    /// The verdict that follows what has been announced, where that answers this request.
    pub(super) fn follow(&mut self, now: Timestamp, asked: &Asked, worker: &mut Worker) -> Option<RequestVerdict> {
        let (leader, variant) = worker.flights.announced(&asked.keyed.key)?;
        if !variant.entry.facts().vary.matches(&asked.request.fields) {
            return None;
        }
        let variant = variant.clone();
        let Found::Stored(Stored { variant, lifetime, covered }) = self.judge(asked, variant, worker) else {
            return None;
        };
        let age = age::current_age(&variant.entry.facts().times, now);
        let directives = CacheControl::of_request(&asked.request.fields);
        let obeyed = asked.rules.obey_request_directives.then_some(&directives);
        if reuse::reuse(&lifetime, age, covered, obeyed) != Reuse::Fresh {
            return None;
        }
        let left = i64::from(lifetime.fresh_for.get()) - i64::from(age.get());
        let status = CacheStatus { collapsed: true, ..hit(worker.name, left) };
        let reply = reply::from_stored(&asked.request, &variant, now, status);
        self.count_reply(now, asked, Outcome::Collapsed, &reply, worker);
        self.shade(now, asked, &variant, Seen::Elsewhere(None), worker);
        self.state = State::Nothing;
        Some(if reply.status == variant.entry.facts().status {
            RequestVerdict::Follow(leader, reply)
        } else {
            RequestVerdict::Respond(reply)
        })
    }
}
