//! Policies in Redis or Valkey, shared by all nodes that name the same one.
//!
//! Three kinds of keys, all in one slot of a cluster: `{prefix}:policies` (records by name), `{prefix}:policies-mark` (another value with
//! every change, so that looking costs one short answer), `{prefix}:policy:NAME` (texts by version). Scripts read and replace, so
//! whoever reads sees no half of a change.
//!
//! Redis may lose what it acknowledged. What is gone is not known any more, and workers keep what they have; a record that went back to
//! an older generation is taken up as it is. Texts are checked against their hash: a text that is gone or another one is an error, and
//! never handed out.

use std::time::Duration;

use async_trait::async_trait;
use redis::{ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, Value, cmd, from_redis_value};

use super::record::{Next, Record, Version, is_name, sha256};
use super::{NAMES_MAX, PoliciesError, PolicyStore, Records};
use crate::redis_link::{Address, Connector, Failure, Pool, Way};

const KIND: &str = "redis";

/// Time for an answer where the URL does not say. A policy may be a megabyte.
const TIMEOUT_DEFAULT: Duration = Duration::from_millis(500);

const READ: &str = include_str!("read.lua");
const REPLACE: &str = include_str!("replace.lua");

/// Policies in Redis or Valkey.
pub struct RedisPolicies {
    pool: Pool,
    timeout: Duration,
    prefix: String,
    read: Script,
    replace: Script,
}

impl RedisPolicies {
    /// Opens the store at a URL. Where Redis does not answer now, it is there and says so until it does.
    pub async fn open(url: &str) -> Result<Self, String> {
        let address = Address::parse(url, TIMEOUT_DEFAULT)?;
        address.finish("and no more")?;
        let (timeout, connect, prefix) = (address.timeout, address.connect, address.prefix.clone());
        let connector = Connector::new(address)?;
        // Long enough for a Redis that is there.
        let pool = Pool::new(&connector, 1, connect + timeout).await;
        Ok(Self { pool, timeout, prefix, read: Script::new(READ), replace: Script::new(REPLACE) })
    }

    // The braces keep all keys in one slot of a cluster.
    fn records_key(&self) -> String {
        format!("{{{}}}:policies", self.prefix)
    }

    fn mark_key(&self) -> String {
        format!("{{{}}}:policies-mark", self.prefix)
    }

    fn texts_key(&self, name: &str) -> String {
        format!("{{{}}}:policy:{name}", self.prefix)
    }
}

#[async_trait]
impl PolicyStore for RedisPolicies {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn records(&self, seen: Option<&str>) -> Result<Option<Records>, PoliciesError> {
        let keys = [self.records_key(), self.mark_key()];
        let args = [seen.unwrap_or_default().as_bytes().to_vec()];
        let request = |way| call(way, &self.read, READ, &keys, &args);
        let answer: Vec<Vec<u8>> = self.pool.send(self.timeout, request).await.map_err(failed)?;
        let mut parts = answer.into_iter();
        let mark = parts.next().and_then(|mark| String::from_utf8(mark).ok()).ok_or_else(|| damaged("the mark"))?;
        if seen == Some(mark.as_str()) {
            return Ok(None);
        }
        let mut records = Records { mark, ..Records::default() };
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let name = String::from_utf8(name).ok().filter(|name| is_name(name));
            let Some(name) = name else { continue };
            match record(&value) {
                Some(record) => {
                    records.records.insert(name, record);
                }
                // Not written over: whoever pushes under that name is told that there is another record.
                None => tracing::error!(policy = name, key = self.records_key(), "what is stored there is no record"),
            }
        }
        Ok(Some(records))
    }

    async fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError> {
        let key = self.texts_key(name);
        let number = version.version;
        let request = |mut way: Way| {
            let mut get = cmd("HGET");
            get.arg(&key).arg(number);
            async move { get.query_async::<Option<Vec<u8>>>(&mut way).await }
        };
        let Some(bytes) = self.pool.send(self.timeout, request).await.map_err(failed)? else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) if sha256(&text) == version.sha256 => Ok(Some(text)),
            _ => Err(damaged(&format!("{key}, version {number}, is not what was pushed, and so what it is"))),
        }
    }

    async fn replace(&self, name: &str, from: Option<u64>, next: &Next) -> Result<bool, PoliciesError> {
        let refused = |why: String| PoliciesError::Refused { store: KIND, why };
        if !is_name(name) {
            return Err(refused(format!("{name:?} is no name")));
        }
        let mark = getrandom::u64().map_err(|error| refused(error.to_string()))?;
        let json = serde_json::to_string(&next.record).map_err(|error| refused(error.to_string()))?;
        let is_new = next.text.as_ref().map(|_| next.record.last.to_string());
        let mut args: Vec<Vec<u8>> = [
            name.to_owned(),
            from.map(|from| from.to_string()).unwrap_or_default(),
            format!("{} {json}", next.record.generation),
            format!("{mark:016x}"),
            NAMES_MAX.to_string(),
            is_new.unwrap_or_default(),
            next.text.clone().unwrap_or_default(),
        ]
        .map(String::into_bytes)
        .into();
        args.extend(next.dropped.iter().map(|version| version.to_string().into_bytes()));
        let keys = [self.records_key(), self.mark_key(), self.texts_key(name)];
        let request = |way| call(way, &self.replace, REPLACE, &keys, &args);
        match self.pool.send(self.timeout, request).await.map_err(failed)? {
            1i64 => Ok(true),
            0 => Ok(false),
            _ => Err(PoliciesError::TooManyNames),
        }
    }
}

/// Calls a script by its hash, and by its text where the server does not have it.
async fn call<T: redis::FromRedisValue>(
    mut way: Way,
    script: &Script,
    text: &str,
    keys: &[String],
    args: &[Vec<u8>],
) -> RedisResult<T> {
    let call = |name: &str, script: &str| {
        let mut call = cmd(name);
        call.arg(script).arg(keys.len());
        keys.iter().for_each(|key| {
            call.arg(key);
        });
        args.iter().for_each(|arg| {
            call.arg(arg.as_slice());
        });
        call
    };
    let answer: RedisResult<Value> = call("EVALSHA", script.get_hash()).query_async(&mut way).await;
    let answer = match answer {
        // EVAL rather than SCRIPT LOAD, which a cluster's connection sends to every node, dead ones included.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            call("EVAL", text).query_async(&mut way).await?
        }
        answer => answer?,
    };
    from_redis_value(answer)
        .map_err(|error| RedisError::from((ErrorKind::UnexpectedReturnType, "a script of policies", error.to_string())))
}

/// A record as it stands in Redis.
fn record(value: &[u8]) -> Option<Record> {
    let (generation, json) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let record: Record = serde_json::from_str(json).ok()?;
    (generation.parse() == Ok(record.generation) && record.is_sound()).then_some(record)
}

fn damaged(what: &str) -> PoliciesError {
    PoliciesError::Damaged { store: KIND, why: what.to_owned() }
}

fn failed(failure: Failure) -> PoliciesError {
    match failure {
        Failure::Unreachable(why) => PoliciesError::Unreachable { store: KIND, why },
        Failure::TimedOut => PoliciesError::TimedOut { store: KIND },
        Failure::Refused(why) => PoliciesError::Refused { store: KIND, why },
    }
}
