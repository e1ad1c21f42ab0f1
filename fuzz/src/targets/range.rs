//! `Range` and `Content-Range` against RFC 9110 14 written out naively: decimals are compared as text, bytes are counted one by one.

use std::cmp::Ordering;

use larder_core::decide::range::{RangeAnswer, answer, content_range as print, within};
use larder_core::field::range::{ByteRange, RangeRequest, content_range, parse};
use larder_core::fields::Fields;

/// The first line is a `Range`, the second a `Content-Range`, the third the length of what is stored.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let [range, content, length] = [0; 3].map(|_| lines.next().unwrap_or_default());
    let length: u64 = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(11);
    let mut request = Fields::new();
    request.add("range", range);
    let read = parse(&request);
    let naive = naive_range(range);
    match (read, naive) {
        (RangeRequest::None, None) => {}
        (RangeRequest::One(read), Some(naive)) => {
            hold(read, &naive, length);
            for length in [0, 1, 2, 7, 100, u64::MAX] {
                hold(read, &naive, length);
            }
        }
        (read, naive) => panic!("{read:?} is not {naive:?}"),
    }
    let answered = answer(&request, "GET", 200, length, None, None, None);
    match (read, answered) {
        (RangeRequest::None, RangeAnswer::Whole) => {}
        (RangeRequest::One(_), RangeAnswer::Whole) => assert_eq!(length, 0),
        (RangeRequest::One(read), RangeAnswer::Part { first, last, len }) => {
            assert_eq!((read.resolve(length), len), (Some((first, last)), length));
        }
        (RangeRequest::One(read), RangeAnswer::Unsatisfiable { len }) => {
            assert_eq!((read.resolve(length), len), (None, length));
        }
        (read, answered) => panic!("{read:?} is answered by {answered:?}"),
    }
    for (method, status) in [("HEAD", 200), ("POST", 200), ("GET", 206), ("GET", 404)] {
        assert_eq!(answer(&request, method, status, length, None, None, None), RangeAnswer::Whole);
    }
    of_parts(content, read, length);
}

/// What a part says of itself, and what of it answers a range.
fn of_parts(content: &[u8], read: RangeRequest, came: u64) {
    let fields = |value: &[u8]| {
        let mut fields = Fields::new();
        fields.add("content-range", value);
        fields
    };
    let Some(part) = content_range(&fields(content)) else { return };
    assert!(part.first <= part.last && part.last < part.whole);
    let written = print(&RangeAnswer::Part { first: part.first, last: part.last, len: part.whole });
    assert_eq!(content_range(&fields(written.unwrap_or_default().as_bytes())), Some(part));
    let RangeRequest::One(wanted) = read else { return };
    // RFC 9111 3.3: only what the part holds answers, and of that only what came.
    if let Some((first, last)) = within(&part, came, wanted) {
        let (asked_first, asked_last) = wanted.resolve(part.whole).expect("what is held can be satisfied");
        assert!(part.first <= first && first <= last && last <= part.last);
        assert!(first == asked_first && last <= asked_last);
        assert!(last - part.first < came, "more than came");
    }
}

/// A range with its numbers as they were written, without leading zeros.
#[derive(Debug)]
enum Naive {
    FromTo(String, String),
    From(String),
    Last(String),
}

/// RFC 9110 14.1.1, 14.2: one int-range or suffix-range of bytes.
fn naive_range(value: &[u8]) -> Option<Naive> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let specs: Vec<&str> =
        set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|s| !s.is_empty()).collect();
    let [spec] = specs[..] else { return None };
    let (first, last) = spec.split_once('-')?;
    let digits = |text: &str| {
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| text.trim_start_matches('0').to_owned())
    };
    match (first, last) {
        ("", last) => digits(last).map(Naive::Last),
        (first, "") => digits(first).map(Naive::From),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            // Beyond what can be counted all numbers are one: a range with both its ends there lies past every end,
            // whichever of them is the larger.
            let uncountable = |number: &str| compare(number, u64::MAX) != Ordering::Less;
            let is_range = order(&first, &last) != Ordering::Greater || (uncountable(&first) && uncountable(&last));
            is_range.then_some(Naive::FromTo(first, last))
        }
    }
}

fn order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn compare(text: &str, number: u64) -> Ordering {
    order(text, number.to_string().trim_start_matches('0'))
}

/// Which bytes of so many are meant: a byte is if its number is in the range.
fn hold(read: ByteRange, naive: &Naive, length: u64) {
    let is_meant = |number: u64| match naive {
        Naive::FromTo(first, last) => {
            compare(first, number) != Ordering::Greater && compare(last, number) != Ordering::Less
        }
        Naive::From(first) => compare(first, number) != Ordering::Greater,
        Naive::Last(count) => compare(count, length - number) != Ordering::Less,
    };
    match read.resolve(length) {
        Some((first, last)) => {
            assert!(first <= last && last < length);
            // The numbers are in one piece: its ends and what lies beyond them say it all.
            assert!(is_meant(first) && is_meant(last));
            assert!(first == 0 || !is_meant(first - 1));
            assert!(last + 1 == length || !is_meant(last + 1));
        }
        None => {
            for number in [0, length / 2, length.saturating_sub(1)] {
                assert!(number >= length || !is_meant(number), "{number} of {length}");
            }
        }
    }
}
