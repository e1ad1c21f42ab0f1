//! The purges that come into the log, whoever asked for them.

use std::sync::Arc;
use std::time::Duration;

use larder_core::purge::{Position, Scope, Sequence};
use tokio::time::sleep;

use crate::following::{Following, of_core};
use crate::log::{LogId, Read};

/// Purges taken up at a time.
const PAGE: usize = 1024;

/// How long a read waits for news.
const WAIT: Duration = Duration::from_secs(30);

/// How long to pause where the log fails.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Purges {
    following: Arc<Following>,
    at: Position,
}

impl Purges {
    /// Those after where the log stands now.
    pub(super) fn new(following: Arc<Following>) -> Self {
        let at = following.here();
        Self { following, at }
    }

    /// The next ones; waits for them. Dropping the future before it is ready loses none.
    pub(super) async fn next(&mut self) -> Vec<Scope> {
        loop {
            let read = self.following.log().read(LogId(self.at.log), self.at.sequence, PAGE, WAIT).await;
            match read {
                Ok(Read::Page(page)) => {
                    let Some(last) = page.records.last() else { continue };
                    self.at.sequence = last.sequence;
                    return page.records.into_iter().map(|record| record.scope).collect();
                }
                // Which ones is not known any more, or all that was stored counts as purged.
                Ok(Read::TooOld { floor, .. }) => {
                    self.at.sequence = Sequence(floor.0.max(self.at.sequence.0));
                    return vec![Scope::All];
                }
                Ok(Read::Other { head }) => {
                    self.at = of_core(head);
                    return vec![Scope::All];
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}
