//! The marker between an edge and a layer behind it: one that was made is believed within its minute, and nothing else ever is.

use larder_core::edge::{Edge, KEY_BYTES_MIN, Keys};
use larder_core::time::Timestamp;

use crate::input::Input;

/// A key that no input can know.
const SECRET: &str = "4f6c1d0b7a-of-the-fuzzer-that-no-input-has";

/// Keys, a time, and what is done to a marker.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let now = Timestamp(input.number());
    let later = Timestamp(input.number());
    let (bend, at) = (input.byte(), input.below(96));
    let text = input.text(80);
    let mark = input.rest();
    let secret = Keys::parse(SECRET).expect("a key");
    assert!(!Edge::heeding(secret.clone()).vouches(Some(mark), now), "a marker was forged");
    assert!(!Edge::default().vouches(Some(mark), now), "without a key nothing is believed");
    match Keys::parse(&text) {
        Err(error) => {
            let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| word.len() >= KEY_BYTES_MIN);
            words.for_each(|word| assert!(!error.contains(word), "the error shows a key"));
        }
        Ok(keys) => {
            assert!(format!("{keys:?}").trim_end_matches(" keys").parse::<usize>().is_ok(), "{keys:?}");
            made(keys, now, later, bend, at);
        }
    }
    made(secret, now, later, bend, at);
}

fn made(keys: Keys, now: Timestamp, later: Timestamp, bend: u8, at: usize) {
    let mark = Edge::signing(keys.clone()).mark(now).expect("an edge with a key marks");
    let origin = Edge::heeding(keys);
    assert!(origin.vouches(Some(&mark), now));
    let apart = (now.0 / 1000).abs_diff(later.0 / 1000);
    assert_eq!(origin.vouches(Some(&mark), later), apart <= 60, "{apart} s apart");
    let mut bent = mark.clone();
    if let Some(byte) = bent.get_mut(at) {
        *byte ^= bend;
        assert_eq!(origin.vouches(Some(&bent), now), bend == 0, "byte {at} is bent");
        assert!(!origin.vouches(mark.get(..at), now), "cut at {at}");
    }
}
