//! What workers of one host say to one another of purges, and its form on the way.
//!
//! A purge is known by who made it, not by what it names: another of the same name may be in the log already, made before.

use super::{Mode, Position, Scope, Sequence};

/// A purge, or several made at once, as its maker numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Made {
    /// The worker that made it and tells the cluster, by a number that no other worker of the host has or had.
    pub by: u32,
    /// Counts that worker's own.
    pub number: u64,
}

/// A word between workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// This is purged.
    Purged(Made, Scope, Mode),
    /// The cluster's log has it, here.
    Confirmed(Made, Position),
    /// This worker has yet to tell the cluster what it has purged, and goes on trying.
    StillTelling(u32),
}

impl Word {
    /// The form of it: a letter, numbers with the lowest byte first, the purge's own form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let made = |bytes: &mut Vec<u8>, letter: u8, made: &Made| {
            bytes.push(letter);
            bytes.extend_from_slice(&made.by.to_le_bytes());
            bytes.extend_from_slice(&made.number.to_le_bytes());
        };
        match self {
            Self::Purged(which, scope, mode) => {
                made(&mut bytes, b'p', which);
                bytes.extend_from_slice(&scope.encode(*mode));
            }
            Self::Confirmed(which, at) => {
                made(&mut bytes, b'c', which);
                bytes.extend_from_slice(&at.log.to_le_bytes());
                bytes.extend_from_slice(&at.sequence.0.to_le_bytes());
            }
            Self::StillTelling(by) => {
                bytes.push(b's');
                bytes.extend_from_slice(&by.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`Word::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let (by, rest) = rest.split_first_chunk::<4>()?;
        let by = u32::from_le_bytes(*by);
        if *letter == b's' {
            return rest.is_empty().then_some(Self::StillTelling(by));
        }
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let made = Made { by, number: u64::from_le_bytes(*number) };
        match *letter {
            b'p' => Scope::decode(rest).map(|(scope, mode)| Self::Purged(made, scope, mode)),
            b'c' => {
                let (log, rest) = rest.split_first_chunk::<8>()?;
                let (sequence, rest) = rest.split_first_chunk::<8>()?;
                let at = Position { log: u64::from_le_bytes(*log), sequence: Sequence(u64::from_le_bytes(*sequence)) };
                rest.is_empty().then_some(Self::Confirmed(made, at))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_word_is_read_as_it_was_said_and_nothing_else_is() {
        let made = Made { by: 7, number: u64::MAX };
        let at = Position { log: 3, sequence: Sequence(9) };
        let words = [
            Word::Purged(made, Scope::Url("http://h/a".into()), Mode::Hard),
            Word::Purged(made, Scope::All, Mode::Soft),
            Word::Confirmed(made, at),
            Word::StillTelling(7),
        ];
        for word in words {
            let bytes = word.encode();
            assert_eq!(Word::decode(&bytes), Some(word.clone()));
            let cut = bytes.split_last().map(|(_, rest)| rest).unwrap_or_default();
            assert_ne!(Word::decode(cut), Some(word.clone()), "cut");
            assert_ne!(Word::decode(&[&bytes[..], b"x"].concat()), Some(word), "more");
        }
        assert_eq!(Word::decode(b""), None);
        assert_eq!(Word::decode(b"!"), None);
    }
}
