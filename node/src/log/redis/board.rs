//! The board beside the log: a second stream, of which Redis keeps some thousand entries. Losing it costs figures, nothing else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{RedisResult, cmd};

use super::failed;
use crate::log::{Board, LogError};
use crate::redis_link::Pool;

/// Entries that are kept, roughly: Redis trims whole blocks. Ten minutes of three busy nodes.
const KEEP: usize = 2_000;

/// Their bytes, roughly: where entries are long, fewer are kept.
const KEEP_BYTES: usize = 64 << 20;

/// However long entries are, so many are kept: who reads once a second misses none.
const KEEP_MIN: usize = 60;

/// A stream's entry as Redis hands it out: its place, and names and values in turn.
type Row = (String, Vec<Vec<u8>>);

pub(super) struct RedisBoard {
    stream: String,
    pool: Arc<Pool>,
    timeout: Duration,
}

impl RedisBoard {
    /// For the log with this prefix, and in its slot of a cluster.
    pub fn new(prefix: &str, pool: Arc<Pool>, timeout: Duration) -> Self {
        Self { stream: format!("{{{prefix}}}:analytics"), pool, timeout }
    }
}

#[async_trait]
impl Board for RedisBoard {
    async fn post(&self, entry: &[u8]) -> Result<(), LogError> {
        let keep = KEEP_BYTES.checked_div(entry.len()).unwrap_or(KEEP).clamp(KEEP_MIN, KEEP);
        let add = |mut way| {
            let mut add = cmd("XADD");
            add.arg(&self.stream).arg("MAXLEN").arg("~").arg(keep).arg("*").arg("e").arg(entry);
            async move { add.query_async(&mut way).await }
        };
        let added: Result<String, _> = self.pool.send(self.timeout, add).await;
        added.map(|_| ()).map_err(failed)
    }

    async fn read(&self, after: &str, max: usize) -> Result<Vec<(String, Vec<u8>)>, LogError> {
        let from = next(after);
        let range = |mut way| {
            let mut range = cmd("XRANGE");
            range.arg(&self.stream).arg(&from).arg("+").arg("COUNT").arg(max);
            async move {
                let rows: RedisResult<Vec<Row>> = range.query_async(&mut way).await;
                rows
            }
        };
        let rows = self.pool.send(self.timeout, range).await.map_err(failed)?;
        // Something else in there is an empty entry: the reader goes on behind it.
        let entry = |fields: Vec<Vec<u8>>| fields.into_iter().nth(1).unwrap_or_default();
        Ok(rows.into_iter().map(|(at, fields)| (at, entry(fields))).collect())
    }
}

/// The place behind another, which `XRANGE` is to begin at. (Before Redis 6.2 it knows no ranges that leave out their begin.)
fn next(after: &str) -> String {
    let behind = after.split_once('-').and_then(|(time, number)| {
        let number: u64 = number.parse().ok()?;
        Some(format!("{time}-{}", number.checked_add(1)?))
    });
    behind.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_place_lies_behind_and_the_first_is_the_oldest() {
        assert_eq!((next("17-0").as_str(), next("17-41").as_str(), next("").as_str()), ("17-1", "17-42", "-"));
        assert_eq!(next("odd"), "-");
    }
}
