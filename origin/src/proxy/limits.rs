//! What a proxy does not go beyond. Every limit has a name and a default; times are in milliseconds, sizes in bytes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Connections of clients; further ones wait to be accepted.
    pub connections_max: u32,
    /// Requests of one HTTP/2 connection at a time.
    pub streams_max: u32,
    /// A head's bytes, of requests and responses; at least 8192.
    pub head_bytes_max: u32,
    /// Fields of a head.
    pub fields_max: u32,
    /// A request's body; 0 for as long as it likes.
    pub body_bytes_max: u64,
    /// Connections to one origin that are kept though nobody uses them.
    pub pooled_max: u32,
    /// A client's TLS handshake must be done by then.
    pub handshake_timeout_ms: u64,
    /// A request's head must have come by then; for as long, an HTTP/1.1 connection may be idle.
    pub head_timeout_ms: u64,
    /// An HTTP/2 connection of a client may be idle for this long.
    pub client_idle_ms: u64,
    /// Connecting to an origin takes no longer: name, TCP and TLS together.
    pub connect_timeout_ms: u64,
    /// The origin's response must have begun by then, counted from the last byte of the request.
    pub response_timeout_ms: u64,
    /// Whoever sends a body sends something this often, and whoever receives one takes something.
    pub body_idle_ms: u64,
    /// An origin asked with `Expect: 100-continue` may say nothing for this long; then the body is sent (RFC 9110 10.1.1).
    pub continue_timeout_ms: u64,
    /// A connection to an origin is kept unused for this long.
    pub pool_idle_ms: u64,
    /// An origin that could not be connected to is passed over for this long, where there are others.
    pub rest_ms: u64,
    /// A tunnel (an upgraded connection) may be silent for this long.
    pub tunnel_idle_ms: u64,
    /// Requests that are worked on when the proxy is stopped may take this long, and tunnels stay open for as long.
    pub stop_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            streams_max: 128,
            head_bytes_max: 64 << 10,
            fields_max: 100,
            body_bytes_max: 0,
            pooled_max: 256,
            handshake_timeout_ms: 10_000,
            head_timeout_ms: 60_000,
            client_idle_ms: 180_000,
            connect_timeout_ms: 5_000,
            response_timeout_ms: 60_000,
            body_idle_ms: 60_000,
            continue_timeout_ms: 1_000,
            pool_idle_ms: 60_000,
            rest_ms: 5_000,
            tunnel_idle_ms: 3_600_000,
            stop_timeout_ms: 10_000,
        }
    }
}

/// What hyper needs at least for a head.
const HEAD_BYTES_MIN: u32 = 8192;

impl Limits {
    /// The limits with one set by its name.
    ///
    /// # Errors
    ///
    /// Where there is no limit of that name, or it cannot take that value; the text says which there are.
    pub fn with(&self, name: &str, value: u64) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let names = all.as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        match all.get_mut(name) {
            Some(slot) => *slot = value.into(),
            None => return Err(format!("there is no limit {name:?}; there are {}", names.join(", "))),
        }
        let limits: Self = serde_json::from_value(all).map_err(|error| format!("{name}={value}: {error}"))?;
        if limits.head_bytes_max < HEAD_BYTES_MIN {
            return Err(format!("{name}={value}: at least {HEAD_BYTES_MIN}"));
        }
        let counts = [limits.connections_max, limits.streams_max, limits.fields_max];
        if value == 0 && (name.ends_with("_ms") || counts.contains(&0)) {
            return Err(format!("{name}=0: at least 1"));
        }
        Ok(limits)
    }

    /// A head's bytes, as hyper takes them.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes_max.max(HEAD_BYTES_MIN) as usize
    }

    /// A request's body, where there is a limit.
    pub(super) fn body_bytes(&self) -> Option<u64> {
        (self.body_bytes_max > 0).then_some(self.body_bytes_max)
    }
}

/// Milliseconds as a time.
pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_its_name_and_others_stay() {
        let limits = Limits::default().with("body_bytes_max", 3).expect("a limit");
        assert_eq!(limits, Limits { body_bytes_max: 3, ..Limits::default() });
        assert!(Limits::default().with("body_max", 3).is_err_and(|error| error.contains("body_bytes_max")));
        for (name, value) in
            [("streams_max", 1 << 40), ("streams_max", 0), ("head_bytes_max", 100), ("response_timeout_ms", 0)]
        {
            assert!(Limits::default().with(name, value).is_err(), "{name}={value}");
        }
    }
}
