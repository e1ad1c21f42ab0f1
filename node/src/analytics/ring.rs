//! The columns of one resolution, the oldest of which go when there are too many of them or of their bytes.
//!
//! Columns are found by the time of their step, so a clock that steps back adds to what is there, and one that jumped ahead costs
//! nothing that was counted before: columns go by their number, not by the clock.

use std::collections::BTreeMap;

use super::column::{self, Cells, Column};
use super::names::Kind;

/// Columns of one length of step.
#[derive(Debug)]
pub(super) struct Ring {
    step_ms: u64,
    columns_max: usize,
    bytes_max: usize,
    /// By the step's number: its begin in milliseconds since 1970, divided by its length.
    columns: BTreeMap<u64, Column>,
    bytes: usize,
    /// The column added to last: the one that is not packed.
    newest: Option<u64>,
    /// What has not been written to disk; nothing is kept here where nothing is written.
    unwritten: Option<BTreeMap<u64, Cells>>,
}

impl Ring {
    pub(super) fn new(step_ms: u64, columns_max: usize, bytes_max: usize, is_written: bool) -> Self {
        let unwritten = is_written.then(BTreeMap::new);
        Self { step_ms, columns_max, bytes_max, columns: BTreeMap::new(), bytes: 0, newest: None, unwritten }
    }

    /// Adds, and remembers that it is to be written.
    pub(super) fn add(&mut self, at_ms: u64, cells: &[(u32, Kind, u64)]) {
        let step = self.step_of(at_ms);
        if let Some(unwritten) = &mut self.unwritten {
            let pending = unwritten.entry(step).or_default();
            cells.iter().for_each(|(id, kind, value)| column::add(pending, *id, *kind, *value));
        }
        self.put(step, cells);
    }

    /// Adds what is written already.
    pub(super) fn restore(&mut self, at_ms: u64, cells: &[(u32, Kind, u64)]) {
        self.put(self.step_of(at_ms), cells);
    }

    fn put(&mut self, step: u64, cells: &[(u32, Kind, u64)]) {
        if let Some(newest) = self.newest.filter(|newest| *newest != step)
            && let Some(column) = self.columns.get_mut(&newest)
        {
            self.bytes = self.bytes.saturating_sub(column.bytes());
            column.pack();
            self.bytes = self.bytes.saturating_add(column.bytes());
        }
        self.newest = Some(step);
        let is_new = !self.columns.contains_key(&step);
        let column = self.columns.entry(step).or_default();
        self.bytes = self.bytes.saturating_sub(if is_new { 0 } else { column.bytes() });
        cells.iter().for_each(|(id, kind, value)| column.add(*id, *kind, *value));
        self.bytes = self.bytes.saturating_add(column.bytes());
        while self.columns.len() > self.columns_max || (self.bytes > self.bytes_max && self.columns.len() > 1) {
            let Some((_, oldest)) = self.columns.pop_first() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
    }

    /// The memory that its columns take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What has not been written of steps that have ended by a time; of all, where there is none. With the begin of each step.
    pub(super) fn take_unwritten(&mut self, ended_by_ms: Option<u64>) -> Vec<(u64, Cells)> {
        let Some(unwritten) = &mut self.unwritten else { return Vec::new() };
        let later = match ended_by_ms {
            Some(at_ms) => unwritten.split_off(&(at_ms / self.step_ms)),
            None => BTreeMap::new(),
        };
        let ended = std::mem::replace(unwritten, later);
        ended.into_iter().map(|(step, cells)| (step.saturating_mul(self.step_ms), cells)).collect()
    }

    /// The columns of steps that begin in a span, with the begin of each. Packed columns are shared, not copied.
    pub(super) fn between(&self, from_ms: u64, until_ms: u64) -> Vec<(u64, Column)> {
        let (from, until) = (from_ms.div_ceil(self.step_ms), until_ms.div_ceil(self.step_ms));
        let steps = self.columns.range(from..until.max(from));
        steps.map(|(step, column)| (step.saturating_mul(self.step_ms), column.clone())).collect()
    }

    /// The begin of the oldest step that is held.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.columns.first_key_value().map(|(step, _)| step.saturating_mul(self.step_ms))
    }

    /// Calls with every series that has a value somewhere.
    pub(super) fn each_series(&self, mut f: impl FnMut(u32)) {
        self.columns.values().for_each(|column| column.each(|id, _| f(id)));
        self.unwritten.iter().flat_map(BTreeMap::values).flat_map(BTreeMap::keys).for_each(|id| f(*id));
    }

    fn step_of(&self, at_ms: u64) -> u64 {
        at_ms / self.step_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [(u32, Kind, u64); 1] = [(1, Kind::Counter, 1)];

    fn sum(ring: &Ring) -> u64 {
        let mut sum = 0;
        ring.between(0, u64::MAX).iter().for_each(|(_, column)| column.each(|_, value| sum += value));
        sum
    }

    #[test]
    fn the_oldest_columns_go_when_there_are_too_many_and_not_because_a_clock_jumped() {
        let mut ring = Ring::new(10, 3, 1 << 20, false);
        for at_ms in [0, 12, 29, 1_000_000] {
            ring.add(at_ms, &ONE);
        }
        let begins: Vec<u64> = ring.between(0, u64::MAX).iter().map(|(begin, _)| *begin).collect();
        assert_eq!(begins, [10, 20, 1_000_000]);
        assert_eq!(ring.oldest_ms(), Some(10));
        // The clock is set right again.
        ring.add(25, &ONE);
        ring.add(26, &ONE);
        assert_eq!((ring.between(20, 30).len(), sum(&ring)), (1, 5));
    }

    #[test]
    fn bytes_are_bounded_and_counted_right() {
        let mut ring = Ring::new(10, usize::MAX, 4000, false);
        for step in 0..1000_u64 {
            for id in 0..20 {
                ring.add(step * 10, &[(id, Kind::Counter, 1 << 30)]);
            }
            // Sometimes an older one.
            ring.add(step * 5, &ONE);
        }
        let held: usize = ring.columns.values().map(Column::bytes).sum();
        assert_eq!(ring.bytes, held);
        assert!(held <= 4000, "{held}");
        assert!(ring.columns.len() > 5, "{}", ring.columns.len());
        assert!(ring.columns.contains_key(&999), "the newest stays");
    }

    #[test]
    fn what_is_unwritten_is_taken_once_and_when_its_step_has_ended() {
        let mut ring = Ring::new(10, 100, 1 << 20, true);
        ring.add(5, &ONE);
        ring.add(15, &ONE);
        assert_eq!(ring.take_unwritten(Some(9)), []);
        assert_eq!(ring.take_unwritten(Some(19)), [(0, Cells::from([(1, 1)]))]);
        ring.add(6, &[(1, Kind::Counter, 4)]);
        assert_eq!(ring.take_unwritten(Some(19)), [(0, Cells::from([(1, 4)]))], "only what is new");
        assert_eq!(ring.take_unwritten(None), [(10, Cells::from([(1, 1)]))]);
        assert_eq!(ring.take_unwritten(None), []);
        assert_eq!(sum(&ring), 6);
    }
}
