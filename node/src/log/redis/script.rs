//! The script that appends and compares, as a call.

use larder_core::purge::Sequence;
use redis::{ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, Value, cmd, from_redis_value};

use crate::log::{LogId, Position};
use crate::redis_link::Way;

/// What a node has seen of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub log: Option<LogId>,
    pub head: Sequence,
    /// The mark of the last record; empty where it is not known.
    pub mark: Vec<u8>,
}

/// Where the log is, in the script's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub head: Position,
    pub mark: Vec<u8>,
    pub news: News,
}

/// Whether the log has a new identity, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has not.
    None,
    /// Something was lost.
    Lost,
    /// There was no log, and this node had not known of one either: it begins here.
    Begun,
}

pub(super) struct Append {
    script: Script,
    pub stream: String,
    about: String,
    keep: usize,
}

impl Append {
    /// For the log with this prefix. The braces keep both keys in one slot of a cluster.
    pub fn new(prefix: &str, keep: usize) -> Self {
        Self {
            script: Script::new(include_str!("append.lua")),
            stream: format!("{{{prefix}}}:log"),
            about: format!("{{{prefix}}}:log-id"),
            keep,
        }
    }

    /// Appends purges (or none: then it only compares), with a mark of their own.
    pub async fn call(&self, mut way: Way, seen: Seen, mark: u64, purges: &[Vec<u8>]) -> RedisResult<Found> {
        let odd = |why: String| RedisError::from((ErrorKind::UnexpectedReturnType, "the append script", why));
        let fresh = LogId::random().map_err(|error| odd(error.to_string()))?;
        let call = |name: &str, script: &str| {
            let mut call = cmd(name);
            call.arg(script).arg(2).arg(&self.stream).arg(&self.about).arg(fresh.to_string());
            call.arg(seen.log.map(|log| log.to_string()).unwrap_or_default()).arg(seen.head.0).arg(&seen.mark);
            call.arg(self.keep).arg(mark.to_be_bytes().as_slice());
            for purge in purges {
                call.arg(purge.as_slice());
            }
            call
        };
        let answer: RedisResult<Value> = call("EVALSHA", self.script.get_hash()).query_async(&mut way).await;
        let answer = match answer {
            // EVAL rather than SCRIPT LOAD, which a cluster's connection sends to every node, dead ones included.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", include_str!("append.lua")).query_async(&mut way).await?
            }
            answer => answer?,
        };
        let (log, head, mark, news): (String, String, Vec<u8>, u8) = from_redis_value(answer)?;
        let log = log_id(log.as_bytes()).ok_or_else(|| odd(format!("{log:?} is no identity")))?;
        let sequence = Sequence(head.parse().map_err(|_| odd(format!("{head:?} is no number")))?);
        let news = match news {
            0 => News::None,
            1 => News::Lost,
            2 => News::Begun,
            other => return Err(odd(format!("{other} says nothing of the log"))),
        };
        Ok(Found { head: Position { log, sequence }, mark, news })
    }
}

/// An identity as it stands in Redis.
pub(super) fn log_id(text: &[u8]) -> Option<LogId> {
    let id = u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()?;
    (id != 0).then_some(LogId(id))
}
