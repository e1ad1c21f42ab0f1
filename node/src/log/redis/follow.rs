//! The task that follows the stream, on a connection of its own, and keeps this node's tail like it.
//!
//! It waits on the server for what comes next. Where nothing comes for a moment it compares: identity, head, last record. So a
//! server that lost something is found out within [`BLOCK`], and a server that is silent within that and a time limit.
//!
//! Invariant: the tail is without trouble only while it was no longer than `lag` ago that this node knew everything there was.

use std::sync::Arc;
use std::time::Duration;

use larder_core::purge::{Record, Sequence};
use redis::{Value, cmd};
use tokio::time::{Instant, sleep, timeout};

use super::entry::{self, Entry};
use super::script::{Found, News};
use super::{KIND, Shared};
use crate::log::{LogError, LogId};
use crate::redis_link::{Connector, Failure, Way};

/// How long the server holds a read for which there is nothing.
const BLOCK: Duration = Duration::from_millis(250);

/// While records keep coming, the time between two comparisons.
const COMPARE: Duration = Duration::from_secs(1);

/// Records of one read.
const COUNT: usize = 1_000;

const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);

pub(super) struct Follower {
    pub shared: Arc<Shared>,
    pub connector: Connector,
    /// For how long the log may not be heard from.
    pub lag: Duration,
    /// When everything was known.
    heard: Option<Instant>,
}

impl Follower {
    pub fn new(shared: Arc<Shared>, connector: Connector, lag: Duration) -> Self {
        Self { shared, connector, lag, heard: None }
    }

    /// Follows until the task is ended.
    pub async fn run(mut self) {
        let mut wait = RETRY_MIN;
        loop {
            let began = Instant::now();
            let failure = self.follow().await;
            if began.elapsed() > RETRY_MAX {
                wait = RETRY_MIN;
            }
            tracing::debug!(?failure, "the purge log in Redis is not being followed");
            if self.heard.is_none_or(|heard| heard.elapsed() > self.lag) {
                let why = match failure {
                    Failure::Unreachable(why) | Failure::Refused(why) => why,
                    Failure::TimedOut => "no answer in time".to_owned(),
                };
                self.shared.tail.set_trouble(Some(LogError::Unreachable { log: KIND, why }));
            }
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Connects and follows; returns when that no longer works.
    async fn follow(&mut self) -> Failure {
        let mut way = match self.connector.connect(BLOCK).await {
            Ok(way) => way,
            Err(failure) => return failure,
        };
        let mut compared = Instant::now();
        if let Err(failure) = self.compare(&way).await {
            return failure;
        }
        loop {
            let entries = match self.next(&mut way, BLOCK).await {
                Ok(entries) => entries,
                Err(failure) => return failure,
            };
            let quiet = entries.is_empty();
            let same = self.take(entries);
            if (quiet || !same || compared.elapsed() > COMPARE)
                && let Err(failure) = self.compare(&way).await
            {
                return failure;
            }
            if quiet || !same {
                compared = Instant::now();
            } else {
                self.hear();
            }
        }
    }

    /// Holds what this node knows against what there is, and takes up what is missing.
    async fn compare(&mut self, way: &Way) -> Result<(), Failure> {
        let found = limited(self.shared.script.call(way.clone(), self.shared.seen(), 0, &[])).await?;
        let log = found.head.log;
        match found.news {
            News::None => {}
            News::Lost => {
                tracing::error!(%log, "purges were lost in Redis: all that was stored before counts as purged");
            }
            News::Begun => tracing::info!(%log, "there was no purge log in Redis: a new one begins"),
        }
        if self.shared.tail.known().log != found.head.log {
            return self.load(way, found).await;
        }
        if self.shared.tail.known().sequence >= found.head.sequence {
            self.hear();
        }
        Ok(())
    }

    /// Takes up a log from its beginning. The tail changes when all is there, and at once.
    async fn load(&mut self, way: &Way, found: Found) -> Result<(), Failure> {
        let log = found.head.log;
        let mut way = way.clone();
        let mut from = Sequence(0);
        let mut floor = None;
        let (mut records, mut mark): (Vec<Record>, _) = (Vec::new(), Vec::new());
        while from < found.head.sequence {
            let entries = self.read(&mut way, from, None).await?;
            if entries.is_empty() {
                return Err(Failure::Refused("the stream ends before it says".to_owned()));
            }
            for Entry { log: theirs, mark: its, record } in entries {
                if theirs != log {
                    return Err(Failure::Refused("the log changed while it was read".to_owned()));
                }
                floor.get_or_insert(Sequence(record.sequence.0.saturating_sub(1)));
                (from, mark) = (record.sequence, its);
                records.push(record);
            }
        }
        self.shared.restart(log, floor.unwrap_or_default(), records, mark);
        self.hear();
        Ok(())
    }

    /// What comes after what is known.
    async fn next(&self, way: &mut Way, block: Duration) -> Result<Vec<Entry>, Failure> {
        self.read(way, self.shared.tail.known().sequence, Some(block)).await
    }

    async fn read(&self, way: &mut Way, from: Sequence, block: Option<Duration>) -> Result<Vec<Entry>, Failure> {
        let mut read = cmd("XREAD");
        if let Some(block) = block {
            read.arg("BLOCK").arg(block.as_millis() as u64);
        }
        read.arg("COUNT").arg(COUNT).arg("STREAMS").arg(&self.shared.script.stream).arg(format!("0-{}", from.0));
        let answer: Value = limited(read.query_async(way)).await?;
        entry::read(answer).map_err(|why| Failure::Refused(why.to_owned()))
    }

    /// Takes up records; `false` where they belong to another log.
    fn take(&self, entries: Vec<Entry>) -> bool {
        let log = self.shared.tail.known().log;
        let Some(last) = entries.last() else { return true };
        if entries.iter().any(|entry| entry.log != log) {
            return false;
        }
        let mark = last.mark.clone();
        self.shared.extend(log, entries.into_iter().map(|entry| entry.record).collect(), mark);
        true
    }

    fn hear(&mut self) {
        self.heard = Some(Instant::now());
        self.shared.tail.set_trouble(None);
    }
}

/// The connection has limits of its own; this one holds even where these should fail.
async fn limited<T>(request: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Failure> {
    const LIMIT: Duration = Duration::from_secs(65);
    Ok(timeout(LIMIT, request).await.map_err(|_| Failure::TimedOut)??)
}

/// No log has this identity: what a node has before it has heard of one.
pub(super) const NOWHERE: LogId = LogId(0);
