//! How many different things there were, from the few smallest of their hashes.

use std::collections::BTreeSet;

/// Hashes that are kept: an estimate is off by about an eighth then.
const KEPT: usize = 64;

/// A count of different things in half a kilobyte.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    smallest: BTreeSet<u64>,
}

impl Sketch {
    /// Takes one up.
    pub fn add(&mut self, thing: &str) {
        let hash = hash(thing.as_bytes());
        if self.smallest.len() < KEPT {
            self.smallest.insert(hash);
        } else if self.smallest.last().is_some_and(|largest| hash < *largest) && self.smallest.insert(hash) {
            self.smallest.pop_last();
        }
    }

    /// Takes up all of another.
    pub fn merge(&mut self, other: &Self) {
        self.smallest.extend(&other.smallest);
        while self.smallest.len() > KEPT {
            self.smallest.pop_last();
        }
    }

    /// About how many there were; exact below [`KEPT`].
    pub fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(largest) if self.smallest.len() == KEPT => {
                let share = *largest as f64 / u64::MAX as f64;
                ((KEPT - 1) as f64 / share) as u64
            }
            _ => self.smallest.len() as u64,
        }
    }
}

/// FNV-1a, stirred once more: its upper bits alone are not spread well.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_things_are_counted_about_right() {
        let mut sketch = Sketch::default();
        for n in 0..40 {
            sketch.add(&format!("/a/{n}"));
            sketch.add(&format!("/a/{n}"));
        }
        assert_eq!(sketch.count(), 40);
        let mut more = Sketch::default();
        (0..100_000).for_each(|n| more.add(&format!("/b/{n}")));
        sketch.merge(&more);
        assert!((70_000..140_000).contains(&sketch.count()), "{}", sketch.count());
    }
}
