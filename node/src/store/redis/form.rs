//! What a value looks like in Redis: a mark and a checksum in front of it. What others wrote or cut is told apart from what we
//! wrote, and is a miss.

use bytes::{Buf, Bytes};

const MARK: [u8; 4] = *b"LRD1";
const HEAD_BYTES: usize = MARK.len() + 4;

/// The value as it goes to Redis.
pub(crate) fn wrap(value: &[u8]) -> Vec<u8> {
    let mut item = Vec::with_capacity(HEAD_BYTES + value.len());
    item.extend_from_slice(&MARK);
    item.extend_from_slice(&crc32fast::hash(value).to_le_bytes());
    item.extend_from_slice(value);
    item
}

/// The value in what came from Redis; `None` where we did not write it so.
pub(crate) fn unwrap(item: Vec<u8>) -> Option<Bytes> {
    let (head, value) = item.split_first_chunk::<HEAD_BYTES>()?;
    let (mark, sum) = head.split_first_chunk::<4>()?;
    let good = *mark == MARK && sum == crc32fast::hash(value).to_le_bytes();
    good.then(|| {
        let mut item = Bytes::from(item);
        item.advance(HEAD_BYTES);
        item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_wrapped_unwraps() {
        for value in [&b""[..], b"x", &[0; 1000]] {
            let item = wrap(value);
            assert_eq!(unwrap(item.clone()).as_deref(), Some(value));
            for cut in 0..item.len() {
                assert_eq!(unwrap(item[..cut].to_vec()), None, "{cut} of {}", item.len());
            }
            for at in 0..item.len() {
                let mut bent = item.clone();
                bent[at] ^= 1;
                assert_eq!(unwrap(bent), None, "at {at}");
            }
        }
    }
}
