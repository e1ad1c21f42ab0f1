//! The marker by which an edge tells the origin's layer that it stores: a time and an HMAC over it (RFC 2104, SHA-256).
//!
//! Behind a marker the layer adds validators and tags and leaves storing to the edge; without one it does it all. A forged or stale
//! marker is no marker. It names neither host nor path, since routes rewrite both on the way; whoever replays one within its
//! minute gets answers that are right and not stored. Larder takes a client's own marker out before it forwards a request.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::time::Timestamp;

/// The request field that carries the marker: `1-SECONDS-MAC`, seconds since 1970 and the MAC in hex.
pub const MARK: &str = "x-larder-edge";

/// The response field by which the layer tells an edge the tags that the policy gives, parted by commas. It goes no further than to the
/// next Larder.
pub const TAGS: &str = "x-larder-tags";

/// How far apart the clocks of edge and origin, and the travel between them, may put a marker.
const SECONDS_APART_MAX: u64 = 60;

/// A shorter key is refused.
pub const KEY_BYTES_MIN: usize = 16;

const VERSION: &[u8] = b"1-";

/// Keys that edge and origin share. The first one signs; all are believed, so that they can be changed one side at a time.
#[derive(Clone)]
pub struct Keys(Arc<[Hmac<Sha256>]>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Keys as an environment variable has them: separated by commas or white space.
    ///
    /// # Errors
    /// What is wrong, without the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let keys = words.enumerate().map(|(at, word)| {
            let short = || format!("key {} has {} bytes; at least {KEY_BYTES_MIN} are needed", at + 1, word.len());
            if word.len() < KEY_BYTES_MIN {
                return Err(short());
            }
            Hmac::new_from_slice(word.as_bytes()).map_err(|_| short())
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() { Err("no key is given".to_owned()) } else { Ok(Self(keys.into())) }
    }

    fn sign(&self, seconds: u64) -> Option<Vec<u8>> {
        let mac = message(self.0.first()?, seconds).finalize().into_bytes();
        let mut mark = format!("1-{seconds}-").into_bytes();
        mark.extend(mac.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
        Some(mark)
    }

    fn believes(&self, mark: &[u8], now: Timestamp) -> bool {
        let parsed = || {
            let rest = mark.strip_prefix(VERSION)?;
            let dash = rest.iter().position(|byte| *byte == b'-')?;
            let (seconds, mac) = (rest.get(..dash)?, rest.get(dash.saturating_add(1)..)?);
            Some((std::str::from_utf8(seconds).ok()?.parse::<u64>().ok()?, unhex(mac)?))
        };
        let Some((seconds, mac)) = parsed() else { return false };
        if (now.0 / 1000).abs_diff(seconds) > SECONDS_APART_MAX {
            return false;
        }
        // Every key is tried, each in constant time.
        self.0.iter().fold(false, |known, key| known | message(key, seconds).verify_slice(&mac).is_ok())
    }
}

fn message(key: &Hmac<Sha256>, seconds: u64) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(b"larder-edge-1\n");
    mac.update(&seconds.to_be_bytes());
    mac
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.saturating_add(nibble) } else { b'a'.saturating_add(nibble.saturating_sub(10)) }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes =
        pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect::<Option<Vec<u8>>>()?;
    (rest.is_empty() && bytes.len() == 32).then_some(bytes)
}

/// What a cache does with markers.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    signs: Option<Keys>,
    signed: (u64, Vec<u8>),
    believes: Option<Keys>,
}

impl Edge {
    /// The edge: what is forwarded carries a marker.
    pub fn signing(keys: Keys) -> Self {
        Self { signs: Some(keys), ..Self::default() }
    }

    /// The origin: markers are heeded.
    pub fn heeding(keys: Keys) -> Self {
        Self { believes: Some(keys), ..Self::default() }
    }

    /// The marker for what is forwarded now; one a second is made.
    pub fn mark(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        let keys = self.signs.as_ref()?;
        let seconds = now.0 / 1000;
        if self.signed.0 != seconds || self.signed.1.is_empty() {
            self.signed = (seconds, keys.sign(seconds)?);
        }
        Some(self.signed.1.clone())
    }

    /// Whether a request comes from an edge that stores.
    pub fn vouches(&self, mark: Option<&[u8]>, now: Timestamp) -> bool {
        self.believes.as_ref().zip(mark).is_some_and(|(keys, mark)| keys.believes(mark, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn keys(text: &str) -> Keys {
        Keys::parse(text).expect("keys")
    }

    #[test]
    fn a_marker_is_believed_for_a_minute_and_by_every_key() {
        let mark = Edge::signing(keys("new-key-new-key-new-key")).mark(NOW).expect("a marker");
        let origin = Edge::heeding(keys("old-key-old-key-old-key, new-key-new-key-new-key"));
        let at = |seconds: i64| Timestamp(NOW.0.saturating_add_signed(seconds * 1000));
        for (seconds, believed) in [(0, true), (60, true), (61, false), (-60, true), (-61, false)] {
            assert_eq!(origin.vouches(Some(&mark), at(seconds)), believed, "{seconds}");
        }
        assert!(!Edge::heeding(keys("old-key-old-key-old-key")).vouches(Some(&mark), NOW));
        assert!(!Edge::default().vouches(Some(&mark), NOW), "without a key nothing is believed");
    }

    #[test]
    fn what_was_touched_is_no_marker() {
        let origin = Edge::heeding(keys("a-key-of-some-length"));
        let mark = Edge::signing(keys("a-key-of-some-length")).mark(NOW).expect("a marker");
        assert!(origin.vouches(Some(&mark), NOW));
        for at in 0..mark.len() {
            let mut other = mark.clone();
            other[at] ^= 1;
            assert!(!origin.vouches(Some(&other), NOW), "byte {at}");
            assert!(!origin.vouches(mark.get(..at), NOW), "cut at {at}");
        }
        let longer = [mark.as_slice(), b"0"].concat();
        assert!(!origin.vouches(Some(&longer), NOW) && !origin.vouches(None, NOW));
    }

    #[test]
    fn the_mac_is_rfc_2104s() {
        // Python: hmac.new(b'a-key-of-some-length', b'larder-edge-1\n' + struct.pack('>Q', 1767225600), sha256).hexdigest()
        let mark = Edge::signing(keys("a-key-of-some-length")).mark(NOW).expect("a marker");
        let text = String::from_utf8(mark).expect("text");
        assert_eq!(text, "1-1767225600-2b067c58da4336971b68d5bac9311ee2bc51ae37f141395642e912fe6b00df6c");
    }

    #[test]
    fn short_keys_are_refused_without_being_shown() {
        for text in ["", " , ", "short", "a-key-of-some-length,short"] {
            let error = Keys::parse(text).expect_err(text);
            assert!(!error.contains("short,") && !error.contains("a-key"), "{error}");
        }
    }
}
