//! One step of time: what each series counted in it. Only series that counted something take room.
//!
//! While it is being added to, a column is a map; after that, it is packed: pairs of series and value in the order of series, the
//! series as the distance from the one before, both as variable-length integers. A busy series takes 3 to 5 bytes a step.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::Kind;
use super::varint;

/// Values by series.
pub(super) type Cells = BTreeMap<u32, u64>;

/// What a cell of a map takes, roughly: for the budget.
const OPEN_CELL_BYTES: usize = 24;

/// What a column takes beside its cells, roughly.
const COLUMN_BYTES: usize = 64;

/// One step's values.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Open(Cells),
    Packed(Arc<[u8]>),
}

impl Default for Column {
    fn default() -> Self {
        Self::Open(Cells::new())
    }
}

impl Column {
    /// Takes a value in.
    pub(super) fn add(&mut self, id: u32, kind: Kind, value: u64) {
        let mut cells = match std::mem::take(self) {
            Self::Open(cells) => cells,
            Self::Packed(bytes) => unpacked(&bytes).collect(),
        };
        add(&mut cells, id, kind, value);
        *self = Self::Open(cells);
    }

    /// Packs it.
    pub(super) fn pack(&mut self) {
        if let Self::Open(cells) = self {
            *self = Self::Packed(packed(cells).into());
        }
    }

    /// Its cells, in the order of series.
    pub(crate) fn each(&self, mut f: impl FnMut(u32, u64)) {
        match self {
            Self::Open(cells) => cells.iter().for_each(|(id, value)| f(*id, *value)),
            Self::Packed(bytes) => unpacked(bytes).for_each(|(id, value)| f(id, value)),
        }
    }

    /// What it takes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        COLUMN_BYTES
            + match self {
                Self::Open(cells) => cells.len() * OPEN_CELL_BYTES,
                Self::Packed(bytes) => bytes.len(),
            }
    }
}

/// Takes a value into cells. Where nothing grew, a counter takes no room.
pub(super) fn add(cells: &mut Cells, id: u32, kind: Kind, value: u64) {
    if value > 0 || kind == Kind::Gauge {
        kind.merge(cells.entry(id).or_default(), value);
    }
}

/// The packed form.
pub(super) fn packed(cells: &Cells) -> Vec<u8> {
    let mut out = Vec::with_capacity(cells.len() * 4);
    let mut before = 0;
    for (id, value) in cells {
        varint::put(&mut out, u64::from(id - before));
        varint::put(&mut out, *value);
        before = *id;
    }
    out
}

/// Reads the packed form; ends where it makes no sense.
pub(super) fn unpacked(mut bytes: &[u8]) -> impl Iterator<Item = (u32, u64)> {
    let mut before = 0_u32;
    std::iter::from_fn(move || {
        let distance = u32::try_from(varint::take(&mut bytes)?).ok()?;
        let value = varint::take(&mut bytes)?;
        before = before.checked_add(distance)?;
        Some((before, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(column: &Column) -> Vec<(u32, u64)> {
        let mut cells = Vec::new();
        column.each(|id, value| cells.push((id, value)));
        cells
    }

    #[test]
    fn a_packed_column_has_the_same_cells_and_can_be_added_to() {
        let mut column = Column::default();
        for (id, value) in [(9, u64::MAX), (0, 1), (u32::MAX, 3), (9, 5), (4, 0)] {
            column.add(id, Kind::Counter, value);
        }
        column.add(5, Kind::Gauge, 0);
        let want = [(0, 1), (5, 0), (9, u64::MAX), (u32::MAX, 3)];
        assert_eq!(cells(&column), want);
        column.pack();
        assert_eq!(cells(&column), want);
        column.add(0, Kind::Counter, 2);
        column.add(5, Kind::Gauge, 7);
        column.add(5, Kind::Gauge, 6);
        column.pack();
        assert_eq!(cells(&column), [(0, 3), (5, 7), (9, u64::MAX), (u32::MAX, 3)]);
    }

    #[test]
    fn bytes_that_make_no_sense_end_the_cells() {
        let mut bytes = packed(&Cells::from([(1, 2), (3, 4)]));
        bytes.pop();
        assert_eq!(unpacked(&bytes).collect::<Vec<_>>(), [(1, 2)]);
        bytes.extend([0xff; 40]);
        assert_eq!(unpacked(&bytes).collect::<Vec<_>>(), [(1, 2)]);
        let mut far = packed(&Cells::from([(u32::MAX, 1)]));
        far.extend(packed(&Cells::from([(1, 1)])));
        assert_eq!(unpacked(&far).collect::<Vec<_>>(), [(u32::MAX, 1)], "no series after the last");
    }
}
