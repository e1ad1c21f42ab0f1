//! Which node a key has: Envoy's ring, so that an Envoy and a layer with the same nodes ask the same one.
//!
//! As Envoy builds it with equal weights and its defaults (`ring_hash_lb_config`: XX_HASH, 1024 points at least): each address has
//! as many points, the hash of `ADDRESS:PORT_N` each; a key has the first point at or after the hash of its name.

use twox_hash::XxHash64;

/// Envoy's `minimum_ring_size`.
const POINTS_MIN: usize = 1024;

pub(super) struct Ring {
    points: Vec<(u64, usize)>,
}

impl Ring {
    pub(super) fn new(addresses: &[String]) -> Self {
        let each = POINTS_MIN.div_ceil(addresses.len().max(1));
        let mut points: Vec<(u64, usize)> = addresses
            .iter()
            .enumerate()
            .flat_map(|(at, address)| (0..each).map(move |n| (hash(&format!("{address}_{n}")), at)))
            .collect();
        points.sort_unstable();
        Self { points }
    }

    /// The nodes in the order in which they are asked for a key.
    pub(super) fn nodes(&self, name: &str) -> impl Iterator<Item = usize> {
        let hash = hash(name);
        let first = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(first);
        let mut seen = Vec::new();
        after.iter().chain(before).map(|(_, node)| *node).filter(move |node| {
            let new = !seen.contains(node);
            if new {
                seen.push(*node);
            }
            new
        })
    }
}

fn hash(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_share_and_a_place_in_every_order() {
        let addresses: Vec<String> = (1..=3).map(|n| format!("10.0.0.{n}:9901")).collect();
        let ring = Ring::new(&addresses);
        let mut firsts = [0; 3];
        for n in 0..3000 {
            let order: Vec<usize> = ring.nodes(&format!("key-{n}")).collect();
            assert_eq!(order.len(), 3);
            firsts[order[0]] += 1;
        }
        assert!(firsts.iter().all(|share| (700..1300).contains(share)), "{firsts:?}");
    }

    #[test]
    fn without_a_node_the_others_keep_their_keys() {
        let three: Vec<String> = (1..=3).map(|n| format!("10.0.0.{n}:9901")).collect();
        let ring = Ring::new(&three);
        for n in 0..1000 {
            let order: Vec<usize> = ring.nodes(&format!("key-{n}")).collect();
            let without_first: Vec<usize> = ring.nodes(&format!("key-{n}")).filter(|node| *node != order[0]).collect();
            assert_eq!(without_first, order[1..]);
        }
    }
}
