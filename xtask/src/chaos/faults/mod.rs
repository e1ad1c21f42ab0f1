//! What is done to whom. One file for each victim; each fault marks when it began and when it ended, and leaves everything as it was.

mod disk;
mod envoy;
mod network;
mod node;
mod redis;
mod settings;

pub use settings::push_once;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::span::Span;
use super::stage::{Kept, Stage};

/// The faults, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A node is killed, and started again
    NodeKill,
    /// A node is halted, and goes on
    NodeHalt,
    /// The Redis master that has the purge log is killed, and started again
    MasterKill,
    /// The Redis master that has the purge log is halted, and goes on
    MasterHalt,
    /// A node cannot reach anybody, and nobody it (needs root: network namespaces)
    Partition,
    /// Envoy's configuration of Larder is replaced by ECDS, again and again
    Ecds,
    /// Policies are pushed to the nodes, and rolled back
    Push,
    /// The module traps in a worker of each Envoy, again and again
    Trap,
    /// Envoys hand over to new ones (hot restart)
    HotRestart,
    /// Envoys are stopped and started again
    Restart,
    /// The disk of a node with a store on disk is full (needs mount namespaces)
    FullDisk,
}

impl Fault {
    /// What it is done on.
    pub fn stage(self) -> Kept {
        match self {
            Self::Partition => Kept::SharedApart,
            Self::FullDisk => Kept::OnSmallDisk,
            _ => Kept::Shared,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is.
    pub fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Whether Envoys without Larder lose requests by it, too.
    pub fn is_envoys_own(self) -> bool {
        matches!(self, Self::HotRestart | Self::Restart)
    }

    /// Does it.
    pub fn run(self, stage: &mut Stage, span: &mut Span) -> Result<()> {
        match self {
            Self::NodeKill => node::kill(stage, span),
            Self::NodeHalt => node::halt(stage, span),
            Self::MasterKill => redis::kill(stage, span),
            Self::MasterHalt => redis::halt(stage, span),
            Self::Partition => network::cut(stage, span),
            Self::Ecds => settings::ecds(stage, span),
            Self::Push => settings::push(stage, span),
            Self::Trap => envoy::trap(stage, span),
            Self::HotRestart => envoy::hot_restart(stage, span),
            Self::Restart => envoy::restart(stage, span),
            Self::FullDisk => disk::full(stage, span),
        }
    }
}
