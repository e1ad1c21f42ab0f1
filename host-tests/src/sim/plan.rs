//! What happens in a run, in order: drawn from the seed before it begins, so that parts can be left out of it to see what a failure
//! needs.

use serde::{Deserialize, Serialize};

use super::catalog::VARIATIONS_COUNT;
use super::dice::Dice;
use super::options::Options;
use super::stories;

/// A run: replayed exactly by whoever has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Draws what is not in the plan: how long each message travels, which one is lost.
    pub seed: u64,
    /// The world.
    pub options: Options,
    /// When what happens, in milliseconds from the start; in order.
    pub steps: Vec<(u64, Step)>,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A client asks.
    Ask(Ask),
    /// The data changes at the origin, and then the cluster is told, until it has it in its log.
    Write {
        /// Which object.
        object: usize,
        /// How it is told.
        purge: Purging,
        /// Stored responses become stale and are not gone.
        #[serde(default)]
        soft: bool,
    },
    /// Which policy is in force changes at the nodes.
    Policy(Pushing),
    /// A worker's VM dies, with all that it has in memory; the next request gets another.
    Trap {
        /// Which Envoy.
        envoy: usize,
        /// Which of its workers.
        worker: usize,
    },
    /// A node's answers come late.
    NodeSlow {
        /// Which.
        node: usize,
        /// For how long.
        for_ms: u64,
    },
    /// A node ends, with all that it has in memory, and begins anew after a while.
    NodeDown {
        /// Which.
        node: usize,
        /// For how long.
        for_ms: u64,
    },
    /// An Envoy and a node do not hear each other.
    Partition {
        /// Which Envoy.
        envoy: usize,
        /// Which node.
        node: usize,
        /// For how long.
        for_ms: u64,
    },
    /// The origin answers nobody.
    OriginDown {
        /// For how long.
        for_ms: u64,
    },
    /// An Envoy ends at once and another begins in its place.
    EnvoyRestart {
        /// Which.
        envoy: usize,
    },
    /// An Envoy gets its configuration anew, as over ECDS.
    Reload {
        /// Which.
        envoy: usize,
    },
    /// An Envoy's clock is set forward.
    ClockForward {
        /// Which.
        envoy: usize,
        /// By how much.
        by_ms: u64,
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Which Envoy.
    pub envoy: usize,
    /// Which of its workers.
    pub worker: usize,
    /// Which object.
    pub object: usize,
    /// What is asked of it.
    pub what: What,
    /// Who asks; 0 is nobody.
    pub user: u8,
    /// How it is shown who asks.
    pub by: Identified,
    /// Which language; 0 is none.
    pub language: u8,
    /// The client goes away after so long.
    pub leaves_after_ms: Option<u64>,
}

/// What is asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// GET, unless it is what this client had last.
    IfNoneMatch,
    /// GET of these bytes.
    Range(u32, u32),
    /// GET with `Cache-Control: no-cache`.
    NoCache,
    /// POST, PUT or DELETE: the object changes.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

/// How a request says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identified {
    /// By `Authorization`.
    Authorization,
    /// By a session cookie.
    Cookie,
}

/// What is done about policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pushing {
    /// This variation is pushed.
    Version(usize),
    /// What was in force before is in force again.
    Rollback,
    /// Envoys are to run what they were configured with.
    Withdraw,
}

/// How the cluster is told of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purging {
    /// Not at all.
    None,
    /// By the object's tag.
    Tag,
    /// By its URL.
    Url,
    /// By the beginning of its URL.
    Prefix,
    /// Everything.
    All,
}

impl Plan {
    /// What this seed draws.
    pub fn draw(seed: u64) -> Self {
        let options = Options::draw(seed);
        let mut dice = Dice::of(seed, "plan");
        let d = &mut dice;
        let mut steps: Vec<(u64, Step)> = Vec::new();
        // Few requests are alone: most come in bursts to few objects, where caches go wrong.
        let mut at = 50;
        for _ in 0..options.requests {
            at = if d.per_mille(400) { at + d.below(5) } else { d.between(50, options.length_ms) };
            steps.push((at.min(options.length_ms), Step::Ask(ask(d, &options))));
        }
        let mut soft = Dice::of(seed, "soft");
        for _ in 0..options.writes {
            let purge = match options.nodes {
                0 => Purging::None,
                _ => d.pick(&[Purging::Tag, Purging::Tag, Purging::Url, Purging::Prefix, Purging::All, Purging::None]),
            };
            let object = d.index(options.objects.len());
            let soft = soft.per_mille(options.soft_per_mille);
            steps.push((d.between(100, options.length_ms), Step::Write { object, purge, soft }));
        }
        for _ in 0..options.faults {
            let at = d.between(200, options.length_ms);
            let for_ms = d.pick(&[100, 500, 2_000, 6_000]);
            let envoy = d.index(options.envoys);
            let node = d.index(options.nodes);
            let step = match d.below(if options.nodes > 0 { 6 } else { 4 }) {
                0 => Step::OriginDown { for_ms },
                1 => Step::EnvoyRestart { envoy },
                2 => Step::Reload { envoy },
                3 => Step::ClockForward { envoy, by_ms: d.pick(&[500, 5_000, 3_600_000]) },
                4 => Step::NodeDown { node, for_ms },
                _ => Step::Partition { envoy, node, for_ms },
            };
            steps.push((at, step));
        }
        let mut more = Dice::of(seed, "more steps");
        let m = &mut more;
        for _ in 0..options.pushes {
            let to = match m.below(6) {
                0 => Pushing::Rollback,
                1 => Pushing::Withdraw,
                _ => Pushing::Version(m.index(VARIATIONS_COUNT)),
            };
            steps.push((m.between(100, options.length_ms), Step::Policy(to)));
        }
        for _ in 0..options.traps {
            let (envoy, worker) = (m.index(options.envoys), m.index(options.workers));
            steps.push((m.between(100, options.length_ms), Step::Trap { envoy, worker }));
        }
        steps.append(&mut stories::tell(seed, &options));
        steps.sort_by_key(|(at, _)| *at);
        Self { seed, options, steps }
    }
}

fn ask(d: &mut Dice, options: &Options) -> Ask {
    // The first objects are the hot ones.
    let object = d.index(options.objects.len()).min(d.index(options.objects.len()));
    let what = match d.below(100) {
        0..66 => What::Get,
        66..72 => What::Head,
        72..80 => What::IfNoneMatch,
        80..86 => {
            let from = d.below(900) as u32;
            What::Range(from, from + d.below(300) as u32)
        }
        86..90 => What::NoCache,
        90..95 => What::Post,
        95..98 => What::Put,
        _ => What::Delete,
    };
    Ask {
        envoy: d.index(options.envoys),
        worker: d.index(options.workers),
        object,
        what,
        user: if d.per_mille(600) { 0 } else { d.between(1, u64::from(options.users)) as u8 },
        by: d.pick(&[Identified::Authorization, Identified::Cookie]),
        language: d.below(u64::from(options.languages) + 1) as u8,
        leaves_after_ms: d.per_mille(40).then(|| d.between(1, 400)),
    }
}
