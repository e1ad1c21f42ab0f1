//! Values out of an input's bytes: the first bytes choose, later ones fill in. When the bytes are used up, zeros come, so that every input
//! ends.

use arbitrary::Unstructured;

/// What is left of an input.
#[derive(Debug)]
pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    /// An input from its beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number: small ones, those around powers of two, and any.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=127 => u64::from(small),
            128..=159 => u64::from(self.0.arbitrary::<u16>().unwrap_or_default()),
            160..=191 => u64::from(self.0.arbitrary::<u32>().unwrap_or_default()),
            192..=223 => (1_u64 << (self.byte() % 64)).wrapping_add_signed(i64::from(self.byte() % 3) - 1),
            _ => self.0.arbitrary().unwrap_or_default(),
        }
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        match end {
            0..=1 => 0,
            2..=256 => usize::from(self.byte()) % end,
            _ => usize::from(self.0.arbitrary::<u16>().unwrap_or_default()) % end,
        }
    }

    /// One of two.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Up to so many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most + 1).min(self.0.len());
        self.0.bytes(length).unwrap_or_default()
    }

    /// Up to so many bytes of text; what is no UTF-8 is replaced.
    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(self.bytes(most)).into_owned()
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let length = self.0.len();
        self.0.bytes(length).unwrap_or_default()
    }
}
