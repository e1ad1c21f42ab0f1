//! What stands in frames: names of series, columns, marks.
//!
//! Every file names the series that its columns use, and they mean the same in all of them: a name that one file has lost is found in
//! another.

use super::super::column::{Cells, packed, unpacked};
use super::super::names::{Kind, Series};
use super::super::sharing::Place;

/// A frame that names a series.
pub(in crate::analytics) const NAME: u8 = 1;
/// A frame with a column.
pub(in crate::analytics) const COLUMN: u8 = 2;
/// A frame with a mark.
pub(in crate::analytics) const MARK: u8 = 3;

/// A frame that says up to where others' reports were read.
pub(in crate::analytics) const PLACE: u8 = 4;

/// A column as a file has it: what was added to a step since the frame before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analytics) struct Written {
    /// The step's begin, in milliseconds since 1970.
    pub(in crate::analytics) at_ms: u64,
    /// A column of the shortest steps: its number in the order of writing. A longer step's: it contains all the shortest ones of its
    /// span with numbers up to this one.
    pub(in crate::analytics) number: u64,
    pub(in crate::analytics) cells: Cells,
}

/// The body of a [`NAME`].
pub(in crate::analytics) fn name(series: &Series) -> Vec<u8> {
    let mut body = series.id.to_le_bytes().to_vec();
    body.push(match series.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
    });
    body.extend_from_slice(series.name.as_bytes());
    body
}

/// The other way.
pub(in crate::analytics) fn read_name(body: &[u8]) -> Option<Series> {
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
pub(in crate::analytics) fn column(at_ms: u64, number: u64, cells: &Cells) -> Vec<u8> {
    let mut body = [at_ms.to_le_bytes(), number.to_le_bytes()].concat();
    body.extend_from_slice(&packed(cells));
    body
}

/// The other way.
pub(in crate::analytics) fn read_column(body: &[u8]) -> Option<Written> {
    let (at_ms, rest) = body.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (at_ms, number) = (u64::from_le_bytes(*at_ms), u64::from_le_bytes(*number));
    Some(Written { at_ms, number, cells: unpacked(rest).collect() })
}

/// The body of a [`PLACE`].
pub(in crate::analytics) fn place(place: &Place) -> Vec<u8> {
    [&place.home.to_le_bytes(), place.position.as_bytes()].concat()
}

/// The other way.
pub(in crate::analytics) fn read_place(body: &[u8]) -> Option<Place> {
    let (home, position) = body.split_first_chunk::<8>()?;
    Some(Place { home: u64::from_le_bytes(*home), position: std::str::from_utf8(position).ok()?.to_owned() })
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
        let read = Place { home: 9, position: "17-3".into() };
        assert_eq!(read_place(&place(&read)), Some(read));
        assert_eq!(read_place(b"short"), None);
        for body in [&b""[..], b"1234", b"1234\x02x", b"1234\x00\xff"] {
            assert_eq!(read_name(body), None);
        }
        assert_eq!(read_column(&[0; 15]), None);
    }
}
