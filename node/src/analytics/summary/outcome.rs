//! What each outcome of a request means for hit ratio and origin.

/// An outcome, as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    /// Takes part in the hit ratio.
    pub(crate) counts: bool,
    /// Was answered from a store.
    pub(crate) hit: bool,
    /// The origin was asked.
    pub(crate) origin: bool,
}

/// What an outcome means, by its label. One that is not known is a request that is no hit.
pub(crate) fn means(outcome: &str) -> Means {
    let (counts, hit, origin) = match outcome {
        "hit" | "cluster_hit" | "collapsed" | "stale" => (true, true, false),
        // The origin was asked and failed.
        "stale_error" => (true, true, true),
        // Neither is a request that a cache could have answered.
        "bypass" => (false, false, true),
        "purge" | "refused" => (false, false, false),
        _ => (true, false, true),
    };
    Means { counts, hit, origin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::tally::Outcome;

    #[test]
    fn every_outcome_counts_as_it_should() {
        use Outcome::*;
        for (outcome, counts, hit, origin) in [
            (Hit, true, true, false),
            (ClusterHit, true, true, false),
            (Collapsed, true, true, false),
            (Stale, true, true, false),
            (StaleError, true, true, true),
            (Revalidated, true, false, true),
            (Miss, true, false, true),
            (NotStored, true, false, true),
            (Bypass, false, false, true),
            (Purge, false, false, false),
            (Refused, false, false, false),
        ] {
            assert_eq!(means(outcome.as_str()), Means { counts, hit, origin }, "{outcome:?}");
        }
    }
}
