//! What stands in frames: names of series, columns, marks.
//!
//! Every file names the series that its columns use, and they mean the same in all of them: a name that one file has lost is found in
//! another.

use super::super::column::{Cells, packed, unpacked};
use super::super::names::{Kind, Series};

/// A frame that names a series.
pub(super) const NAME: u8 = 1;
/// A frame with a column.
pub(super) const COLUMN: u8 = 2;
/// A frame with a mark.
pub(super) const MARK: u8 = 3;

/// A column as a file has it: what was added to a step since the frame before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The step's begin, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// A column of the shortest steps: its number in the order of writing. A longer step's: it contains all the shortest ones of its
    /// span with numbers up to this one.
    pub(super) number: u64,
    pub(super) cells: Cells,
}

/// The body of a [`NAME`].
pub(super) fn name(series: &Series) -> Vec<u8> {
    let mut body = series.id.to_le_bytes().to_vec();
    body.push(match series.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
    });
    body.extend_from_slice(series.name.as_bytes());
    body
}

/// The other way.
pub(super) fn read_name(body: &[u8]) -> Option<Series> {
    let (id, rest) = body.split_first_chunk::<4>()?;
    let (kind, name) = rest.split_first()?;
    let kind = match kind {
        0 => Kind::Counter,
        1 => Kind::Gauge,
        _ => return None,
    };
    Some(Series { id: u32::from_le_bytes(*id), kind, name: std::str::from_utf8(name).ok()?.into() })
}

/// The body of a [`COLUMN`].
pub(super) fn column(at_ms: u64, number: u64, cells: &Cells) -> Vec<u8> {
    let mut body = [at_ms.to_le_bytes(), number.to_le_bytes()].concat();
    body.extend_from_slice(&packed(cells));
    body
}

/// The other way.
pub(super) fn read_column(body: &[u8]) -> Option<Written> {
    let (at_ms, rest) = body.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (at_ms, number) = (u64::from_le_bytes(*at_ms), u64::from_le_bytes(*number));
    Some(Written { at_ms, number, cells: unpacked(rest).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_as_they_were() {
        for kind in [Kind::Counter, Kind::Gauge] {
            let series = Series { id: 7, kind, name: "larder_requests_total;route=ü".into() };
            assert_eq!(read_name(&name(&series)), Some(series));
        }
        let cells = Cells::from([(0, 1), (9, u64::MAX)]);
        let written = Written { at_ms: 1000, number: 3, cells: cells.clone() };
        assert_eq!(read_column(&column(1000, 3, &cells)), Some(written));
        for body in [&b""[..], b"1234", b"1234\x02x", b"1234\x00\xff"] {
            assert_eq!(read_name(body), None);
        }
        assert_eq!(read_column(&[0; 15]), None);
    }
}
