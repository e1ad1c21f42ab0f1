//! The newest sequence number per purged thing, in bounded memory.
//!
//! When the table is full, its older half is folded into a floor: every entry from before the floor counts as purged.
//! That costs hits, never freshness.

use std::collections::HashMap;
use std::hash::BuildHasher;

use super::{Covered, Mode, Record, Scope, Sequence, is_under};

/// Newest records by what they name. The hash seed is the host's.
#[derive(Debug)]
pub struct PurgeTable<S> {
    head: Sequence,
    floor: Newest,
    everything: Newest,
    urls: HashMap<String, Newest, S>,
    tags: HashMap<String, Newest, S>,
    prefixes: Vec<(String, Newest)>,
    capacity: usize,
}

/// Newest hard and newest soft record.
#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    hard: Sequence,
    soft: Sequence,
}

impl Newest {
    fn note(&mut self, sequence: Sequence, mode: Mode) {
        let slot = if mode == Mode::Hard { &mut self.hard } else { &mut self.soft };
        *slot = sequence.max(*slot);
    }

    fn merge(&mut self, other: Self) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }

    fn last(self) -> Sequence {
        self.hard.max(self.soft)
    }
}

/// Prefixes are compared one by one, so there are only a few.
const PREFIXES_MAX: usize = 64;

impl<S: BuildHasher + Clone> PurgeTable<S> {
    /// An empty table that holds up to `capacity` URLs and tags each.
    pub fn new(capacity: usize, hasher: S) -> Self {
        Self {
            head: Sequence(0),
            floor: Newest::default(),
            everything: Newest::default(),
            urls: HashMap::with_hasher(hasher.clone()),
            tags: HashMap::with_hasher(hasher),
            prefixes: Vec::new(),
            capacity: capacity.max(2),
        }
    }

    /// A table of a log that is followed from here on: what stands before is covered.
    pub fn beginning_at(capacity: usize, hasher: S, head: Sequence) -> Self {
        let floor = Newest { hard: head, soft: Sequence(0) };
        Self { head, floor, ..Self::new(capacity, hasher) }
    }

    /// Everything up to here has been heard.
    pub fn advance(&mut self, head: Sequence) {
        self.head = self.head.max(head);
    }

    /// The position after the last record.
    pub fn head(&self) -> Sequence {
        self.head
    }

    /// Appends to a log that this table is the only keeper of.
    pub fn append(&mut self, scope: Scope, mode: Mode) -> Record {
        let record = Record { sequence: Sequence(self.head.0.saturating_add(1)), scope, mode };
        self.apply(&record);
        record
    }

    /// Takes up a record. The order of arrival does not matter, nor does hearing it twice.
    pub fn apply(&mut self, record: &Record) {
        let Record { sequence, scope, mode } = record;
        self.head = self.head.max(*sequence);
        match scope {
            Scope::All => self.everything.note(*sequence, *mode),
            Scope::Url(url) => note(&mut self.urls, url, *sequence, *mode, self.capacity, &mut self.floor),
            Scope::Tag(tag) => note(&mut self.tags, tag, *sequence, *mode, self.capacity, &mut self.floor),
            Scope::Prefix(prefix) => self.note_prefix(prefix, *sequence, *mode),
        }
    }

    /// Whether a record after `since` covers an entry.
    pub fn covers<'a>(&self, url: &str, tags: impl Iterator<Item = &'a str>, since: Sequence) -> Covered {
        if since >= self.head {
            return Covered::No;
        }
        let mut newest = self.floor;
        newest.merge(self.everything);
        if let Some(found) = self.urls.get(url) {
            newest.merge(*found);
        }
        for tag in tags {
            if let Some(found) = self.tags.get(tag) {
                newest.merge(*found);
            }
        }
        for (prefix, found) in &self.prefixes {
            if found.last() > since && is_under(url, prefix) {
                newest.merge(*found);
            }
        }
        if newest.hard > since {
            Covered::Hard
        } else if newest.soft > since {
            Covered::Soft
        } else {
            Covered::No
        }
    }

    fn note_prefix(&mut self, prefix: &str, sequence: Sequence, mode: Mode) {
        if let Some((_, newest)) = self.prefixes.iter_mut().find(|(known, _)| known == prefix) {
            newest.note(sequence, mode);
            return;
        }
        if self.prefixes.len() >= PREFIXES_MAX {
            let oldest = self.prefixes.iter().enumerate().min_by_key(|(_, (_, n))| n.last()).map(|(at, _)| at);
            if let Some(at) = oldest {
                self.floor.merge(self.prefixes.swap_remove(at).1);
            }
        }
        let mut newest = Newest::default();
        newest.note(sequence, mode);
        self.prefixes.push((prefix.to_owned(), newest));
    }
}

fn note<S: BuildHasher>(
    map: &mut HashMap<String, Newest, S>,
    name: &str,
    sequence: Sequence,
    mode: Mode,
    capacity: usize,
    floor: &mut Newest,
) {
    if let Some(newest) = map.get_mut(name) {
        newest.note(sequence, mode);
        return;
    }
    if map.len() >= capacity {
        let mut ages: Vec<Sequence> = map.values().map(|newest| newest.last()).collect();
        let middle = ages.len() / 2;
        let (_, cut, _) = ages.select_nth_unstable(middle);
        let cut = *cut;
        map.retain(|_, newest| {
            let keep = newest.last() > cut;
            if !keep {
                floor.merge(*newest);
            }
            keep
        });
    }
    map.entry(name.to_owned()).or_default().note(sequence, mode);
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn table(capacity: usize) -> PurgeTable<foldhash::fast::FixedState> {
        PurgeTable::new(capacity, foldhash::fast::FixedState::with_seed(7))
    }

    fn covers(table: &PurgeTable<foldhash::fast::FixedState>, url: &str, tags: &[&str], since: u64) -> Covered {
        table.covers(url, tags.iter().copied(), Sequence(since))
    }

    #[test]
    fn only_records_after_the_entry_count() {
        let mut table = table(8);
        table.append(Scope::Url("http://h/a".into()), Mode::Hard);
        assert_eq!(covers(&table, "http://h/a", &[], 0), Covered::Hard);
        assert_eq!(covers(&table, "http://h/a", &[], 1), Covered::No);
        assert_eq!(covers(&table, "http://h/b", &[], 0), Covered::No);
    }

    #[test]
    fn a_tag_is_compared_whole_and_a_prefix_ends_at_a_segment() {
        let mut table = table(8);
        table.append(Scope::Tag("a".into()), Mode::Hard);
        table.append(Scope::Prefix("http://h/p".into()), Mode::Hard);
        for (url, tags, want) in [
            ("http://h/x", &["ab"][..], Covered::No),
            ("http://h/x", &["b", "a"], Covered::Hard),
            ("http://h/p", &[], Covered::Hard),
            ("http://h/p/q", &[], Covered::Hard),
            ("http://h/p?q", &[], Covered::Hard),
            ("http://h/pq", &[], Covered::No),
        ] {
            assert_eq!(covers(&table, url, tags, 0), want, "{url} {tags:?}");
        }
    }

    #[test]
    fn hard_wins_over_soft_and_everything_means_everything() {
        let mut table = table(8);
        table.append(Scope::Tag("a".into()), Mode::Hard);
        table.append(Scope::Tag("a".into()), Mode::Soft);
        assert_eq!(covers(&table, "u", &["a"], 0), Covered::Hard);
        assert_eq!(covers(&table, "u", &["a"], 1), Covered::Soft);
        table.append(Scope::All, Mode::Soft);
        assert_eq!(covers(&table, "u", &[], 2), Covered::Soft);
    }

    #[test]
    fn a_full_table_forgets_hits_and_never_purges() {
        let mut table = table(4);
        for n in 0..100u64 {
            table.append(Scope::Tag(format!("t{n}")), Mode::Hard);
            for m in 0..=n {
                assert_eq!(covers(&table, "u", &[&format!("t{m}")], m), Covered::Hard, "purge {m} after {n}");
            }
        }
        assert!(table.tags.len() <= 4);
        assert_eq!(covers(&table, "u", &["t99"], 100), Covered::No);
    }

    #[test]
    fn what_travels_between_workers_comes_back_the_same() {
        for scope in [Scope::All, Scope::Tag("t:ä".into()), Scope::Url("http://h/?q".into()), Scope::Prefix("p".into())]
        {
            for mode in [Mode::Hard, Mode::Soft] {
                assert_eq!(Scope::decode(&scope.encode(mode)), Some((scope.clone(), mode)));
            }
        }
        for junk in [&b""[..], b"u", b"xh", b"ax", b"uz1", b"ahx", b"uh\xff"] {
            assert_eq!(Scope::decode(junk), None, "{junk:?}");
        }
    }
}
