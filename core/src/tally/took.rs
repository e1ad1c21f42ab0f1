//! How long requests took, in fixed buckets: from the request's head to the response's, by the times that the exchange is given.

use crate::time::Millis;

/// The upper bounds of all buckets but the last, in milliseconds.
pub const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

/// How many buckets there are: the last one takes what is longer than every bound.
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;

const LABELS: [&str; BUCKETS] = ["1", "2", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "more"];

/// A span of time, as far as it is counted: not longer than the bucket's bound, and longer than the one's before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u8);

impl Bucket {
    /// Every bucket, the shortest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS as u8).map(Self)
    }

    /// The bucket of a span.
    pub fn of(span: Millis) -> Self {
        Self(BOUNDS_MS.iter().take_while(|bound| span.0 > **bound).count() as u8)
    }

    /// The bound in milliseconds; `None` where there is none.
    pub fn bound(self) -> Option<Millis> {
        BOUNDS_MS.get(self.index()).map(|bound| Millis(*bound))
    }

    /// The bound as a label: `5`, or `more`.
    pub fn as_str(self) -> &'static str {
        LABELS.get(self.index()).copied().unwrap_or("more")
    }

    /// The bucket with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::all().find(|bucket| bucket.as_str() == label)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_span_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (span, label) in
            [(0, "1"), (1, "1"), (2, "2"), (3, "5"), (5000, "5000"), (5001, "more"), (u64::MAX, "more")]
        {
            assert_eq!(Bucket::of(Millis(span)).as_str(), label);
        }
        for bucket in Bucket::all() {
            assert_eq!(Bucket::from_label(bucket.as_str()), Some(bucket));
            assert_eq!(
                bucket.bound().map(|bound| bound.0.to_string()),
                bucket.as_str().parse::<u64>().ok().map(|b| b.to_string())
            );
        }
        assert_eq!(Bucket::from_label("3"), None);
    }
}
