//! Whose turn it is to warm. Where the purge log is shared, one node at a time; otherwise this one's.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::state::Holder;
use crate::log::{Log, LogError};

/// What the turn is called in the log.
const WHAT: &str = "warm";

/// A turn that is not kept ends after so long.
const KEEP_FOR: Duration = Duration::from_secs(15);

/// How often it is asked for, and kept.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// What a clock and a slow answer may cost: a turn is taken for over so long before it is.
const MARGIN: Duration = Duration::from_secs(2);

pub(super) struct Turn {
    log: Arc<dyn Log>,
    /// A random number and the node's name.
    mine: String,
    /// Until when it is this node's.
    until: Option<Instant>,
}

impl Turn {
    pub(super) fn new(log: Arc<dyn Log>, name: &str) -> Result<Self, getrandom::Error> {
        Ok(Self { log, mine: format!("{:016x} {name}", getrandom::u64()?), until: None })
    }

    /// Asks for the turn, or keeps it.
    pub(super) async fn ask(&mut self) -> Holder {
        let asked = Instant::now();
        match self.log.take_turn(WHAT, &self.mine, KEEP_FOR).await {
            Ok(holder) if holder == self.mine => {
                self.until = Some(asked + KEEP_FOR - MARGIN);
                Holder::Here
            }
            Ok(holder) => {
                self.until = None;
                Holder::Elsewhere(holder.split_once(' ').map_or(holder.as_str(), |(_, name)| name).to_owned())
            }
            Err(error) => self.unknown(&error),
        }
    }

    /// Until the turn is over, a log that does not answer changes nothing.
    fn unknown(&mut self, error: &LogError) -> Holder {
        match self.until {
            Some(until) if Instant::now() < until => Holder::Here,
            _ => {
                self.until = None;
                Holder::Unknown(error.to_string())
            }
        }
    }

    /// Gives it back, so that another need not wait.
    pub(super) async fn give(self) {
        if self.until.is_some()
            && let Err(error) = self.log.give_turn(WHAT, &self.mine).await
        {
            tracing::warn!(%error, "the turn to warm is not given back, and ends by itself");
        }
    }
}
