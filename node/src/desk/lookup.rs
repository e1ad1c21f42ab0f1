//! Answering a look-up.

use std::time::Duration;

use larder_core::cluster::desk;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Found, Lookup, LookupAnswer};
use larder_core::entry::wire;
use larder_core::purge::Position;
use larder_core::time::Millis;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Desk;
use super::waiting::Seat;
use crate::counts::{Looked, Told, Turned};
use crate::slot::{Checked, Kept, KeyName};

/// Whoever waits looks at the clock this often: leases end by the node's clock, waiting goes by tokio's.
const LOOK_UP: Duration = Duration::from_millis(250);

impl Desk {
    /// Answers. `admission` is given back before a wait: who waits does not count as being worked on.
    pub(crate) async fn lookup(&self, key: &KeyName, lookup: &Lookup, admission: impl Send) -> LookupAnswer {
        let lookup = &Lookup { lease_for: lookup.lease_for.min(Millis(self.limits.lease_max_ms)), ..lookup.clone() };
        let (answer, looked) = self.look(key, lookup).await;
        let (answer, looked) = if answer.lease == Lease::Busy && lookup.wait_for > Millis(0) {
            match self.waiting.sit(key) {
                Some(seat) => {
                    drop(admission);
                    self.wait(seat, key, lookup, (answer, looked)).await
                }
                None => {
                    self.counts.turned.add(Turned::Waiting);
                    (answer, looked)
                }
            }
        } else {
            (answer, looked)
        };
        self.counts.lookups.add(looked);
        match answer.lease {
            Lease::None => {}
            Lease::Granted(_) => self.counts.leases.add(Told::Granted),
            Lease::Busy => self.counts.leases.add(Told::Busy),
            Lease::Uncacheable => self.counts.leases.add(Told::Uncacheable),
        }
        answer
    }

    /// Waits until there is something else to say than that the lease is taken, or the time is over.
    async fn wait(
        &self,
        seat: Seat<'_>,
        key: &KeyName,
        lookup: &Lookup,
        first: (LookupAnswer, Looked),
    ) -> (LookupAnswer, Looked) {
        let wait_for = Duration::from_millis(lookup.wait_for.0.min(self.limits.wait_max_ms));
        let deadline = Instant::now() + wait_for;
        let (mut latest, mut seen) = (first, None);
        loop {
            // Enlisted before looking: what comes between looking and waiting wakes, too.
            let mut woken = std::pin::pin!(seat.room.woken.notified());
            woken.as_mut().enable();
            let news = seat.room.news();
            let free = self.leases().until(key.as_str()).is_none_or(|until| until <= self.clock.now());
            if free || seen != Some(news) {
                seen = Some(news);
                latest = self.look(key, lookup).await;
                match latest.0.lease {
                    Lease::Busy => {}
                    Lease::Uncacheable => {
                        sleep_until(deadline.min(Instant::now() + seat.room.turn())).await;
                        return latest;
                    }
                    Lease::Granted(_) => {
                        self.counts.leases.add(Told::PassedOn);
                        return latest;
                    }
                    Lease::None => return latest,
                }
            }
            let until = self.leases().until(key.as_str());
            let left = until.map_or(Duration::ZERO, |until| Duration::from_millis(until.since(self.clock.now()).0));
            let next = deadline.min(Instant::now() + left.clamp(Duration::from_millis(1), LOOK_UP));
            if timeout_at(next, woken).await.is_err() && Instant::now() >= deadline {
                return latest;
            }
        }
    }

    /// Looks once.
    async fn look(&self, key: &KeyName, lookup: &Lookup) -> (LookupAnswer, Looked) {
        let Ok(position) = self.following.head().await else {
            // Nothing can be said of what is stored, nor stored: everybody fetches for themselves.
            return (self.answer(Position::default(), Lease::None, None), Looked::Log);
        };
        let written = self.keeping.written(key);
        let mut found = self.find(key, lookup).await;
        let mut lease = self.lease(&found, lookup);
        if let Lease::Granted(id) = lease
            && self.keeping.written(key) != written
        {
            // Somebody stored between looking and asking for the lease: look again before the origin is asked.
            found = self.find(key, lookup).await;
            if matches!(found, Held::Usable { kept: desk::Kept::Fresh, .. } | Held::Failed) {
                self.leases().end(key.as_str(), id);
                self.waiting.one(key);
                lease = Lease::None;
            }
        }
        let looked = found.looked();
        let other_variants = matches!(found, Held::Others);
        let found = match found {
            Held::Usable { checked, kept } => self.found(checked, kept, lookup.inline_bytes_max),
            _ => None,
        };
        (LookupAnswer { other_variants, ..self.answer(position, lease, found) }, looked)
    }

    async fn find(&self, key: &KeyName, lookup: &Lookup) -> Held {
        match self.keeping.find(key, &lookup.fields, self.limits.lookup_timeout()).await {
            Ok(Kept::Variant(checked)) => match self.following.judge(&checked.label, self.clock.now()) {
                desk::Kept::Gone => Held::Gone,
                kept => Held::Usable { checked, kept },
            },
            Ok(Kept::Others) => Held::Others,
            Ok(Kept::Nothing) => Held::Nothing,
            Ok(Kept::Damaged) => Held::Damaged,
            Err(_) => Held::Failed,
        }
    }

    fn lease(&self, held: &Held, lookup: &Lookup) -> Lease {
        let kept = match held {
            Held::Usable { kept, .. } => Some(*kept),
            // What is fetched could not be stored: nobody needs to wait for it.
            Held::Failed => return Lease::None,
            Held::Gone | Held::Others | Held::Nothing | Held::Damaged => None,
        };
        desk::lease(kept, lookup, &mut self.leases(), self.clock.now())
    }

    fn found(&self, checked: Checked, kept: desk::Kept, inline_bytes_max: u32) -> Option<Found> {
        let soft = kept == desk::Kept::Stale { soft: true };
        let Checked { record, body_bytes, label } = checked;
        let record = if body_bytes > inline_bytes_max {
            let (entry, fresh_until) = wire::decode_checked(&record, &label.key).ok()?;
            wire::encode(&entry, &label.key, fresh_until, false).into()
        } else {
            record
        };
        Some(Found { soft, body_bytes, record })
    }

    fn answer(&self, position: Position, lease: Lease, found: Option<Found>) -> LookupAnswer {
        LookupAnswer { now: self.clock.now(), position, lease, found, other_variants: false }
    }
}

/// What is held for a look-up.
enum Held {
    Usable { checked: Checked, kept: desk::Kept },
    Gone,
    Others,
    Nothing,
    Damaged,
    Failed,
}

impl Held {
    fn looked(&self) -> Looked {
        match self {
            Self::Usable { kept: desk::Kept::Fresh, .. } => Looked::Fresh,
            Self::Usable { .. } => Looked::Stale,
            Self::Gone => Looked::Gone,
            Self::Others => Looked::Vary,
            Self::Nothing => Looked::Miss,
            Self::Damaged => Looked::Damaged,
            Self::Failed => Looked::Store,
        }
    }
}
