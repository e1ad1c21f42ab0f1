//! What a worker knows of its cluster: whether it may be asked, and how fresh its view of the purge log is.

use super::breaker::Breaker;
use super::message::PollAnswer;
use crate::purge::Purges;
use crate::shelf::Shelf;
use crate::time::{Millis, Timestamp};

/// How a worker uses its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A look-up that is not answered by then has failed.
    pub timeout: Millis,
    /// What is in the worker's own memory is used only while the log has been heard from within this.
    pub purge_lag_max: Millis,
    /// Longer bodies are not carried through the worker: Envoy is sent to the node for them. `None` where it cannot be.
    pub reroute_above: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: Millis(50), purge_lag_max: Millis(5000), reroute_above: None }
    }
}

/// Bodies up to this length are carried through the worker where nothing longer can be rerouted.
pub const INLINE_BYTES_MAX: u32 = 32 << 20;

/// Memory of a worker for heads whose bodies nodes have: a thousand and more.
const AFAR_BYTES_MAX: u64 = 2 << 20;

/// A worker's membership.
#[derive(Debug)]
pub struct Membership {
    /// How it is used.
    pub settings: Settings,
    /// Whether it is asked.
    pub breaker: Breaker,
    /// Heads of large responses that nodes have, whose bodies never came here: with one, Envoy is sent to the node without a look-up.
    pub afar: Shelf,
    heard: Option<Timestamp>,
}

impl Membership {
    /// A worker that has not heard from its cluster yet; `seed` makes its table unpredictable.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self { settings, breaker: Breaker::default(), afar: Shelf::new(AFAR_BYTES_MAX, seed), heard: None }
    }

    /// Whether the view of the purge log is fresh enough for what is in memory to be used.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) <= self.settings.purge_lag_max)
    }

    /// The log's node has answered. Says whether everything stored is void.
    pub fn heard<S: std::hash::BuildHasher + Clone>(
        &mut self,
        answer: &PollAnswer,
        purges: &mut Purges<S>,
        now: Timestamp,
    ) -> bool {
        let here = purges.position();
        let anew = answer.begins_anew || answer.position.log != here.log;
        if anew {
            purges.begin_at(answer.position);
        } else {
            answer.records.iter().for_each(|record| purges.heard(record));
            purges.heard_up_to(answer.position.sequence);
        }
        self.heard = Some(now);
        anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::{Mode, Position, Record, Scope, Sequence};
    use foldhash::fast::FixedState;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn answer(log: u64, sequence: u64, records: &[u64]) -> PollAnswer {
        let record = |n: &u64| Record { sequence: Sequence(*n), scope: Scope::All, mode: Mode::Hard };
        PollAnswer {
            position: Position { log, sequence: Sequence(sequence) },
            begins_anew: false,
            records: records.iter().map(record).collect(),
            policies: None,
        }
    }

    #[test]
    fn a_view_is_current_for_as_long_as_the_settings_say() {
        let mut membership = Membership::new(Settings { purge_lag_max: Millis(100), ..Settings::default() }, 1);
        let mut purges = Purges::new(8, FixedState::with_seed(1));
        assert!(!membership.is_current(Timestamp(0)), "nothing heard yet");
        membership.heard(&answer(7, 0, &[]), &mut purges, Timestamp(1000));
        assert!(membership.is_current(Timestamp(1100)) && !membership.is_current(Timestamp(1101)));
    }

    #[test]
    fn another_log_voids_everything_and_the_same_does_not() {
        let mut membership = Membership::new(Settings::default(), 1);
        let mut purges = Purges::new(8, FixedState::with_seed(1));
        assert!(membership.heard(&answer(7, 3, &[]), &mut purges, Timestamp(0)));
        assert!(!membership.heard(&answer(7, 5, &[4, 5]), &mut purges, Timestamp(0)));
        assert_eq!(purges.position(), Position { log: 7, sequence: Sequence(5) });
        assert!(membership.heard(&answer(8, 0, &[]), &mut purges, Timestamp(0)));
        let anew = PollAnswer { begins_anew: true, ..answer(8, 9, &[]) };
        assert!(membership.heard(&anew, &mut purges, Timestamp(0)));
    }
}
