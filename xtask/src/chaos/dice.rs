//! Numbers that look random and follow from a seed (SplitMix64). For choosing what to ask for, and nothing that has to be secret.

/// A source of such numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// One that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        // Mixed: neighbouring seeds must not give the same numbers, shifted.
        Self(mixed(seed))
    }

    /// A number below `count`; 0 where that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % (count.max(1) as u64)) as usize
    }

    /// A number from 0 up to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }
}

fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
