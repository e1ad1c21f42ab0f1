//! A tiny deterministic number generator (SplitMix64): the same seed gives the same shop and the same pictures on every
//! machine. Not for secrets.

/// A stream of well mixed numbers that depends on its seed only.
pub(crate) struct Mix(u64);

impl Mix {
    /// Starts the stream of `seed`. `purpose` keeps streams of the same seed apart.
    pub(crate) fn new(purpose: u64, seed: u64) -> Self {
        let mut mix = Mix(purpose ^ seed.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        mix.next();
        mix
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}
