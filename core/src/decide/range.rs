//! Ranges out of a complete stored response (RFC 9110 14, RFC 9111 3.3).
//!
//! Comes after the preconditions, which may have settled the answer already.

use super::preconditions::if_range_allows;
use crate::field::etag::EntityTag;
use crate::field::range::{self, ByteRange, ContentRange, RangeRequest};
use crate::fields::Fields;
use crate::time::Timestamp;

/// How much of the stored body is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeAnswer {
    /// All of it, with the stored status.
    Whole,
    /// 206 with these bytes.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte, included.
        last: u64,
        /// Length of the whole.
        len: u64,
    },
    /// 416.
    Unsatisfiable {
        /// Length of the whole.
        len: u64,
    },
}

/// Decides for a stored response of `status` and `len` bytes. `date` is its `Date`, which tells whether its
/// modification date is a strong validator.
pub fn answer(
    request: &Fields,
    method: &str,
    status: u16,
    len: u64,
    etag: Option<&EntityTag>,
    last_modified: Option<Timestamp>,
    date: Option<Timestamp>,
) -> RangeAnswer {
    // RFC 9110 14.2: GET only (MUST), and only where the answer would be a 200. Of nothing there is no part.
    if method != "GET" || status != 200 || len == 0 {
        return RangeAnswer::Whole;
    }
    let RangeRequest::One(range) = range::parse(request) else { return RangeAnswer::Whole };
    if !if_range_allows(request, etag, last_modified, date) {
        return RangeAnswer::Whole;
    }
    match range.resolve(len) {
        Some((first, last)) => RangeAnswer::Part { first, last, len },
        None => RangeAnswer::Unsatisfiable { len },
    }
}

/// Which bytes of a stored part answer a request for a range (RFC 9111 3.3), counted in the whole; `None` where the part says
/// that it does not hold the range. `bytes` is how many came: they are those from the part's first on, and where they are
/// fewer than it says, so are those of the answer (RFC 9110 15.3.7: a 206 is self-descriptive, and may be less than was asked for).
pub fn within(part: &ContentRange, bytes: u64, wanted: ByteRange) -> Option<(u64, u64)> {
    let (first, last) = wanted.resolve(part.whole)?;
    let here = part.first.checked_add(bytes)?.checked_sub(1)?.min(part.last);
    let held = part.first <= first && last <= part.last && first <= here;
    held.then(|| (first, last.min(here)))
}

/// `Content-Range` of a 206 or a 416; `None` for the whole.
pub fn content_range(answer: &RangeAnswer) -> Option<String> {
    match answer {
        RangeAnswer::Whole => None,
        RangeAnswer::Part { first, last, len } => Some(format!("bytes {first}-{last}/{len}")),
        RangeAnswer::Unsatisfiable { len } => Some(format!("bytes */{len}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_range_of_a_stored_200_is_answered() {
        for (method, status, len, lines, want) in [
            ("GET", 200, 11, &[("range", "bytes=0-1")][..], Some("bytes 0-1/11")),
            ("GET", 200, 11, &[("range", "bytes=1-")], Some("bytes 1-10/11")),
            ("GET", 200, 11, &[("range", "bytes=-1")], Some("bytes 10-10/11")),
            ("GET", 200, 11, &[("range", "bytes=0-99")], Some("bytes 0-10/11")),
            ("GET", 200, 11, &[("range", "bytes=11-")], Some("bytes */11")),
            ("GET", 200, 11, &[("range", "bytes=-0")], Some("bytes */11")),
            ("GET", 200, 11, &[], None),
            ("GET", 200, 11, &[("range", "bytes=0-1,3-4")], None),
            ("GET", 200, 11, &[("range", "lines=0-1")], None),
            ("GET", 200, 0, &[("range", "bytes=0-1")], None),
            ("HEAD", 200, 11, &[("range", "bytes=0-1")], None),
            ("POST", 200, 11, &[("range", "bytes=0-1")], None),
            ("GET", 404, 11, &[("range", "bytes=0-1")], None),
            ("GET", 200, 11, &[("range", "bytes=0-1"), ("if-range", r#""a""#)], Some("bytes 0-1/11")),
            ("GET", 200, 11, &[("range", "bytes=0-1"), ("if-range", r#""b""#)], None),
            ("GET", 200, 11, &[("range", "bytes=99-"), ("if-range", r#""b""#)], None),
            ("GET", 200, 11, &[("if-range", r#""a""#)], None),
        ] {
            let mut request = Fields::new();
            lines.iter().for_each(|(name, value)| request.add(name, *value));
            let etag = EntityTag::parse(b"\"a\"");
            let got = answer(&request, method, status, len, etag.as_ref(), None, None);
            assert_eq!(content_range(&got).as_deref(), want, "{method} {status} {len} {lines:?}");
        }
    }

    #[test]
    fn rfc_9111_3_3_a_part_answers_ranges_within_it() {
        use ByteRange::{From, FromTo, Last};
        for (part, bytes, wanted, want) in [
            ((0, 4, 10), 5, FromTo(0, 4), Some((0, 4))),
            ((0, 4, 10), 5, FromTo(1, 2), Some((1, 2))),
            ((0, 4, 10), 5, FromTo(4, 5), None),
            ((0, 4, 10), 5, From(0), None),
            ((0, 4, 10), 5, Last(1), None),
            ((5, 9, 10), 5, From(6), Some((6, 9))),
            ((5, 9, 10), 5, Last(2), Some((8, 9))),
            ((5, 9, 10), 5, Last(9), None),
            ((5, 9, 10), 5, FromTo(4, 6), None),
            ((5, 9, 10), 5, FromTo(6, 99), Some((6, 9))),
            // Fewer bytes than it says.
            ((4, 9, 10), 5, From(6), Some((6, 8))),
            ((4, 9, 10), 5, Last(1), None),
            ((0, 0, 1), 0, From(0), None),
        ] {
            let part = ContentRange { first: part.0, last: part.1, whole: part.2 };
            assert_eq!(within(&part, bytes, wanted), want, "{part:?} {bytes} {wanted:?}");
        }
    }

    #[test]
    fn parts_lie_within_the_whole_for_any_bytes() {
        hostile::each_fields(&["range", "if-range"], 4_000, |fields| {
            for len in [0, 1, 1_000] {
                if let RangeAnswer::Part { first, last, len } = answer(fields, "GET", 200, len, None, None, None) {
                    assert!(first <= last && last < len);
                }
            }
        });
    }
}
