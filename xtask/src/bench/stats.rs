//! What is said of the rounds of one figure: the median, and the least and the greatest of them. No round is dropped.

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// `None` of no rounds, and of rounds that are not numbers.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let (lower, upper) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: f64::midpoint(*lower, *upper), min, max })
    }

    /// This median in terms of another's; `None` where that is 0.
    pub fn ratio(&self, other: &Self) -> Option<f64> {
        (other.median != 0.0).then(|| self.median / other.median)
    }
}

/// The figure that so many percent of all are not above (the nearest rank). `None` of none.
pub fn percentile(figures: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Three digits behind the point are more than any of these measurements can carry.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: &[f64]) -> Summary {
        Summary::of(rounds).unwrap()
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(of(&[3.0, 1.0, 2.0]), Summary { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Summary { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(of(&[7.0]), Summary { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(of(&[1000.0, 1.0, 1.0, 1.0, 1.0]).median, 1.0);
    }

    #[test]
    fn nothing_is_said_of_no_rounds_or_of_broken_ones() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(Summary::of(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn ratios_are_of_medians() {
        assert_eq!(of(&[1.0, 3.0, 100.0]).ratio(&of(&[2.0])), Some(1.5));
        assert_eq!(of(&[1.0]).ratio(&of(&[0.0])), None);
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let figures: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(percentile(&figures, 50.0), Some(500.0));
        assert_eq!(percentile(&figures, 99.0), Some(990.0));
        assert_eq!(percentile(&figures, 100.0), Some(1000.0));
        assert_eq!(percentile(&[7.0], 1.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn figures_are_written_with_three_digits_behind_the_point() {
        assert_eq!(rounded(1.234_56), 1.235);
        assert_eq!(rounded(95_000.0), 95_000.0);
    }
}
