//! What goes wrong in a row: sequences of steps that chance alone seldom draws one after the other, each about one object.

use serde::{Deserialize, Serialize};

use super::catalog::{Kind, VARIATIONS_COUNT};
use super::dice::Dice;
use super::options::Options;
use super::plan::{Ask, Identified, Purging, Pushing, Step, What};

/// A sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Story {
    /// An Envoy hears no node for longer than memory may be used without the purge log, and is asked all the time; meanwhile the object
    /// changes and is purged.
    Deaf,
    /// A worker's VM dies while requests are under way and just after a write.
    Trapped,
    /// Other policies are pushed, and gone back to, while the object is asked for.
    Pushed,
    /// A node goes, the object changes and is purged, the node comes back.
    NodeLost,
    /// The object is asked for all the time, so that it is refreshed before its end, and changes now and then.
    Often,
    /// The origin fails for a while in which the object is asked for.
    OriginLost,
    /// Nodes take their time.
    Slow,
}

const STORIES: [Story; 7] =
    [Story::Deaf, Story::Trapped, Story::Pushed, Story::NodeLost, Story::Often, Story::OriginLost, Story::Slow];

impl Story {
    /// One that can be told in such a world.
    pub fn draw(d: &mut Dice, nodes: usize) -> Self {
        let story = d.pick(&STORIES);
        let needs_nodes = matches!(story, Self::Deaf | Self::Pushed | Self::NodeLost | Self::Slow);
        if needs_nodes && nodes == 0 { d.pick(&[Self::Trapped, Self::Often, Self::OriginLost]) } else { story }
    }

    /// Nothing goes wrong in it.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Pushed | Self::Often)
    }

    /// Of which kind its object had better be.
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Deaf | Self::NodeLost => &[Kind::Plain, Kind::Fixed, Kind::Public, Kind::Large, Kind::Varies],
            Self::Pushed => &[Kind::Fixed, Kind::Plain, Kind::KeyedByUser, Kind::Erring, Kind::NoStore],
            Self::Often => &[Kind::Ahead, Kind::WhileRevalidate],
            Self::OriginLost => &[Kind::Erring, Kind::IfError, Kind::MustRevalidate],
            Self::Trapped | Self::Slow => &[],
        }
    }
}

/// What is drawn in a story.
struct Teller<'a> {
    d: &'a mut Dice,
    options: &'a Options,
    steps: Vec<(u64, Step)>,
    object: usize,
    envoy: usize,
    worker: usize,
}

/// The steps of all stories of a run.
pub fn tell(seed: u64, options: &Options) -> Vec<(u64, Step)> {
    let mut dice = Dice::of(seed, "stories");
    let mut steps = Vec::new();
    for story in &options.stories {
        let fitting: Vec<usize> =
            (0..options.objects.len()).filter(|object| story.kinds().contains(&options.objects[*object])).collect();
        let object =
            if fitting.is_empty() { dice.index(options.objects.len()) } else { fitting[dice.index(fitting.len())] };
        let (envoy, worker) = (dice.index(options.envoys), dice.index(options.workers));
        let mut teller = Teller { d: &mut dice, options, steps: Vec::new(), object, envoy, worker };
        teller.tell(*story);
        steps.append(&mut teller.steps);
    }
    steps.retain(|(at, _)| *at <= options.length_ms);
    steps
}

impl Teller<'_> {
    fn at(&mut self, at_ms: u64, step: Step) {
        self.steps.push((at_ms, step));
    }

    /// A plain request to the worker of the story, or to any.
    fn ask(&mut self, at_ms: u64, anywhere: bool) {
        let (envoy, worker) = if anywhere {
            (self.d.index(self.options.envoys), self.d.index(self.options.workers))
        } else {
            (self.envoy, self.worker)
        };
        let user = if self.d.per_mille(150) { 1 } else { 0 };
        let ask = Ask {
            envoy,
            worker,
            object: self.object,
            what: if self.d.per_mille(100) { What::IfNoneMatch } else { What::Get },
            user,
            by: Identified::Authorization,
            language: 0,
            leaves_after_ms: None,
        };
        self.at(at_ms, Step::Ask(ask));
    }

    /// Requests from here to there, one every so often.
    fn asks(&mut self, from_ms: u64, to_ms: u64, every_ms: u64) {
        let mut at = from_ms;
        while at < to_ms {
            let anywhere = self.d.per_mille(250);
            self.ask(at, anywhere);
            at += self.d.between(every_ms / 2, every_ms * 3 / 2).max(1);
        }
    }

    fn purging(&mut self) -> Purging {
        self.d.pick(&[Purging::Tag, Purging::Tag, Purging::Url, Purging::Prefix, Purging::All])
    }

    fn write(&mut self, at_ms: u64) {
        let (object, purge) = (self.object, if self.options.nodes == 0 { Purging::None } else { self.purging() });
        let soft = self.d.per_mille(self.options.soft_per_mille);
        self.at(at_ms, Step::Write { object, purge, soft });
    }

    fn change_through(&mut self, at_ms: u64) {
        let (envoy, worker, object) = (self.envoy, self.worker, self.object);
        let ask = Ask {
            envoy,
            worker,
            object,
            what: What::Post,
            user: 0,
            by: Identified::Authorization,
            language: 0,
            leaves_after_ms: None,
        };
        self.at(at_ms, Step::Ask(ask));
    }

    fn tell(&mut self, story: Story) {
        let length = self.options.length_ms;
        let begin = self.d.between(100, length / 3);
        let (envoy, worker) = (self.envoy, self.worker);
        match story {
            Story::Deaf => {
                let for_ms = self.options.purge_lag_max_ms + self.d.pick(&[2_000, 4_000, 8_000]);
                self.asks(begin, begin + 600, 200);
                for node in 0..self.options.nodes {
                    self.at(begin + 700, Step::Partition { envoy, node, for_ms });
                }
                // A fresh VM has never heard of the log, and cannot.
                if self.d.per_mille(400) {
                    self.at(begin + 750, Step::Trap { envoy, worker });
                }
                let written = begin + 700 + self.d.between(50, 2_000);
                self.write(written);
                self.asks(begin + 800, begin + 700 + for_ms + 1_500, 500);
            }
            Story::Trapped => {
                self.asks(begin, begin + 500, 100);
                for round in 0..self.d.between(1, 3) {
                    let trap = begin + 600 + round * 1_500;
                    if self.d.per_mille(400) {
                        let written = trap - self.d.between(1, 200);
                        self.change_through(written);
                    }
                    self.asks(trap - 60, trap, 20);
                    self.at(trap, Step::Trap { envoy, worker });
                    let again = trap + self.d.between(1, 300);
                    self.asks(again, again + 700, 150);
                }
            }
            Story::Pushed => {
                let mut at = begin;
                self.asks(at, at + 400, 150);
                for _ in 0..self.d.between(1, 3) {
                    at += self.d.between(500, 1_500);
                    let to = match self.d.below(5) {
                        0 => Pushing::Rollback,
                        1 => Pushing::Withdraw,
                        _ => Pushing::Version(self.d.index(VARIATIONS_COUNT)),
                    };
                    self.at(at, Step::Policy(to));
                    if self.d.per_mille(400) {
                        let written = at - self.d.between(100, 450);
                        self.write(written);
                        self.ask(at - 60, false);
                    }
                    self.asks(at, at + 4_500, 500);
                    at += 2_500;
                }
            }
            Story::NodeLost => {
                let node = self.d.index(self.options.nodes);
                let for_ms = self.d.pick(&[300, 1_500, 5_000]);
                // The log that is lost was further than the one that comes.
                for _ in 0..self.d.below(4) {
                    let (at, object) = (begin.saturating_sub(40), self.d.index(self.options.objects.len()));
                    self.at(at, Step::Write { object, purge: Purging::Url, soft: false });
                }
                self.asks(begin, begin + 600, 200);
                self.at(begin + 700, Step::NodeDown { node, for_ms });
                let written = begin + 700 + self.d.between(0, for_ms + 500);
                self.write(written);
                self.asks(begin + 700, begin + 700 + for_ms + 3_000, 400);
            }
            Story::Often => {
                self.asks(begin, begin + 9_000, 300);
                for _ in 0..self.d.between(0, 2) {
                    let written = begin + self.d.between(500, 8_000);
                    if self.d.per_mille(500) { self.write(written) } else { self.change_through(written) }
                }
            }
            Story::OriginLost => {
                let longest = self.d.pick(&[2_500, 2_500, 9_000]);
                let for_ms = self.d.between(300, longest);
                self.asks(begin, begin + 400, 200);
                let down = begin + self.d.between(500, 3_500);
                self.at(down, Step::OriginDown { for_ms });
                self.asks(down, down + for_ms + 2_500, 150 + for_ms / 30);
            }
            Story::Slow => {
                for _ in 0..self.d.between(1, 3) {
                    let (node, from) = (self.d.index(self.options.nodes), begin + self.d.between(0, length / 3));
                    let for_ms = self.d.between(500, 6_000);
                    self.at(from, Step::NodeSlow { node, for_ms });
                }
                self.asks(begin, begin + 3_000, 250);
                let written = begin + self.d.between(300, 2_500);
                self.write(written);
            }
        }
    }
}
