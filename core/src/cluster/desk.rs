//! How a node answers: which variant a request selects, whether it still counts, and who may fill what is missing.
//!
//! A node has no policy. Until when a response is fresh is what whoever stored it said; the worker that gets it judges by the
//! policy in force. Only a hard purge, and a log that is not this one's, keep a response from being handed out.

use std::hash::BuildHasher;

use super::leases::{Lease, Leases};
use super::message::Lookup;
use crate::entry::wire::Label;
use crate::fields::Fields;
use crate::purge::{Covered, PurgeTable};
use crate::time::{Millis, Timestamp};

/// What a stored response is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Fresh, and not purged.
    Fresh,
    /// To be refreshed, but good where the policy lets stale responses be used.
    Stale {
        /// A soft purge covers it.
        soft: bool,
    },
    /// Not to be used: purged, or of another log.
    Gone,
}

/// The variant that a request selects (RFC 9111 4.1), of those under its key with the newest first: its place.
pub fn select<'a>(labels: impl Iterator<Item = &'a Label> + Clone, request: &Fields) -> Option<usize> {
    let spoken =
        |label: &Label| label.language.is_some() && label.vary.matches_language(request, label.language.as_deref());
    labels.clone().position(|label| label.vary.matches(request)).or_else(|| labels.clone().position(spoken))
}

/// What a stored response is worth under the purge log.
pub fn judge<S: BuildHasher + Clone>(label: &Label, purges: &PurgeTable<S>, log: u64, now: Timestamp) -> Kept {
    if label.position.log != log {
        return Kept::Gone;
    }
    match purges.covers(&label.url, label.tags(), label.position.sequence) {
        Covered::Hard => Kept::Gone,
        Covered::Soft => Kept::Stale { soft: true },
        Covered::No if now < label.fresh_until => Kept::Fresh,
        Covered::No => Kept::Stale { soft: false },
    }
}

/// Whether whoever asked may fill the key.
pub fn lease<S: BuildHasher + Clone>(
    kept: Option<Kept>,
    lookup: &Lookup,
    leases: &mut Leases<S>,
    now: Timestamp,
) -> Lease {
    let wanted = lookup.lease_for > Millis(0);
    if kept == Some(Kept::Fresh) || !wanted { Lease::None } else { leases.ask(&lookup.name, now, lookup.lease_for) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::vary::VaryKey;
    use crate::purge::{Mode, Position, Scope, Sequence};
    use crate::testing::fields;
    use foldhash::fast::FixedState;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn label(vary: &[(&str, Option<&str>)]) -> Label {
        let vary = vary.iter().map(|(n, v)| (n.to_string(), v.map(|v| v.as_bytes().to_vec()))).collect();
        Label {
            key: "k".into(),
            url: "http://h/a".into(),
            position: Position { log: 1, sequence: Sequence(5) },
            fresh_until: Timestamp(1000),
            received: Timestamp(0),
            language: None,
            vary: VaryKey(vary),
            tags: vec!["t".into()],
        }
    }

    fn table() -> PurgeTable<FixedState> {
        PurgeTable::beginning_at(8, FixedState::with_seed(1), Sequence(5))
    }

    #[test]
    fn a_request_selects_what_its_fields_match() {
        let labels = [label(&[("accept", Some("a"))]), label(&[("accept", Some("b"))])];
        assert_eq!(select(labels.iter(), &fields(&[("accept", "b")])), Some(1));
        assert_eq!(select(labels.iter(), &fields(&[])), None);
        assert_eq!(select([label(&[])].iter(), &fields(&[("accept", "b")])), Some(0));
    }

    #[test]
    fn the_language_liked_best_selects_where_nothing_else_does() {
        let german = Label { language: Some(b"de".to_vec()), ..label(&[("accept-language", Some("de"))]) };
        assert_eq!(select([german].iter(), &fields(&[("accept-language", "de, en;q=0.5")])), Some(0));
    }

    #[test]
    fn a_purge_after_the_fill_counts_and_its_kind_too() {
        let mut purges = table();
        assert_eq!(judge(&label(&[]), &purges, 1, Timestamp(999)), Kept::Fresh);
        assert_eq!(judge(&label(&[]), &purges, 1, Timestamp(1000)), Kept::Stale { soft: false });
        purges.append(Scope::Tag("t".into()), Mode::Soft);
        assert_eq!(judge(&label(&[]), &purges, 1, Timestamp(0)), Kept::Stale { soft: true });
        purges.append(Scope::Url("http://h/a".into()), Mode::Hard);
        assert_eq!(judge(&label(&[]), &purges, 1, Timestamp(0)), Kept::Gone);
        let later = Label { position: Position { log: 1, sequence: Sequence(7) }, ..label(&[]) };
        assert_eq!(judge(&later, &purges, 1, Timestamp(0)), Kept::Fresh);
    }

    #[test]
    fn what_belongs_to_another_log_is_gone() {
        assert_eq!(judge(&label(&[]), &table(), 2, Timestamp(0)), Kept::Gone);
    }

    #[test]
    fn a_lease_is_for_who_wants_one_and_what_is_not_fresh() {
        let mut leases = Leases::new(8, FixedState::with_seed(1), 0);
        let wants = Lookup { name: "k".into(), lease_for: Millis(10), ..Lookup::default() };
        let looks = Lookup { name: "k".into(), ..Lookup::default() };
        assert_eq!(lease(Some(Kept::Fresh), &wants, &mut leases, Timestamp(0)), Lease::None);
        assert_eq!(lease(None, &looks, &mut leases, Timestamp(0)), Lease::None);
        assert_eq!(lease(Some(Kept::Gone), &wants, &mut leases, Timestamp(0)), Lease::Granted(1));
        assert_eq!(lease(Some(Kept::Stale { soft: false }), &wants, &mut leases, Timestamp(0)), Lease::Busy);
    }
}
