//! What happened, on the time axis: purges, policies, warming, and when the node started and stopped. What happens in one second is one mark.
//! As many are kept as there is memory for, and [`MARKS_MAX`] at most.

use std::collections::VecDeque;

use larder_core::binary::{Reader, put, put_len};
use serde::Serialize;

/// Marks that are kept; the oldest go.
pub(super) const MARKS_MAX: usize = 4096;

/// How many of them may be of warming, which some policies want every few seconds: it must not make what people have done forgotten.
const WARM_MAX: usize = MARKS_MAX / 4;

/// What one mark says of what was purged; more is in the history of purges.
const TEXTS_MAX: usize = 5;

/// Two nodes that mark one event do so within this.
const SAME_WITHIN_MS: u64 = 5_000;

/// Characters of a text.
const TEXT_CHARS_MAX: usize = 200;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Happened {
    /// The node started.
    Start,
    /// The node was stopped in good order.
    Stop,
    /// Something was purged.
    Purge,
    /// The purge log is another one: all that was stored before counts as purged.
    OtherLog,
    /// Another version of a policy is in force, or evaluated as a shadow.
    Policy,
    /// URLs were warmed.
    Warm,
}

/// A mark: what happened in one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// The second, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) kind: Happened,
    /// How often.
    pub(crate) count: u64,
    /// How many of these purges were soft.
    pub(crate) soft: u64,
    /// The first few: `tag product:7`, `shop: version 3 pushed`.
    pub(crate) what: Vec<String>,
    /// Who asked, as far as this node knows.
    pub(crate) who: Vec<String>,
}

impl Mark {
    /// One event.
    pub(crate) fn new(at_ms: u64, kind: Happened) -> Self {
        Self { at_ms: at_ms / 1000 * 1000, kind, count: 1, soft: 0, what: Vec::new(), who: Vec::new() }
    }

    /// One purge.
    pub(crate) fn purge(at_ms: u64, what: &str, soft: bool, who: Option<&str>) -> Self {
        Self { soft: soft.into(), ..Self::told(at_ms, Happened::Purge, what, who) }
    }

    /// One event, what it was about (`shop: version 3`), and who asked for it.
    pub(crate) fn told(at_ms: u64, kind: Happened, what: &str, who: Option<&str>) -> Self {
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
        let (what, who) = (vec![cut(what)], who.map(cut).into_iter().collect());
        Self { what, who, ..Self::new(at_ms, kind) }
    }

    /// Whether another is about the same event: two nodes may say it.
    fn says(&self, other: &Self) -> bool {
        self.kind == other.kind && self.what == other.what && self.at_ms.abs_diff(other.at_ms) <= SAME_WITHIN_MS
    }

    /// A change of a policy.
    pub(crate) fn policy(at_ms: u64, what: &str, who: &str) -> Self {
        Self::told(at_ms, Happened::Policy, what, Some(who))
    }

    /// The memory that it takes.
    fn bytes(&self) -> usize {
        let texts = self.what.iter().chain(&self.who);
        size_of::<Self>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.at_ms, self.kind) == (other.at_ms, other.kind)
    }

    /// Takes in what happened beside it.
    pub(super) fn take_in(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.soft = self.soft.saturating_add(other.soft);
        for (texts, more) in [(&mut self.what, other.what), (&mut self.who, other.who)] {
            for text in more {
                if texts.len() < TEXTS_MAX && !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.push(match self.kind {
            Happened::Start => 0,
            Happened::Stop => 1,
            Happened::Purge => 2,
            Happened::OtherLog => 3,
            Happened::Policy => 4,
            Happened::Warm => 5,
        });
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.soft.to_le_bytes());
        for texts in [&self.what, &self.who] {
            put_len(&mut out, texts.len());
            texts.iter().for_each(|text| put(&mut out, text.as_bytes()));
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.to_vec().into());
        let at_ms = reader.u64()?;
        let kind = match reader.u8()? {
            0 => Happened::Start,
            1 => Happened::Stop,
            2 => Happened::Purge,
            3 => Happened::OtherLog,
            4 => Happened::Policy,
            5 => Happened::Warm,
            _ => return None,
        };
        let (count, soft) = (reader.u64()?, reader.u64()?);
        let mut texts = || (0..reader.list()?).map(|_| reader.text()).collect::<Option<Vec<String>>>();
        let (what, who) = (texts()?, texts()?);
        reader.is_empty().then_some(Self { at_ms, kind, count, soft, what, who })
    }
}

/// The newest marks, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Marks {
    all: VecDeque<Mark>,
    bytes: usize,
    bytes_max: usize,
    unwritten: Option<Vec<Mark>>,
}

impl Marks {
    pub(super) fn new(bytes_max: usize, is_written: bool) -> Self {
        Self { all: VecDeque::new(), bytes: 0, bytes_max, unwritten: is_written.then(Vec::new) }
    }

    /// The memory that they take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds, and remembers that it is to be written.
    pub(super) fn add(&mut self, mark: Mark) {
        if let Some(unwritten) = &mut self.unwritten {
            match unwritten.last_mut().filter(|last| last.is_like(&mark)) {
                Some(last) => last.take_in(mark.clone()),
                None => unwritten.push(mark.clone()),
            }
        }
        self.restore(mark);
    }

    /// Adds what another node says, unless it is known here.
    pub(super) fn add_of_another(&mut self, mark: Mark) {
        if !self.all.iter().rev().take(64).any(|known| known.says(&mark)) {
            self.add(mark);
        }
    }

    /// Adds what is written already.
    pub(super) fn restore(&mut self, mark: Mark) {
        let (before, after) = match self.all.iter_mut().rev().take(8).find(|last| last.is_like(&mark)) {
            Some(last) => {
                let before = last.bytes();
                last.take_in(mark);
                (before, last.bytes())
            }
            None => {
                let bytes = mark.bytes();
                self.all.push_back(mark);
                (0, bytes)
            }
        };
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        let is_warm = |mark: &Mark| mark.kind == Happened::Warm;
        if self.all.back().is_some_and(is_warm) && self.all.iter().filter(|mark| is_warm(mark)).count() > WARM_MAX {
            let oldest = self.all.iter().position(is_warm);
            self.forget(oldest);
        }
        while self.all.len() > MARKS_MAX || (self.bytes > self.bytes_max && self.all.len() > 1) {
            self.forget(Some(0));
        }
    }

    fn forget(&mut self, index: Option<usize>) {
        let mark = index.and_then(|index| self.all.remove(index));
        self.bytes = self.bytes.saturating_sub(mark.map_or(0, |mark| mark.bytes()));
    }

    pub(super) fn take_unwritten(&mut self) -> Vec<Mark> {
        self.unwritten.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Those of a span.
    pub(super) fn between(&self, from_ms: u64, until_ms: u64) -> Vec<Mark> {
        self.all.iter().filter(|mark| (from_ms..until_ms).contains(&mark.at_ms)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 16 << 20;

    #[test]
    fn what_happens_in_one_second_is_one_mark() {
        let mut marks = Marks::new(BYTES_MAX, true);
        for (at_ms, what, soft, who) in [
            (1000, "tag a", false, Some("ci")),
            (1999, "tag b", true, Some("ci")),
            (1500, "tag a", false, None),
            (2000, "all", false, Some("ann")),
        ] {
            marks.add(Mark::purge(at_ms, what, soft, who));
        }
        for number in 0..9 {
            marks.add(Mark::purge(2001, &format!("tag {number}"), false, None));
        }
        marks.add(Mark::new(2500, Happened::Stop));
        let all = marks.between(0, 9999);
        let counts: Vec<(u64, Happened, u64, u64)> = all.iter().map(|m| (m.at_ms, m.kind, m.count, m.soft)).collect();
        use Happened::{Purge, Stop};
        assert_eq!(counts, [(1000, Purge, 3, 1), (2000, Purge, 10, 0), (2000, Stop, 1, 0)]);
        assert_eq!((&all[0].what[..], &all[0].who[..]), (&["tag a".into(), "tag b".into()][..], &["ci".into()][..]));
        assert_eq!(all[1].what.len(), TEXTS_MAX);
        assert_eq!(marks.between(1000, 2000).len(), 1);
        assert_eq!(marks.take_unwritten(), all);
        assert_eq!(marks.take_unwritten(), []);
    }

    #[test]
    fn marks_come_back_as_they_were_and_nothing_else_does() {
        let change = Mark::policy(5999, "shop: version 3 pushed", "ci");
        assert_eq!(Mark::decode(&change.encode()), Some(change));
        let mark = Mark::purge(5000, &"tag ü".repeat(999), true, Some("ann"));
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for end in 0..bytes.len() {
            assert_eq!(Mark::decode(&bytes[..end]), None);
        }
        assert_eq!(Mark::decode(&[bytes.as_slice(), b"x"].concat()), None);
    }

    #[test]
    fn what_two_nodes_say_of_one_event_is_one_mark() {
        let mut marks = Marks::new(BYTES_MAX, false);
        let policy = |at_ms, what| Mark::told(at_ms, Happened::Policy, what, Some("ci"));
        marks.add(policy(10_000, "shop: version 3"));
        marks.add_of_another(policy(12_000, "shop: version 3"));
        marks.add_of_another(policy(12_000, "shop: version 2"));
        marks.add_of_another(policy(90_000, "shop: version 3"));
        assert_eq!(marks.between(0, u64::MAX).iter().map(|mark| mark.count).sum::<u64>(), 3);
    }

    #[test]
    fn the_oldest_marks_go() {
        let mut marks = Marks::new(BYTES_MAX, false);
        for second in 0..MARKS_MAX as u64 + 10 {
            marks.add(Mark::new(second * 1000, Happened::Purge));
        }
        let all = marks.between(0, u64::MAX);
        assert_eq!((all.len(), all[0].at_ms), (MARKS_MAX, 10_000));
        assert_eq!(marks.take_unwritten(), []);
    }

    #[test]
    fn marks_take_no_more_memory_than_they_may() {
        let mut marks = Marks::new(100_000, false);
        for second in 0..300 {
            for number in 0..5 {
                let what = format!("tag {second}-{number}-{}", "x".repeat(100));
                marks.add(Mark::purge(second * 1000, &what, false, Some("ci")));
            }
            assert_eq!(marks.bytes(), marks.all.iter().map(Mark::bytes).sum::<usize>());
            assert!(marks.bytes() <= 100_000);
        }
        let all = marks.between(0, u64::MAX);
        assert!(all.len() > 100, "{} marks", all.len());
        assert_eq!(all.last().map(|mark| mark.at_ms), Some(299_000), "the newest stay");
    }

    #[test]
    fn marks_of_warming_leave_room_for_others() {
        let mut marks = Marks::new(BYTES_MAX, false);
        marks.add(Mark::purge(0, "tag a", false, None));
        for second in 1..=WARM_MAX as u64 + 10 {
            marks.add(Mark::new(second * 1000, Happened::Warm));
        }
        let all = marks.between(0, u64::MAX);
        let of = |index: usize| (all[index].kind, all[index].at_ms);
        assert_eq!((all.len(), of(0), of(1)), (WARM_MAX + 1, (Happened::Purge, 0), (Happened::Warm, 11_000)));
    }
}
