//! What a seed draws for a whole run: sizes, rates, latencies, what goes wrong. Printed before the run, so that a failure can be read.

use serde::{Deserialize, Serialize};

use super::catalog::Kind;
use super::dice::Dice;
use super::stories::Story;

/// The world's size and temper. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Envoys.
    pub envoys: usize,
    /// Workers of each.
    pub workers: usize,
    /// Nodes of the cluster; 0 is none.
    pub nodes: usize,
    /// All nodes have one store, as with Redis; else each has its own memory.
    pub shared_store: bool,
    /// The purge log survives nodes, as in Redis; else it is the only node's own.
    pub shared_log: bool,
    /// Bytes of memory of each worker.
    pub l1_bytes: u64,
    /// Bytes of each node's memory.
    pub node_bytes: u64,
    /// How long requests happen.
    pub length_ms: u64,
    /// Client requests.
    pub requests: usize,
    /// Users, beside nobody.
    pub users: u8,
    /// Languages that clients ask for.
    pub languages: u8,
    /// What there is at the origin, by what it is like.
    pub objects: Vec<Kind>,
    /// Shortest and longest way between an Envoy and a node.
    pub link_ms: (u64, u64),
    /// Shortest and longest time that the origin takes.
    pub origin_ms: (u64, u64),
    /// Of a thousand messages between Envoys and nodes, so many are lost.
    pub lost_per_mille: u64,
    /// Of a thousand messages between Envoys and nodes, so many arrive twice.
    pub twice_per_mille: u64,
    /// Of a thousand answers of the origin, so many fail in some way.
    pub origin_fails_per_mille: u64,
    /// Of a thousand answers of nodes, so many are changed on their way.
    pub lies_per_mille: u64,
    /// How far each Envoy's clock is from the origin's.
    pub skew_ms: Vec<i64>,
    /// Writes at the origin, each followed by a purge.
    pub writes: usize,
    /// Things that go wrong for a while: partitions, crashes, restarts, outages.
    pub faults: usize,
    /// Time limit of a look-up.
    pub lookup_timeout_ms: u64,
    /// Memory is used for so long without a word from the purge log.
    pub purge_lag_max_ms: u64,
    /// How long a node may wait with an answer to a poll.
    pub poll_ms: u64,
    /// How long requests wait for another's response; 0 is not at all.
    pub collapse_ms: u64,
    /// Bodies that are longer are fetched from nodes by Envoy itself; `None`: none are.
    #[serde(default)]
    pub reroute_above: Option<u64>,
    /// Of a thousand purges, so many make stale and not gone.
    #[serde(default)]
    pub soft_per_mille: u64,
    /// So much later a slow node's answers come.
    #[serde(default)]
    pub slow_ms: u64,
    /// Policies that are pushed to the cluster, beside those of stories.
    #[serde(default)]
    pub pushes: usize,
    /// Workers' VMs that die, beside those of stories.
    #[serde(default)]
    pub traps: usize,
    /// What happens in a row.
    #[serde(default)]
    pub stories: Vec<Story>,
    /// In the end, each worker is asked for the same twice: caching must work again.
    #[serde(default = "yes")]
    pub probed: bool,
}

const fn yes() -> bool {
    true
}

impl Options {
    /// What this seed draws.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "options");
        let d = &mut dice;
        let nodes = d.pick(&[0, 1, 1, 2, 3]);
        let envoys = d.pick(&[1, 1, 2, 2, 3]);
        let shared_store = nodes > 0 && d.per_mille(400);
        // A quiet world finds what a stormy one hides: most of what goes wrong goes wrong in a few runs only.
        let stormy = d.per_mille(600);
        let storm = |d: &mut Dice, most: u64| if stormy && d.per_mille(500) { d.between(1, most) } else { 0 };
        let slow_links = stormy && d.per_mille(200);
        let poll_ms = d.pick(&[200, 500, 1000]);
        let mut more = Dice::of(seed, "more options");
        let m = &mut more;
        let lies = if stormy && d.per_mille(250) { d.between(1, 300) } else { 0 };
        let stories: Vec<Story> = (0..m.pick(&[0, 1, 1, 2])).map(|_| Story::draw(m, nodes)).collect();
        // Policies that are changed on their way are policies: nothing can be said of what they do.
        let stories: Vec<Story> = stories.into_iter().filter(|story| lies == 0 || *story != Story::Pushed).collect();
        let traps = if stormy && m.per_mille(250) { m.between(1, 3) as usize } else { 0 };
        let is_trapped = traps > 0 || stories.iter().any(|story| matches!(story, Story::Trapped | Story::Deaf));
        Self {
            envoys,
            workers: d.pick(&[1, 1, 2]),
            nodes,
            shared_store,
            shared_log: nodes > 1 || d.per_mille(300),
            l1_bytes: d.pick(&[0, 20_000, 60_000, 200_000, 4 << 20, 4 << 20]),
            node_bytes: d.pick(&[60_000, 1 << 20, 16 << 20, 16 << 20]),
            length_ms: d.between(4_000, 20_000),
            requests: d.between(20, 160) as usize,
            users: d.between(1, 3) as u8,
            languages: d.between(1, 3) as u8,
            objects: (0..d.between(2, 8)).map(|_| Kind::draw(d)).collect(),
            link_ms: if slow_links { (1, d.between(20, 400)) } else { (1, d.between(1, 8)) },
            origin_ms: (d.between(1, 20), d.pick(&[20, 60, 300, 2_000])),
            lost_per_mille: storm(d, 200),
            twice_per_mille: storm(d, 200),
            origin_fails_per_mille: storm(d, 250),
            lies_per_mille: lies,
            skew_ms: (0..envoys)
                .map(|_| if stormy && d.per_mille(200) { d.between(0, 4_000) as i64 - 2_000 } else { 0 })
                .collect(),
            writes: d.below(16) as usize,
            faults: if stormy { d.below(6) as usize } else { 0 },
            lookup_timeout_ms: d.pick(&[20, 50, 100]),
            purge_lag_max_ms: poll_ms + d.pick(&[300, 1_000, 4_000]),
            poll_ms,
            collapse_ms: d.pick(&[0, 1_000, 5_000, 5_000]),
            reroute_above: if nodes > 0 { m.pick(&[None, None, Some(300), Some(64 << 10)]) } else { None },
            soft_per_mille: m.pick(&[0, 0, 300, 1_000]),
            slow_ms: m.between(100, 1_500),
            pushes: if nodes > 0 && lies == 0 && m.per_mille(300) { m.between(1, 4) as usize } else { 0 },
            traps,
            stories,
            // It takes most of the time of a run. What hangs in a dead VM has to come to its end.
            probed: is_trapped || m.per_mille(300),
        }
    }

    /// Nothing goes wrong between Envoys and nodes: what is promised for a healthy cluster has to hold.
    pub fn is_quiet(&self) -> bool {
        self.lost_per_mille == 0
            && self.lies_per_mille == 0
            && self.faults == 0
            && self.traps == 0
            && self.stories.iter().all(|story| story.is_quiet())
            && self.link_ms.1 * 2 < self.lookup_timeout_ms
    }

    /// How far clocks differ at most, in milliseconds.
    pub fn skew_max(&self) -> u64 {
        let least = self.skew_ms.iter().copied().chain([0]).min().unwrap_or(0);
        let most = self.skew_ms.iter().copied().chain([0]).max().unwrap_or(0);
        most.abs_diff(least)
    }
}
