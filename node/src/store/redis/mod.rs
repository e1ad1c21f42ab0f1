//! The store on Redis or Valkey: one server, the master that Sentinels name, or a Cluster, which does its own sharding.
//!
//! A value is one string with a time to live; its name with the prefix is the key. Many values are asked for together. How long
//! anything may take and when a connection is given up is `redis_link`'s matter; what a value looks like is `form`'s.
//!
//! Reads go to masters only: a replica may have what was removed. A read has the time limit whatever its size, since nothing is
//! known of that before the answer; whoever stores values of many megabytes across a slow network raises `timeout`.

pub(crate) mod form;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{RedisResult, Value, cmd, from_redis_value};

use super::{Name, Store, StoreError, Usage};
use crate::redis_link::{Address, Connector, Failure, Pool, Way};

/// What the store calls itself.
pub const KIND: &str = "redis";

/// The largest value it takes. Redis would take 512 MiB; a server that sends one of them sends nothing else meanwhile.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// Time for an answer where the URL does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_millis(100);

/// Connections where the URL does not say. Each carries many requests at a time; two let a large value not stand in the way of all.
const CONNECTIONS_DEFAULT: usize = 2;
const CONNECTIONS_MAX: usize = 64;

/// Names asked for by one command.
const NAMES_AT_ONCE: usize = 128;

/// Bytes for which a put is given the time limit once more.
const LIMIT_BYTES: usize = 1_000_000;

/// The longest time to live: ten years. Redis refuses what overflows its clock.
const KEEP_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A store in Redis or Valkey.
pub struct RedisStore {
    pool: Pool,
    timeout: Duration,
    prefix: String,
}

impl RedisStore {
    /// Opens the store at a URL. Where Redis does not answer now, the store is there and says so until it does.
    pub async fn open(url: &str) -> Result<Self, String> {
        let mut address = Address::parse(url, TIMEOUT_DEFAULT)?;
        let connections = address.number("connections", CONNECTIONS_DEFAULT, CONNECTIONS_MAX)?;
        address.finish("connections")?;
        let (connect, timeout, prefix) = (address.connect, address.timeout, address.prefix.clone());
        let connector = Connector::new(address)?;
        // Long enough for a Redis that is there.
        let pool = Pool::new(&connector, connections, connect + timeout).await;
        Ok(Self { pool, timeout, prefix })
    }

    /// No name holds a brace, so in a cluster the whole key decides its slot.
    fn key(&self, name: &Name) -> String {
        format!("{}:{}", self.prefix, name.as_str())
    }

    async fn command(&self, limit: Duration, command: &redis::Cmd) -> Result<Value, StoreError> {
        let sent = self.pool.send(limit, |mut way| async move { command.query_async(&mut way).await });
        sent.await.map_err(failed)
    }
}

#[async_trait]
impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.key(name));
        value(self.command(self.timeout, &get).await?)
    }

    async fn get_many(&self, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut values = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES_AT_ONCE) {
            let mut get = cmd("MGET");
            for name in names {
                get.arg(self.key(name));
            }
            // In a cluster, one request for every slot, all at once.
            let Value::Array(answers) = self.command(self.timeout, &get).await? else { return Err(odd()) };
            if answers.len() != names.len() {
                return Err(odd());
            }
            for answer in answers {
                values.push(value(answer)?);
            }
        }
        Ok(values)
    }

    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError> {
        if value.len() > VALUE_BYTES_MAX {
            let (bytes, bytes_max) = (value.len() as u64, VALUE_BYTES_MAX as u64);
            return Err(StoreError::TooLarge { store: KIND, bytes, bytes_max });
        }
        let keep_ms = keep.min(KEEP_MAX).as_millis() as u64;
        if keep_ms == 0 {
            return self.remove(name).await;
        }
        let mut set = cmd("SET");
        set.arg(self.key(name)).arg(form::wrap(&value)).arg("PX").arg(keep_ms);
        let times = u32::try_from(1 + value.len() / LIMIT_BYTES).unwrap_or(u32::MAX);
        match self.command(self.timeout.saturating_mul(times), &set).await? {
            Value::Okay => Ok(()),
            _ => Err(odd()),
        }
    }

    async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut unlink = cmd("UNLINK");
        unlink.arg(self.key(name));
        self.command(self.timeout, &unlink).await.map(drop)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.pool.send(self.timeout, ping).await.map_err(failed)
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    async fn close(&self) -> Result<(), StoreError> {
        // What was acknowledged is Redis's already.
        Ok(())
    }
}

/// Whether somebody answers. A cluster's connection would send PING to every node and fail for one that is dead.
async fn ping(way: Way) -> RedisResult<()> {
    let ping = cmd("PING");
    match way {
        Way::One(mut connection) => ping.query_async(&mut connection).await,
        Way::Cluster(mut connection) => {
            let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
            connection.route_command(ping, any).await?.extract_error().map(drop)
        }
    }
}

fn value(answer: Value) -> Result<Option<Bytes>, StoreError> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(item) => Ok(form::unwrap(item)),
        Value::ServerError(error) => Err(failed(Failure::from(redis::RedisError::from(error)))),
        other => from_redis_value::<Vec<u8>>(other).map(form::unwrap).map_err(|_| odd()),
    }
}

fn odd() -> StoreError {
    StoreError::Refused { store: KIND, why: "an answer that does not belong to the question".to_owned() }
}

fn failed(failure: Failure) -> StoreError {
    match failure {
        Failure::Unreachable(why) => StoreError::Unreachable { store: KIND, why },
        Failure::TimedOut => StoreError::TimedOut { store: KIND },
        Failure::Refused(why) => StoreError::Refused { store: KIND, why },
    }
}
