//! What a node does not go beyond. Every limit has a name, a default, and a counter for what it turned away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest body that is stored.
    pub object_bytes_max: u32,
    /// Longest head that is stored: URL, fields, tags and what selects a variant.
    pub head_bytes_max: u32,
    /// Tags of one entry.
    pub tags_max: u32,
    /// Variants under one key; the oldest goes.
    pub variants_max: u32,
    /// Requests worked on at a time; long polls and waiting look-ups do not count.
    pub requests_max: u32,
    /// Look-ups waiting for another's fill.
    pub waiting_max: u32,
    /// Long polls on the purge log.
    pub polls_max: u32,
    /// Connections to the data plane.
    pub connections_max: u32,
    /// Connections to the admin plane.
    pub admin_connections_max: u32,
    /// Bytes of request bodies in memory at a time.
    pub bodies_bytes_max: u32,
    /// Leases held at a time.
    pub leases_max: u32,
    /// URLs and tags whose newest purge is remembered one by one; older ones fold into a floor.
    pub purges_max: u32,
    /// Workers whose place in the purge log and whose reports are remembered.
    pub workers_max: u32,
    /// Counters and gauges that workers may report, each.
    pub series_max: u32,
    /// Bytes of memory for analytics: an eighth for URLs, a sixteenth for marks, the rest for 1 s, 10 s and 5 min steps, a third each; where
    /// there is a folder, twice that on disk.
    pub analytics_bytes_max: u32,
    /// A request's body must have come by then.
    pub body_timeout_ms: u64,
    /// A request's head must have come by then; for as long, a connection may be idle.
    pub head_timeout_ms: u64,
    /// A look-up waits no longer for the store.
    pub lookup_timeout_ms: u64,
    /// Whoever stores, serves or removes waits no longer for the store.
    pub store_timeout_ms: u64,
    /// The longest lease.
    pub lease_max_ms: u64,
    /// The longest wait for another's fill.
    pub wait_max_ms: u64,
    /// The longest wait of a poll.
    pub poll_max_ms: u64,
    /// Requests that are worked on when the node is stopped may take this long.
    pub stop_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes_max: 32 << 20,
            head_bytes_max: 64 << 10,
            tags_max: 256,
            variants_max: 64,
            requests_max: 1024,
            waiting_max: 4096,
            polls_max: 4096,
            connections_max: 8192,
            admin_connections_max: 512,
            bodies_bytes_max: 256 << 20,
            leases_max: 65_536,
            purges_max: 65_536,
            workers_max: 4096,
            series_max: 8192,
            analytics_bytes_max: 64 << 20,
            body_timeout_ms: 5_000,
            head_timeout_ms: 60_000,
            lookup_timeout_ms: 40,
            store_timeout_ms: 2_000,
            lease_max_ms: 60_000,
            wait_max_ms: 30_000,
            poll_max_ms: 60_000,
            stop_timeout_ms: 10_000,
        }
    }
}

/// A message's own bytes beside a record: names, numbers.
const AROUND_BYTES: usize = 4 << 10;

impl Limits {
    /// The longest body of a request that stores.
    pub fn fill_bytes_max(&self) -> usize {
        self.object_bytes_max as usize + 2 * self.head_bytes_max as usize + AROUND_BYTES
    }

    /// The longest body of any other request.
    pub fn message_bytes_max(&self) -> usize {
        (self.head_bytes_max as usize * 4).max(1 << 20)
    }

    /// See `body_timeout_ms`.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    /// See `lookup_timeout_ms`.
    pub fn lookup_timeout(&self) -> Duration {
        Duration::from_millis(self.lookup_timeout_ms)
    }

    /// See `store_timeout_ms`.
    pub fn store_timeout(&self) -> Duration {
        Duration::from_millis(self.store_timeout_ms)
    }

    /// The limits with one set by its name.
    pub fn with(&self, name: &str, value: u64) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let names = all.as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        match all.get_mut(name) {
            Some(slot) => *slot = value.into(),
            None => return Err(format!("there is no limit {name:?}; there are {}", names.join(", "))),
        }
        serde_json::from_value(all).map_err(|error| format!("{name}={value}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_its_name_and_others_stay() {
        let limits = Limits::default().with("tags_max", 3).expect("a limit");
        assert_eq!(limits, Limits { tags_max: 3, ..Limits::default() });
        assert!(Limits::default().with("tag_max", 3).is_err_and(|error| error.contains("tags_max")));
        assert!(Limits::default().with("tags_max", 1 << 40).is_err());
    }
}
