//! Frames in a file: each can be checked by itself, and found without those before it.
//!
//! A crash cuts the last frame short; a disk may lose a block anywhere. Whatever does not check is skipped up to the next frame
//! that does, so what is lost is only what was damaged.

/// How every frame begins. Another version begins otherwise.
const MAGIC: [u8; 4] = [0xA7, b'L', b's', 1];

/// Magic, kind, body's length, body's checksum, checksum of all that.
const HEAD_BYTES: usize = 4 + 1 + 4 + 4 + 4;

/// The longest body.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Appends a frame. A body that is too long is left out, and said so.
pub(in crate::analytics) fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) -> bool {
    let Some(length) = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX) else { return false };
    let begin = out.len();
    out.extend_from_slice(&MAGIC);
    out.push(kind);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    let sum = crc32fast::hash(out.get(begin..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(body);
    true
}

/// The frames of a file, in order.
#[derive(Debug)]
pub(in crate::analytics) struct Frames<'a> {
    bytes: &'a [u8],
    /// Bytes that belong to no frame.
    pub(in crate::analytics) skipped: usize,
}

impl<'a> Frames<'a> {
    pub(in crate::analytics) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, skipped: 0 }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.bytes.is_empty() {
            if let Some((kind, body, rest)) = frame(self.bytes) {
                self.bytes = rest;
                return Some((kind, body));
            }
            let next = self.bytes.iter().skip(1).position(|byte| *byte == MAGIC[0]);
            let skip = next.map_or(self.bytes.len(), |at| at + 1);
            self.skipped += skip;
            self.bytes = self.bytes.get(skip..).unwrap_or_default();
        }
        None
    }
}

fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (checked, sum) = head.split_last_chunk::<4>()?;
    let fields = checked.strip_prefix(&MAGIC)?;
    if crc32fast::hash(checked) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (kind, fields) = fields.split_first()?;
    let (length, body_sum) = fields.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= BODY_BYTES_MAX)?;
    let (body, rest) = rest.split_at_checked(length)?;
    let body_sum = u32::from_le_bytes(*body_sum.first_chunk::<4>()?);
    (crc32fast::hash(body) == body_sum).then_some((*kind, body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = Vec::new();
        for (kind, body) in [(1, &b"first"[..]), (2, b""), (3, &[0xA7; 40]), (4, b"last")] {
            assert!(put(&mut file, kind, body));
        }
        file
    }

    fn kinds(bytes: &[u8]) -> Vec<u8> {
        Frames::new(bytes).map(|(kind, _)| kind).collect()
    }

    #[test]
    fn frames_come_back_as_they_were() {
        let file = file();
        let mut frames = Frames::new(&file);
        assert_eq!(frames.next(), Some((1, &b"first"[..])));
        assert_eq!(
            frames.by_ref().map(|(kind, body)| (kind, body.len())).collect::<Vec<_>>(),
            [(2, 0), (3, 40), (4, 4)]
        );
        assert_eq!(frames.skipped, 0);
        assert!(!put(&mut Vec::new(), 1, &vec![0; BODY_BYTES_MAX + 1]));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_keeps_what_lies_before() {
        let file = file();
        for end in 0..file.len() {
            let kinds = kinds(&file[..end]);
            assert_eq!(kinds, (1..).take(kinds.len()).collect::<Vec<u8>>(), "{end}");
            assert_eq!(
                Frames::new(&[&file[..end], &file].concat()).count(),
                kinds.len() + 4,
                "{end}: and what follows"
            );
        }
    }

    #[test]
    fn a_bit_that_is_wrong_costs_one_frame() {
        let file = file();
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert_eq!(kinds(&damaged).len(), 3, "{at}");
        }
        let mut zeros = file.clone();
        zeros.splice(3..3, [0; 512]);
        assert_eq!(kinds(&zeros), [2, 3, 4]);
    }
}
