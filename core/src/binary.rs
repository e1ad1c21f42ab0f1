//! Reading and writing the binary forms that leave the process: records of entries, messages of the cluster.
//!
//! Integers are little endian; text and bytes are length-prefixed (u32). Reading is total: what is cut short or longer than
//! the limits is `None`, and never a large allocation. Everything has one form: what is read is what would be written of it, anything
//! else is `None`.

use bytes::Bytes;

use crate::fields::{Fields, Name};
use crate::time::Seconds;

/// No list is longer; a length above means damage.
pub const LIST_MAX: u32 = 65_536;

/// Appends bytes behind their length.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a length.
pub fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

/// Appends field lines.
pub fn put_fields(out: &mut Vec<u8>, fields: &Fields) {
    put_len(out, fields.len());
    for field in fields.iter() {
        put(out, field.name.as_bytes());
        put(out, &field.value);
    }
}

/// Takes one thing after the other from the front.
#[derive(Clone, Debug)]
pub struct Reader(Bytes);

impl Reader {
    /// Begins at the front. What is taken out as [`Bytes`] shares the memory.
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.0.first_chunk::<N>()?;
        let _ = self.take(N);
        Some(array)
    }

    /// A byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The length of a list.
    pub fn list(&mut self) -> Option<u32> {
        // An element takes a byte at least: a length beyond what is there is damage.
        self.u32().filter(|len| *len <= LIST_MAX && *len as usize <= self.0.len())
    }

    /// Whether, as a byte: 0 or 1.
    pub fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A span that HTTP can count.
    pub fn seconds(&mut self) -> Option<Seconds> {
        self.u32().filter(|seconds| *seconds <= Seconds::MAX.get()).map(|seconds| Seconds::saturating(seconds.into()))
    }

    /// Bytes that may be missing: a flag, then bytes; there are none of those where the flag is 0.
    pub fn optional_bytes(&mut self) -> Option<Option<Bytes>> {
        let (is_there, bytes) = (self.flag()?, self.bytes()?);
        (is_there || bytes.is_empty()).then(|| is_there.then_some(bytes))
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<Bytes> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// Text behind its length.
    pub fn text(&mut self) -> Option<String> {
        std::str::from_utf8(&self.bytes()?).ok().map(str::to_owned)
    }

    /// Field lines, with names in lower case. Their values share the memory.
    pub fn fields(&mut self) -> Option<Fields> {
        let lines = self.list()?;
        // A line takes eight bytes at least, so that no number of them asks for more memory than a few times what is here.
        let mut fields = Fields::with_capacity((lines as usize).min(self.0.len() / 8));
        for _ in 0..lines {
            let name = self.bytes()?;
            let name =
                std::str::from_utf8(&name).ok().filter(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase()))?;
            fields.push(Name::new(name), self.bytes()?);
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn everything_has_one_form() {
        for (bytes, want) in [(b"\0", Some(false)), (b"\x01", Some(true)), (b"\x02", None), (b"\xff", None)] {
            assert_eq!(reader(bytes).flag(), want);
        }
        for (bytes, want) in [
            (&b"\x01\x01\0\0\0a"[..], Some(Some(&b"a"[..]))),
            (b"\x01\0\0\0\0", Some(Some(b""))),
            (b"\0\0\0\0\0", Some(None)),
            (b"\0\x01\0\0\0a", None),
            (b"\x02\0\0\0\0", None),
        ] {
            assert_eq!(reader(bytes).optional_bytes(), want.map(|want| want.map(Bytes::from_static)), "{bytes:?}");
        }
        assert_eq!(reader(b"\0\0\0\x80").seconds(), Some(Seconds::MAX));
        assert_eq!(reader(b"\x01\0\0\x80").seconds(), None);
        assert!(reader(b"\x01\0\0\0\x01\0\0\0a\0\0\0\0").fields().is_some());
        assert!(reader(b"\x01\0\0\0\x01\0\0\0A\0\0\0\0").fields().is_none());
    }
}
