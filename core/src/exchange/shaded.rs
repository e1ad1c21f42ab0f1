//! An exchange's shadow: tells it what came and what became of the request. Takes nothing back.

use super::verdict::ResponseVerdict;
use super::{Asked, Exchange};
use crate::fields::ResponseHead;
use crate::shadow::{Coming, Seen};
use crate::shelf::Variant;
use crate::time::Timestamp;
use crate::worker::Worker;

impl Exchange {
    /// The request is answered with a stored response.
    pub(super) fn shade(&mut self, now: Timestamp, asked: &Asked, variant: &Variant, seen: Seen, worker: &mut Worker) {
        if let Some(watched) = &mut self.shadow {
            watched.stored(now, &asked.keyed.key, variant, seen, worker);
        }
    }

    /// The request is answered with something that says nothing of what the origin would have.
    pub(super) fn shade_unknown(&mut self, worker: &mut Worker) {
        if let Some(watched) = &mut self.shadow {
            watched.unknown(worker);
        }
    }

    /// The body has ended, whole or unseen.
    pub(super) fn shade_end(&mut self, body: Option<&[u8]>, worker: &mut Worker) {
        if let Some(watched) = &mut self.shadow {
            watched.ended(body, worker);
        }
    }

    /// The origin's response, before anything was made of it, and whether its body will be seen here.
    pub(super) fn shade_response(
        &mut self,
        now: Timestamp,
        head: ResponseHead,
        verdict: &ResponseVerdict,
        worker: &mut Worker,
    ) {
        let coming = match verdict {
            ResponseVerdict::Pass { capture: true, .. } | ResponseVerdict::Hold => Coming::Body,
            ResponseVerdict::Pass { .. } | ResponseVerdict::Wait | ResponseVerdict::Replace(_) => Coming::Nothing,
        };
        if let Some(watched) = &mut self.shadow {
            watched.answered(now, head, coming, worker);
        }
    }
}
