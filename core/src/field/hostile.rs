//! Byte strings for tests that assert what must hold for any field value: fragments of real syntax, mixed with noise.
//!
//! Deterministic: a seed gives the same strings on every machine.

use crate::fields::Fields;

/// A small generator (xorshift64*). Not for anything but tests.
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// One of `choices`.
    pub(crate) fn pick<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        choices[self.below(choices.len())]
    }

    /// A field value.
    pub(crate) fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..self.below(12) {
            match self.below(5) {
                0 => value.push(self.below(256) as u8),
                1 => value.extend_from_slice(self.below(usize::MAX >> 1).to_string().as_bytes()),
                _ => value.extend_from_slice(self.pick(FRAGMENTS)),
            }
        }
        value
    }

    /// Some lines of the names given.
    pub(crate) fn fields(&mut self, names: &[&str]) -> Fields {
        let mut fields = Fields::new();
        for _ in 0..self.below(6) {
            let name = names[self.below(names.len())];
            let value = self.value();
            fields.add(name, value);
        }
        fields
    }
}

const FRAGMENTS: &[&[u8]] = &[
    b",",
    b", ",
    b";",
    b"=",
    b"\"",
    b"\\",
    b" ",
    b"\t",
    b"*",
    b"-",
    b"/",
    b"W/",
    b"(",
    b")",
    b"?0",
    b"?1",
    b"%",
    b"%4",
    b"%41",
    b"+",
    b"&",
    b"\r\n",
    b"\0",
    b"max-age",
    b"s-maxage=",
    b"no-cache",
    b"no-store",
    b"private=\"",
    b"max-stale",
    b"bytes=",
    b"0-1",
    b"-5",
    b"q=0.5",
    b";q=",
    b"gzip",
    b"br",
    b"en-US",
    b"de",
    b"\"abc\"",
    b"params",
    b"except",
    b"key-order",
    b"a=b",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sunday, 06-Nov-94 ",
    b"Nov  6 08:49:37 1994",
    b"GMT",
    b"99999999999999999999",
    b"\xc3\xbc",
    b"\xff",
    b":",
    b"1.5",
    b"..",
    b"http://",
    b"//",
    b"?",
    b"#",
];

/// Calls `check` with `count` field values.
pub(crate) fn each(count: u64, mut check: impl FnMut(&[u8])) {
    for seed in 0..count {
        check(&Rng::new(seed).value());
    }
}

/// Calls `check` with `count` lists of lines of the names given.
pub(crate) fn each_fields(names: &[&str], count: u64, mut check: impl FnMut(&Fields)) {
    for seed in 0..count {
        check(&Rng::new(seed).fields(names));
    }
}
