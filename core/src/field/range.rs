//! `Range` (RFC 9110 14.1.2, 14.2): one range of bytes, or nothing to act upon.
//!
//! A cache may ignore `Range`, so everything that is not exactly one well-formed byte range is ignored and the whole
//! response is the answer. Whether a range applies is decided in `decide/range.rs`.

use super::syntax::{members, trim};
use crate::fields::Fields;

/// What a request's `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// Absent, or to be ignored: another unit, bad syntax, several ranges, several lines.
    None,
    /// One range of bytes.
    One(ByteRange),
}

/// A range of bytes, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the second, both included.
    FromTo(u64, u64),
    /// From here to the end.
    From(u64),
    /// This many at the end.
    Last(u64),
}

/// Reads a request's `Range`.
pub fn parse(fields: &Fields) -> RangeRequest {
    let mut lines = fields.all("range");
    match (lines.next(), lines.next()) {
        (Some(only), None) => one(only).map_or(RangeRequest::None, RangeRequest::One),
        _ => RangeRequest::None,
    }
}

impl ByteRange {
    /// First and last byte, both included, of `len` bytes; `None` where the range is unsatisfiable.
    pub fn resolve(self, len: u64) -> Option<(u64, u64)> {
        let end = len.checked_sub(1)?;
        match self {
            Self::FromTo(first, last) => (first <= end).then(|| (first, last.min(end))),
            Self::From(first) => (first <= end).then_some((first, end)),
            Self::Last(count) => (count > 0).then(|| (len.saturating_sub(count), end)),
        }
    }
}

/// Which part of how much a 206 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Its first byte.
    pub first: u64,
    /// Its last byte, included.
    pub last: u64,
    /// Length of the whole.
    pub whole: u64,
}

/// Reads a response's `Content-Range` (RFC 9110 14.4); `None` where it names no bytes of a known whole.
pub fn content_range(fields: &Fields) -> Option<ContentRange> {
    let mut lines = fields.all("content-range");
    let (only, None) = (lines.next()?, lines.next()) else { return None };
    let only = trim(only);
    let (unit, rest) = only.split_at_checked(b"bytes ".len())?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    let first = number(rest.get(..dash)?)?;
    let last = number(rest.get(dash.checked_add(1)?..slash)?)?;
    let whole = number(rest.get(slash.checked_add(1)?..)?)?;
    (unit.eq_ignore_ascii_case(b"bytes ") && first <= last && last < whole).then_some(ContentRange {
        first,
        last,
        whole,
    })
}

fn one(value: &[u8]) -> Option<ByteRange> {
    let value = trim(value);
    let (unit, set) = value.split_at_checked(b"bytes".len())?;
    let set = set.strip_prefix(b"=").filter(|_| unit.eq_ignore_ascii_case(b"bytes"))?;
    let mut ranges = members(set);
    let (only, None) = (ranges.next()?, ranges.next()) else { return None };
    let dash = only.iter().position(|byte| *byte == b'-')?;
    let (first, last) = only.split_at_checked(dash)?;
    match (first, last.get(1..)?) {
        ([], count) => number(count).map(ByteRange::Last),
        (first, []) => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // RFC 9110 14.1.1: "an int-range is invalid if the last-pos value is present and less than first-pos".
            (first <= last).then_some(ByteRange::FromTo(first, last))
        }
    }
}

/// Positions beyond what can be counted are the largest that can: they lie past every end.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_content_range_names_bytes_of_a_known_whole() {
        let read = |value: &str| {
            let mut fields = Fields::new();
            fields.add("content-range", value);
            content_range(&fields).map(|range| (range.first, range.last, range.whole))
        };
        assert_eq!(read("bytes 0-4/10"), Some((0, 4, 10)));
        assert_eq!(read(" Bytes 9-9/10 "), Some((9, 9, 10)));
        for value in
            ["bytes 0-10/10", "bytes 4-0/10", "bytes 0-4/*", "bytes */10", "lines 0-4/10", "bytes=0-4/10", "x", ""]
        {
            assert_eq!(read(value), None, "{value}");
        }
        hostile::each_fields(&["content-range"], 2_000, |fields| {
            assert!(content_range(fields).is_none_or(|range| range.first <= range.last && range.last < range.whole));
        });
    }

    #[test]
    fn exactly_one_byte_range_is_acted_upon() {
        use ByteRange::{From, FromTo, Last};
        for (value, want) in [
            ("bytes=0-1", Some(FromTo(0, 1))),
            ("bytes=1-", Some(From(1))),
            ("bytes=-5", Some(Last(5))),
            ("bytes=-0", Some(Last(0))),
            ("Bytes=0-0", Some(FromTo(0, 0))),
            (" bytes= 0-1 ", Some(FromTo(0, 1))),
            ("bytes=0-1,", Some(FromTo(0, 1))),
            ("bytes=0-99999999999999999999999", Some(FromTo(0, u64::MAX))),
            ("bytes=99999999999999999999999-", Some(From(u64::MAX))),
            ("bytes=0-1,3-4", None),
            ("bytes=5-4", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes", None),
            ("bytes 0-1", None),
            ("bytes=0 - 1", None),
            ("bytes=a-b", None),
            ("bytes=--1", None),
            ("bytes=+1-2", None),
            ("lines=0-1", None),
            ("bytesx=0-1", None),
            ("0-1", None),
            ("", None),
        ] {
            let mut fields = Fields::new();
            fields.add("range", value);
            assert_eq!(parse(&fields), want.map_or(RangeRequest::None, RangeRequest::One), "{value}");
            fields.add("range", value);
            assert_eq!(parse(&fields), RangeRequest::None, "{value} twice");
        }
        assert_eq!(parse(&Fields::new()), RangeRequest::None);
    }

    #[test]
    fn ranges_resolve_within_the_length() {
        use ByteRange::{From, FromTo, Last};
        for (range, len, want) in [
            (FromTo(0, 1), 11, Some((0, 1))),
            (FromTo(0, 99), 11, Some((0, 10))),
            (FromTo(10, 10), 11, Some((10, 10))),
            (FromTo(11, 12), 11, None),
            (From(0), 11, Some((0, 10))),
            (From(10), 11, Some((10, 10))),
            (From(11), 11, None),
            (From(u64::MAX), u64::MAX, None),
            (Last(1), 11, Some((10, 10))),
            (Last(99), 11, Some((0, 10))),
            (Last(0), 11, None),
            (From(0), 0, None),
            (Last(5), 0, None),
        ] {
            assert_eq!(range.resolve(len), want, "{range:?} of {len}");
        }
    }

    #[test]
    fn resolved_ranges_lie_within_for_any_bytes() {
        hostile::each_fields(&["range"], 4_000, |fields| {
            if let RangeRequest::One(range) = parse(fields) {
                for len in [0, 1, 7, u64::MAX] {
                    if let Some((first, last)) = range.resolve(len) {
                        assert!(first <= last && last < len, "{range:?} {len}");
                    }
                }
            }
        });
    }
}
