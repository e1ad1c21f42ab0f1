//! Heads as the ABI carries them: a count, the lengths of names and values, then names and values, each with a NUL after it.
//!
//! Reading is total: what is cut or inconsistent ends the list. Knows the pseudo headers, and nothing of what fields mean.

use std::borrow::Cow;

use bytes::Bytes;
use larder_core::fields::{Fields, Name, RequestHead};

/// A head taken apart.
#[derive(Debug, Default)]
pub struct Head {
    /// Fields, without pseudo headers.
    pub fields: Fields,
    method: Vec<u8>,
    scheme: Vec<u8>,
    authority: Vec<u8>,
    path: Vec<u8>,
    status: Vec<u8>,
}

impl Head {
    /// Reads the ABI's form.
    pub fn read(bytes: Vec<u8>) -> Self {
        let bytes = Bytes::from(bytes);
        let mut head = Self::default();
        let pairs = Pairs::of(&bytes);
        head.fields = Fields::with_capacity(pairs.lengths.len() / 8);
        for (name, value) in pairs {
            let slot = match name {
                b":method" => &mut head.method,
                b":scheme" => &mut head.scheme,
                b":authority" => &mut head.authority,
                b":path" => &mut head.path,
                b":status" => &mut head.status,
                [b':', ..] => continue,
                _ => {
                    head.fields.push(Name::new(&text(name)), bytes.slice_ref(value));
                    continue;
                }
            };
            *slot = value.to_vec();
        }
        head
    }

    /// The status code; 0 where there is none.
    pub fn status(&self) -> u16 {
        std::str::from_utf8(&self.status).ok().and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// As a request's head.
    pub fn into_request(self, has_body: bool) -> RequestHead {
        RequestHead {
            method: text(&self.method).into_owned(),
            scheme: text(&self.scheme).into_owned(),
            authority: text(&self.authority).into_owned(),
            target: text(&self.path).into_owned(),
            fields: self.fields,
            has_body,
        }
    }
}

/// Bytes as text. What is not UTF-8 becomes text byte by byte, so that two different values stay different.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { private(*byte) }).collect(),
    }
}

/// A character for private use that stands for a byte.
fn private(byte: u8) -> char {
    char::from_u32(u32::from(byte).saturating_add(0xf700)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Name and value pairs of a list in the ABI's form.
struct Pairs<'a> {
    lengths: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Pairs<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let split = || {
            let (count, rest) = bytes.split_first_chunk::<4>()?;
            let count = u32::from_le_bytes(*count) as usize;
            rest.split_at_checked(count.checked_mul(8)?)
        };
        let (lengths, rest) = split().unwrap_or_default();
        Self { lengths, rest }
    }

    fn length(&mut self) -> Option<usize> {
        let (length, rest) = self.lengths.split_first_chunk::<4>()?;
        self.lengths = rest;
        Some(u32::from_le_bytes(*length) as usize)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(bytes)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = (self.length()?, self.length()?);
        Some((self.bytes(name)?, self.bytes(value)?))
    }
}

/// Writes the ABI's form.
pub fn write(lines: &[(&str, &[u8])]) -> Vec<u8> {
    let sizes = lines.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(10));
    let total = sizes.fold(4usize, usize::saturating_add);
    let mut bytes = Vec::with_capacity(total);
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    bytes.extend_from_slice(&word(lines.len()));
    for (name, value) in lines {
        bytes.extend_from_slice(&word(name.len()));
        bytes.extend_from_slice(&word(value.len()));
    }
    for (name, value) in lines {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// Whether a value may go out: Envoy does not check values, and a line break in one would begin another line.
pub fn is_clean(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}
