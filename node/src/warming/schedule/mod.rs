//! What a node warms by itself: what policies want to be kept warm, at the start, as often as they say, and after purges.
//!
//! One node of a cluster does it (`turn`); the others keep their plans and take over where that one is gone. Whoever takes over asks for
//! everything once: what is fresh already costs a request to the proxy and nothing more.
//!
//! Map: `turn` (whose turn it is), `purges` (what the log says), `state` (what is due, what came of it), `keep` (the loop).

mod keep;
mod purges;
mod state;
mod turn;

use std::sync::Arc;

use larder_core::Policy;
use tokio::sync::watch;

use super::pace::Settings;
use super::target::{Site, Via};

pub(crate) use keep::keep;
pub(crate) use state::{Shown, State};

/// What a node warms.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Where requests go.
    pub via: Via,
    /// The policies whose entries are warmed; others take their place as they are sent, and what is pushed under one's name takes its
    /// place, too.
    pub policies: watch::Receiver<Vec<Arc<Policy>>>,
    /// Where URLs belong that name no host; none is the proxy's own.
    pub sites: Vec<Site>,
    /// How much at a time, how fast.
    pub settings: Settings,
}

impl Schedule {
    /// What these policies say, and what is pushed under their names.
    pub fn of(via: Via, policies: Vec<Arc<Policy>>) -> Self {
        // Its other end being gone, it stays as it is.
        let (_, policies) = watch::channel(policies);
        Self { via, policies, sites: Vec::new(), settings: Settings::default() }
    }
}
