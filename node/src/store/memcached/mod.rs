//! The store on Memcached: several servers, each name on one of them.
//!
//! A name's server is found by rendezvous hashing over the servers' addresses, so that every node finds the same one whatever order they
//! are listed in, and a server more or less moves its own share of names only. A server that is dead costs its names (errors, at once) and
//! nobody else's. What an item looks like is `form`'s matter, the protocol `connection`'s, time limits and pauses `server`'s.
//!
//! Memcached counts expiry in whole seconds and keeps 0 for ever: spans are rounded down, and what is to be kept for less than a second is not
//! kept. Parts of a large value that was replaced or removed stay until they expire or Memcached needs their space: finding
//! them would cost a read at every put.
//!
//! Why our own client: async-memcached 0.9, the maintained asynchronous one, knows one connection without time limits, pool, reconnect or a
//! bound on what it reads, which is nearly all that is here; four commands of the text protocol remain. (vmemcached, bb8-memcached and
//! memcache-async lack the same and are older; `memcache` 0.21 has hashing over servers, and blocks.) The text protocol and not the meta
//! commands, since proxies and Memcached's kin all have it.

mod connection;
pub(crate) mod form;
mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use twox_hash::XxHash3_64;

use self::connection::{Answer, Item, Request};
use self::form::{Form, Head, PART_BYTES, VALUE_BYTES_MAX};
use self::server::{Limits, Server};
use super::{Name, Store, StoreError, Usage};
use crate::clock::Clock;

/// What the Memcached store calls itself.
pub const KIND: &str = "memcached";

/// Memcached's port.
pub const PORT: u16 = 11211;

/// Connections to a server at most, whatever is configured: Memcached itself takes 1024 from everybody.
pub const CONNECTIONS_MAX: usize = 1024;

/// Keys asked for by one command.
const KEYS_AT_ONCE: usize = 100;

/// So many are taken to be a million bytes together, for the time limit.
const KEYS_A_MEGABYTE: usize = 8;

/// Parts asked for by one command.
const PARTS_AT_ONCE: usize = 8;

/// The longest span Memcached takes for one; more is a date.
const SPAN_SECONDS_MAX: u64 = 30 * 24 * 3600;

/// How to use the servers.
#[derive(Clone, Debug)]
pub struct MemcachedOptions {
    /// For a connection to be made.
    pub connect: Duration,
    /// For an operation on a small value; a large one has as much for each million bytes.
    pub timeout: Duration,
    /// Connections to each server at most.
    pub connections: usize,
}

impl Default for MemcachedOptions {
    fn default() -> Self {
        Self { connect: Duration::from_millis(250), timeout: Duration::from_millis(100), connections: 16 }
    }
}

/// `memcached:`, the store on other machines' memory.
pub struct MemcachedStore {
    servers: Arc<[Server]>,
    /// Of each server, in their order: what tells them apart in rendezvous hashing.
    seeds: Vec<u64>,
    clock: Box<dyn Clock>,
}

impl MemcachedStore {
    /// A store on these servers (host and port each). Connects when it is first used.
    pub fn new(servers: &[String], options: &MemcachedOptions, clock: impl Clock) -> Self {
        let limits = Limits {
            connect: options.connect,
            operation: options.timeout,
            connections: options.connections.clamp(1, CONNECTIONS_MAX),
        };
        Self {
            seeds: servers.iter().map(|address| XxHash3_64::oneshot(address.as_bytes())).collect(),
            servers: servers.iter().map(|address| Server::new(address.clone(), limits)).collect(),
            clock: Box::new(clock),
        }
    }

    /// The largest value it takes.
    pub fn value_bytes_max(&self) -> u64 {
        VALUE_BYTES_MAX as u64
    }

    /// Which server a name is on.
    pub fn server_of(&self, name: &Name) -> Option<&str> {
        Some(self.servers.get(self.place(name)?)?.address())
    }

    fn place(&self, name: &Name) -> Option<usize> {
        let weight = |seed: &u64| XxHash3_64::oneshot_with_seed(*seed, name.as_str().as_bytes());
        self.seeds.iter().enumerate().max_by_key(|(_, seed)| weight(seed)).map(|(place, _)| place)
    }

    fn server(&self, name: &Name) -> Result<&Server, StoreError> {
        self.place(name).and_then(|place| self.servers.get(place)).ok_or_else(no_server)
    }

    /// How Memcached is told of a span; `None` is not at all.
    fn expires(&self, keep: Duration) -> Option<u64> {
        match keep.as_secs() {
            0 => None,
            span @ ..=SPAN_SECONDS_MAX => Some(span),
            // Memcached keeps dates in 32 bits with a sign.
            span => Some(self.clock.now().as_secs().saturating_add(span).min(i32::MAX as u64)),
        }
    }
}

#[async_trait]
impl Store for MemcachedStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError> {
        let mut values = values(self.server(name)?, std::slice::from_ref(name)).await?;
        Ok(values.pop().flatten())
    }

    async fn get_many(&self, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut places: Vec<Vec<usize>> = self.servers.iter().map(|_| Vec::new()).collect();
        for (index, name) in names.iter().enumerate() {
            let of_server = self.place(name).and_then(|place| places.get_mut(place)).ok_or_else(no_server)?;
            of_server.push(index);
        }
        let mut tasks = JoinSet::new();
        for (place, indices) in places.into_iter().enumerate().filter(|(_, indices)| !indices.is_empty()) {
            let servers = self.servers.clone();
            let names: Vec<Name> = indices.iter().filter_map(|index| names.get(*index)).cloned().collect();
            tasks.spawn(async move {
                let server = servers.get(place).ok_or_else(no_server)?;
                Ok::<_, StoreError>((indices, values(server, &names).await?))
            });
        }
        let mut all = vec![None; names.len()];
        while let Some(done) = tasks.join_next().await {
            let stopped =
                |error: tokio::task::JoinError| StoreError::Unreachable { store: KIND, why: error.to_string() };
            let (indices, values) = done.map_err(stopped)??;
            for (index, value) in indices.into_iter().zip(values) {
                if let Some(place) = all.get_mut(index) {
                    *place = value;
                }
            }
        }
        Ok(all)
    }

    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError> {
        let (bytes, bytes_max) = (value.len() as u64, self.value_bytes_max());
        if bytes > bytes_max {
            return Err(StoreError::TooLarge { store: KIND, bytes, bytes_max });
        }
        let Some(expires) = self.expires(keep) else {
            return self.remove(name).await;
        };
        let server = self.server(name)?;
        let item = |key: String, before: Bytes, value: Bytes| Item { key, expires, before, value };
        if value.len() <= PART_BYTES {
            let before = form::before_whole(name, &value);
            let item = item(name.as_str().to_owned(), before, value);
            server.ask(&Request::Set(&[item]), 1).await?;
            return Ok(());
        }
        let generation = getrandom::u64()
            .map_err(|error| StoreError::Refused { store: KIND, why: format!("no random number: {error}") })?;
        let head = Head::new(name, &value, generation);
        // The head last: whoever finds it finds its parts.
        let mut items: Vec<Item> = head
            .keys(name)
            .into_iter()
            .zip(form::cut(&value))
            .map(|(key, part)| item(key, Bytes::new(), part))
            .collect();
        items.push(item(name.as_str().to_owned(), head.encode(), Bytes::new()));
        server.ask(&Request::Set(&items), megabytes(items.len())).await?;
        Ok(())
    }

    async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        self.server(name)?.ask(&Request::Delete(name.as_str()), 1).await?;
        Ok(())
    }

    /// It would answer for some names at least. (A node with one of several servers dead is still of use.)
    async fn check(&self) -> Result<(), StoreError> {
        let mut failed = Err(no_server());
        for server in self.servers.iter() {
            match server.ask(&Request::Version, 1).await {
                Ok(_) => return Ok(()),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.servers.iter().for_each(Server::close);
        Ok(())
    }
}

/// The values under names that are all on one server.
async fn values(server: &Server, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
    let mut values = Vec::with_capacity(names.len());
    for names in names.chunks(KEYS_AT_ONCE) {
        let keys: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
        let items = items(server, &keys, megabytes(keys.len().div_ceil(KEYS_A_MEGABYTE))).await?;
        for (name, item) in names.iter().zip(items) {
            values.push(match item.and_then(|item| form::read(name, &item)) {
                Some(Form::Whole(value)) => Some(value),
                Some(Form::Parts(head)) => joined(server, name, &head).await?,
                None => None,
            });
        }
    }
    Ok(values)
}

async fn joined(server: &Server, name: &Name, head: &Head) -> Result<Option<Bytes>, StoreError> {
    let mut parts = Vec::new();
    for keys in head.keys(name).chunks(PARTS_AT_ONCE) {
        for part in items(server, keys, megabytes(keys.len())).await? {
            // One part gone is the value gone.
            let Some(part) = part else { return Ok(None) };
            parts.push(part);
        }
    }
    Ok(head.join(name, &parts))
}

async fn items(server: &Server, keys: &[String], megabytes: u32) -> Result<Vec<Option<Bytes>>, StoreError> {
    match server.ask(&Request::Get(keys), megabytes).await? {
        Answer::Items(items) => Ok(items),
        Answer::Done | Answer::Refused(_) => Ok(vec![None; keys.len()]),
    }
}

fn megabytes(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn no_server() -> StoreError {
    StoreError::Unreachable { store: KIND, why: "no server is listed".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn store(servers: &[&str]) -> MemcachedStore {
        let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
        MemcachedStore::new(&servers, &MemcachedOptions::default(), ManualClock::new())
    }

    fn names() -> impl Iterator<Item = Name> {
        (0..3000).map(|number| Name::new(&format!("n{number}")).expect("a name"))
    }

    #[test]
    fn names_are_spread_and_the_order_of_servers_does_not_matter() {
        let (one, other) = (store(&["a:1", "b:1", "c:1"]), store(&["c:1", "a:1", "b:1"]));
        let mut on_a = 0;
        for name in names() {
            assert_eq!(one.server_of(&name), other.server_of(&name));
            on_a += usize::from(one.server_of(&name) == Some("a:1"));
        }
        assert!((900..1100).contains(&on_a), "{on_a}");
    }

    #[test]
    fn a_server_less_moves_only_its_own_names() {
        let (before, after) = (store(&["a:1", "b:1", "c:1"]), store(&["a:1", "c:1"]));
        for name in names().filter(|name| before.server_of(name) != Some("b:1")) {
            assert_eq!(before.server_of(&name), after.server_of(&name));
        }
    }

    #[test]
    fn memcached_is_told_a_span_or_a_date() {
        let store = store(&["a:1"]);
        let now = ManualClock::new().now().as_secs();
        let day = 24 * 3600;
        for (seconds, expected) in [
            (0, None),
            (1, Some(1)),
            (30 * day, Some(30 * day)),
            (30 * day + 1, Some(now + 30 * day + 1)),
            (400 * day, Some(now + 400 * day)),
            (u64::MAX, Some(i32::MAX as u64)),
        ] {
            assert_eq!(store.expires(Duration::from_secs(seconds)), expected, "{seconds}");
        }
        assert_eq!(store.expires(Duration::from_millis(999)), None);
        assert_eq!(store.expires(Duration::from_millis(1999)), Some(1));
    }

    #[tokio::test]
    async fn without_a_server_everything_is_an_error() {
        let name = Name::new("a").expect("a name");
        store(&[]).get(&name).await.expect_err("no server");
        store(&[]).check().await.expect_err("no server");
    }
}
