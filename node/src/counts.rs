//! What a node counts. Every "no" has a reason, and every reason a counter. Counting is one addition: nothing is formatted or
//! looked up before somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::cluster::message::Refusal;

use crate::warming::Outcome;

/// What can be counted apart.
pub(crate) trait Kind: Copy + 'static {
    /// All kinds with their labels, in the order of their numbers.
    const LABELS: &'static [&'static str];

    /// Its number.
    fn number(self) -> usize;
}

/// Defines an enum whose variants have labels.
macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$about])* $variant,)+ }

        impl Kind for $name {
            const LABELS: &'static [&'static str] = &[$($label,)+];

            fn number(self) -> usize {
                self as usize
            }
        }

        impl $name {
            /// The label in counters.
            #[allow(dead_code, reason = "not every kind is named elsewhere")]
            pub(crate) fn as_str(self) -> &'static str {
                Self::LABELS.get(self.number()).copied().unwrap_or_default()
            }
        }
    };
}

kinds! {
    /// How a look-up ended.
    Looked {
        Fresh = "fresh",
        Stale = "stale",
        /// Purged, or of another log.
        Gone = "gone",
        /// Other variants only.
        Vary = "vary_miss",
        Miss = "miss",
        /// What the store gave is not what was stored.
        Damaged = "damaged",
        /// The store failed, or took too long.
        Store = "store_failed",
        /// The purge log cannot vouch for anything.
        Log = "log_failed",
    }
}

kinds! {
    /// What whoever missed was told.
    Told {
        Granted = "granted",
        Busy = "busy",
        Uncacheable = "uncacheable",
        /// A grant after waiting.
        PassedOn = "passed_on",
    }
}

kinds! {
    /// What was done with a key.
    Filled {
        Stored = "stored",
        Freshened = "freshened",
        Released = "released",
        Uncacheable = "uncacheable",
        Forgotten = "forgotten",
        VariantDropped = "variant_dropped",
    }
}

kinds! {
    /// How a request for a stored response ended.
    Served {
        Served = "served",
        Miss = "miss",
    }
}

kinds! {
    /// Why a request was turned away before it was understood, or could not be worked on.
    Turned {
        /// Too many connections.
        Connections = "connections",
        /// Too many requests.
        Requests = "requests",
        /// Too many polls.
        Polls = "polls",
        /// Too many bytes of bodies in memory.
        Bodies = "bodies",
        /// The body did not come in time.
        Slow = "slow_body",
        /// The body is too long.
        TooLong = "too_long",
        /// The body broke off.
        Broken = "broken_body",
        /// Not a message of this version.
        Malformed = "malformed",
        Path = "path",
        Method = "method",
        /// The purge log failed.
        Log = "log",
        /// Too many look-ups wait: answered without waiting.
        Waiting = "waiting",
    }
}

kinds! {
    /// What became of purges.
    Purged {
        Url = "url",
        Tag = "tag",
        Prefix = "prefix",
        All = "all",
        Denied = "denied",
        Failed = "failed",
    }
}

kinds! {
    /// What became of changes to policies.
    PolicyChange {
        Push = "push",
        Shadow = "shadow",
        Rollback = "rollback",
        Promote = "promote",
        StopShadow = "stop_shadow",
        Withdraw = "withdraw",
        /// It was so already.
        Unchanged = "unchanged",
        /// The policy has errors.
        Invalid = "invalid",
        /// Another one was in force than whoever pushed took it for, or what was asked for is not there.
        Conflict = "conflict",
        Denied = "denied",
        Failed = "failed",
    }
}

impl Kind for Outcome {
    const LABELS: &'static [&'static str] =
        &[Self::Warmed.as_str(), Self::Fresh.as_str(), Self::NotStored.as_str(), Self::Failed.as_str()];

    fn number(self) -> usize {
        self as usize
    }
}

/// Counters of one enum.
#[derive(Debug)]
pub(crate) struct Tally<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Tally<N> {
    /// One more.
    pub(crate) fn add(&self, kind: impl Kind) {
        if let Some(counter) = self.0.get(kind.number()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Kind for Refusal {
    const LABELS: &'static [&'static str] = &REFUSALS;

    fn number(self) -> usize {
        REFUSALS.iter().position(|label| *label == self.as_str()).unwrap_or_default()
    }
}

const REFUSALS: [&str; 8] = ["damaged", "too_large", "tags", "purged", "other_log", "other_response", "store", "busy"];

/// Everything a node counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lookups: Tally<8>,
    pub(crate) leases: Tally<4>,
    pub(crate) fills: Tally<6>,
    pub(crate) refusals: Tally<8>,
    pub(crate) served: Tally<2>,
    pub(crate) turned: Tally<12>,
    pub(crate) purges: Tally<6>,
    pub(crate) policies: Tally<11>,
    pub(crate) warmed: Tally<4>,
}

/// Counters of one name: the label's name, the labels, the numbers.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) label: &'static str,
    pub(crate) numbers: Vec<(&'static str, u64)>,
}

impl Counts {
    /// Everything, to be shown.
    pub(crate) fn rows(&self) -> Vec<Row> {
        fn row<K: Kind, const N: usize>(
            (name, label, help): (&'static str, &'static str, &'static str),
            tally: &Tally<N>,
            _: fn(K),
        ) -> Row {
            Row { name, help, label, numbers: K::LABELS.iter().copied().zip(tally.numbers()).collect() }
        }
        vec![
            row(("lookups", "outcome", "Look-ups by outcome"), &self.lookups, |_: Looked| {}),
            row(("leases", "answer", "Leases by what was answered"), &self.leases, |_: Told| {}),
            row(("fills", "what", "Keys filled and given back"), &self.fills, |_: Filled| {}),
            row(("refusals", "reason", "Responses not stored, by reason"), &self.refusals, |_: Refusal| {}),
            row(("serves", "outcome", "Stored responses sent as plain HTTP"), &self.served, |_: Served| {}),
            row(("turned_away", "reason", "Requests turned away, by reason"), &self.turned, |_: Turned| {}),
            row(("purges", "what", "Purges by what they name"), &self.purges, |_: Purged| {}),
            row(("policy_changes", "what", "Changes to policies"), &self.policies, |_: PolicyChange| {}),
            row(("warm_requests", "outcome", "Requests that warm, by outcome"), &self.warmed, |_: Outcome| {}),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_counter() {
        let counts = Counts::default();
        let rows = counts.rows();
        let labels: usize = rows.iter().map(|row| row.numbers.len()).sum();
        let all = [
            Looked::LABELS,
            Told::LABELS,
            Filled::LABELS,
            Refusal::LABELS,
            Served::LABELS,
            Turned::LABELS,
            Purged::LABELS,
            PolicyChange::LABELS,
            Outcome::LABELS,
        ];
        assert_eq!(labels, all.iter().map(|labels| labels.len()).sum::<usize>());
    }

    #[test]
    fn what_is_counted_shows_under_its_label() {
        let counts = Counts::default();
        counts.refusals.add(Refusal::Purged);
        counts.lookups.add(Looked::Log);
        let of = |name, label| {
            let rows = counts.rows();
            let row = rows.iter().find(|row| row.name == name).expect("a row");
            row.numbers.iter().find(|(known, _)| *known == label).map(|(_, number)| *number)
        };
        assert_eq!(of("refusals", "purged"), Some(1));
        assert_eq!(of("lookups", "log_failed"), Some(1));
        assert_eq!(of("lookups", "fresh"), Some(0));
    }
}
