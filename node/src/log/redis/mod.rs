//! The log that several nodes share: a stream in Redis or Valkey.
//!
//! A script numbers purges and appends them, so the order is the server's and there are no gaps. Every node follows the stream and
//! answers its readers from memory: a read costs Redis nothing, a lookup's position neither.
//!
//! Redis may lose what it acknowledged: a failover to a replica that was behind, a restart without its data, an eviction. Every
//! call of the script, therefore, brings along the last record that its node has seen; where that is not there as it was, the
//! log goes on under a new identity, for all nodes in the same instant, and whatever was ordered by the old one counts as purged.
//! What would go unnoticed is a loss that no living node has seen the other side of.
//!
//! The log's two keys must not expire. Where an eviction policy takes them all the same, that is a loss like any other.

mod board;
pub(crate) mod entry;
mod follow;
mod script;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::purge::{Mode, Record, Scope, Sequence};
use tokio::task::JoinHandle;

use self::board::RedisBoard;
use self::follow::{Follower, NOWHERE};
use self::script::{Append, Seen};
use super::tail::Tail;
use super::{Board, KEEP_DEFAULT, Log, LogError, LogId, Position, Read, encode};
use crate::redis_link::{Address, Connector, Failure, Pool};

const KIND: &str = "redis";

/// Time for an answer where the URL does not say. A purge is worth more patience than a lookup.
const TIMEOUT_DEFAULT: Duration = Duration::from_millis(500);

/// For how long the log may go unheard where the URL does not say.
const LAG_DEFAULT: Duration = Duration::from_secs(1);

/// The most records a URL may ask to keep.
const KEEP_MAX: usize = 16 << 20;

/// A log in Redis or Valkey.
pub struct RedisLog {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    timeout: Duration,
    board: RedisBoard,
    follower: JoinHandle<()>,
}

struct Shared {
    tail: Tail,
    script: Append,
    /// What the keys of this log begin with.
    prefix: String,
    /// The last record's mark, with its position.
    mark: Mutex<(Position, Vec<u8>)>,
}

impl RedisLog {
    /// Opens the log at a URL. Where Redis does not answer now, the log is there and says so until it does.
    pub async fn open(url: &str) -> Result<Self, String> {
        let mut address = Address::parse(url, TIMEOUT_DEFAULT)?;
        let keep = address.number("keep", KEEP_DEFAULT, KEEP_MAX)?;
        let lag = address.duration("lag", LAG_DEFAULT)?;
        address.finish("keep, lag")?;
        let (timeout, connect, prefix) = (address.timeout, address.connect, address.prefix.clone());
        let nowhere = Position { log: NOWHERE, sequence: Sequence(0) };
        let shared = Arc::new(Shared {
            tail: Tail::new(NOWHERE, keep),
            script: Append::new(&address.prefix, keep),
            prefix: address.prefix.clone(),
            mark: Mutex::new((nowhere, Vec::new())),
        });
        let why = "not heard from yet".to_owned();
        shared.tail.set_trouble(Some(LogError::Unreachable { log: KIND, why }));
        let connector = Connector::new(address)?;
        let follower = Follower::new(shared.clone(), connector.clone(), lag);
        let follower = tokio::spawn(follower.run());
        // Long enough for a Redis that is there.
        let pool = Arc::new(Pool::new(&connector, 1, connect + timeout).await);
        let board = RedisBoard::new(&prefix, pool.clone(), timeout);
        let log = Self { shared, pool, timeout, board, follower };
        log.shared.tail.well(connect + timeout).await;
        Ok(log)
    }
}

#[async_trait]
impl Log for RedisLog {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn append(&self, purges: &[(Scope, Mode)]) -> Result<Position, LogError> {
        let encoded = encode(purges)?;
        if purges.is_empty() {
            return self.head().await;
        }
        let mark = getrandom::u64().map_err(|error| LogError::Refused { log: KIND, why: error.to_string() })?;
        let (seen, script) = (self.shared.seen(), &self.shared.script);
        let found =
            self.pool.send(self.timeout, |way| script.call(way, seen.clone(), mark, &encoded)).await.map_err(failed)?;
        // The records come back over the follower's connection. When this node cannot know of them, it must not say that
        // they count.
        match self.shared.tail.reached(found.head, self.timeout).await {
            true => Ok(found.head),
            false => Err(LogError::TimedOut { log: KIND }),
        }
    }

    async fn take_turn(&self, what: &str, mine: &str, keep_for: Duration) -> Result<String, LogError> {
        let key = turn::key(&self.shared.prefix, what);
        self.pool.send(self.timeout, |way| turn::take(way, &key, mine, keep_for)).await.map_err(failed)
    }

    async fn give_turn(&self, what: &str, mine: &str) -> Result<(), LogError> {
        let key = turn::key(&self.shared.prefix, what);
        self.pool.send(self.timeout, |way| turn::give(way, &key, mine)).await.map_err(failed)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.shared.tail.head()
    }

    async fn read(&self, log: LogId, from: Sequence, max: usize, wait: Duration) -> Result<Read, LogError> {
        let head = self.shared.tail.head()?;
        if log == head.log && from > head.sequence {
            // The reader has heard of records, from another node, that this one has not. Either they are on their way, or the
            // log has lost them, which the script finds out.
            let (seen, script) = (Seen { log: Some(log), head: from, mark: Vec::new() }, &self.shared.script);
            self.pool.send(self.timeout, |way| script.call(way, seen.clone(), 0, &[])).await.map_err(failed)?;
        }
        self.shared.tail.read(log, from, max, wait).await
    }

    fn board(&self) -> Option<&dyn Board> {
        Some(&self.board)
    }
}

impl Drop for RedisLog {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Shared {
    /// What this node has seen of the log.
    fn seen(&self) -> Seen {
        let (at, mark) = self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Seen { log: (at.log != NOWHERE).then_some(at.log), head: at.sequence, mark }
    }

    /// Takes up the next records; the last has this mark.
    fn extend(&self, log: LogId, records: Vec<Record>, mark: Vec<u8>) {
        let (Some(first), Some(last)) = (records.first().map(|r| r.sequence), records.last().map(|r| r.sequence))
        else {
            return;
        };
        if first.0 != self.tail.known().sequence.0.saturating_add(1) {
            // Some were trimmed before this node could read them.
            self.tail.restart(log, Sequence(first.0.saturating_sub(1)));
        }
        // Marked first: a comparison must never bring a mark older than the head.
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = (Position { log, sequence: last }, mark);
        self.tail.extend(records);
    }

    /// Goes on as another log.
    fn restart(&self, log: LogId, floor: Sequence, records: Vec<Record>, mark: Vec<u8>) {
        let sequence = records.last().map_or(floor, |record| record.sequence);
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = (Position { log, sequence }, mark);
        self.tail.replace(log, floor, records);
    }
}

fn failed(failure: Failure) -> LogError {
    match failure {
        Failure::Unreachable(why) => LogError::Unreachable { log: KIND, why },
        Failure::TimedOut => LogError::TimedOut { log: KIND },
        Failure::Refused(why) => LogError::Refused { log: KIND, why },
    }
}
