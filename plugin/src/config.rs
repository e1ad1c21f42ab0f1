//! The plugin's configuration: a policy, bare or inside an object with the plugin's own settings.
//!
//! ```json
//! { "policy": { "version": 1, ... }, "l1_bytes": "16MiB", "tick": "100ms",
//!   "hold": true,
//!   "refresh": { "timeout": "10s", "in_flight_max": 64, "cluster": "shop" },
//!   "cluster": { "name": "larder_nodes", "timeout": "50ms", "purge_lag_max": "5s", "poll": "2s", "reroute_above": "64KiB",
//!                "policies": "follow" } }
//! ```
//! `policy` may also be a string with the policy's text. Everything but the policy has a default. What a policy means is the
//! core's business; this only finds its text and says what is wrong with the rest.

use std::sync::Arc;

use larder_core::Policy;
use larder_core::time::Millis;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::value::RawValue;

/// What a root is configured with.
#[derive(Debug)]
pub struct Settings {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Memory for stored responses, per worker.
    pub l1_bytes: u64,
    /// Period of housekeeping: deadlines of waiting requests, counters, purges.
    pub tick: Millis,
    /// Background refreshes.
    pub refresh: RefreshSettings,
    /// Whether heads are held back until their body is known, which wants `allow_on_headers_stop_iteration: true` around the plugin.
    pub hold: bool,
    /// The HTTP cache cluster, where there is one.
    pub cluster: Option<ClusterSettings>,
}

/// How the cluster is reached and used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// Envoy's name of the cluster of nodes.
    pub name: String,
    /// A look-up that is not answered by then has failed.
    #[serde(default = "timeout_default", deserialize_with = "duration")]
    pub timeout: Millis,
    /// What is in memory is used only while the purge log has been heard from within this.
    #[serde(default = "purge_lag_max_default", deserialize_with = "duration")]
    pub purge_lag_max: Millis,
    /// How long a node may wait for something new in the purge log before it answers.
    #[serde(default = "poll_default", deserialize_with = "duration")]
    pub poll: Millis,
    /// Longer bodies are fetched by Envoy itself, by a route for requests with `x-larder-serve`; without this none are.
    #[serde(default, deserialize_with = "optional_bytes")]
    pub reroute_above: Option<u64>,
    /// Whether policies that are pushed to the cluster under the configured one's name take its place.
    #[serde(default)]
    pub policies: PushedPolicies,
}

/// What becomes of policies that are pushed to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushedPolicies {
    /// They are taken up.
    #[default]
    Follow,
    /// What was configured stays in force.
    Ignore,
}

impl Settings {
    /// The name under which policies are taken up from the cluster.
    pub fn follows(&self) -> Option<&str> {
        let follows = self.cluster.as_ref().is_some_and(|cluster| cluster.policies == PushedPolicies::Follow);
        (follows && !self.policy.name.is_empty()).then_some(&self.policy.name)
    }
}

impl ClusterSettings {
    /// As the core wants them.
    pub fn for_core(&self) -> larder_core::cluster::Settings {
        larder_core::cluster::Settings {
            timeout: self.timeout,
            purge_lag_max: self.purge_lag_max,
            reroute_above: self.reroute_above.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
        }
    }
}

/// How stored responses are refreshed in the background.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshSettings {
    /// After this long a call is given up.
    #[serde(deserialize_with = "duration")]
    pub timeout: Millis,
    /// Calls at the same time, per worker.
    pub in_flight_max: usize,
    /// The cluster to call, where it is not the one that the route of the request names.
    pub cluster: Option<String>,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self { timeout: Millis(10_000), in_flight_max: 64, cluster: None }
    }
}

/// The most that fits beside everything else in Envoy's gigabyte per VM.
const L1_BYTES_MAX: u64 = 768 << 20;
const TICK_MIN: Millis = Millis(10);
const TICK_MAX: Millis = Millis(10_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(borrow)]
    policy: &'a RawValue,
    #[serde(default = "l1_bytes_default", deserialize_with = "bytes")]
    l1_bytes: u64,
    #[serde(default = "tick_default", deserialize_with = "duration")]
    tick: Millis,
    #[serde(default)]
    refresh: RefreshSettings,
    #[serde(default = "hold_default")]
    hold: bool,
    #[serde(default)]
    cluster: Option<ClusterSettings>,
}

/// Members of the configuration, to tell a bare policy from one with settings around it.
#[derive(Default, Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    policy: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

const fn l1_bytes_default() -> u64 {
    16 << 20
}

const fn timeout_default() -> Millis {
    Millis(50)
}

const fn purge_lag_max_default() -> Millis {
    Millis(5000)
}

const fn poll_default() -> Millis {
    Millis(2000)
}

const fn hold_default() -> bool {
    true
}

const fn tick_default() -> Millis {
    Millis(100)
}

impl Settings {
    /// Reads the configuration. Every line of the error is for a log line of its own.
    pub fn parse(configuration: &[u8]) -> Result<Self, Vec<String>> {
        let text = std::str::from_utf8(configuration).map_err(|_| vec![not_text(configuration)])?;
        if text.trim().is_empty() {
            return Err(vec!["no configuration: the plugin needs a policy (a StringValue with JSON)".into()]);
        }
        let glance: Glance<'_> = match serde_json::from_str(text) {
            Ok(glance) => glance,
            Err(_) if looks_like_struct(configuration) => return Err(vec![not_text(configuration)]),
            // The core's own reader says better what is wrong.
            Err(_) => Glance::default(),
        };
        if glance.policy.is_none()
            && (glance.version.is_some() || serde_json::from_str::<de::IgnoredAny>(text).is_err())
        {
            return Ok(Self {
                policy: policy(text)?,
                l1_bytes: l1_bytes_default(),
                tick: tick_default(),
                refresh: RefreshSettings::default(),
                hold: hold_default(),
                cluster: None,
            });
        }
        let outer: Outer<'_> = serde_json::from_str(text).map_err(|error| vec![format!("configuration: {error}")])?;
        let inner: Option<String> = serde_json::from_str(outer.policy.get()).ok();
        let settings = Self {
            policy: policy(inner.as_deref().unwrap_or(outer.policy.get()))?,
            l1_bytes: outer.l1_bytes,
            tick: outer.tick,
            refresh: outer.refresh,
            hold: outer.hold,
            cluster: outer.cluster,
        };
        settings.within_limits()
    }

    fn within_limits(self) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        if self.l1_bytes > L1_BYTES_MAX {
            wrong.push("configuration: l1_bytes: at most 768MiB, Envoy gives a VM one gigabyte".to_owned());
        }
        if self.tick < TICK_MIN || self.tick > TICK_MAX {
            wrong.push("configuration: tick: from 10ms to 10s".to_owned());
        }
        if self.refresh.timeout < TICK_MIN || self.refresh.timeout > Millis(600_000) {
            wrong.push("configuration: refresh.timeout: from 10ms to 10m".to_owned());
        }
        if let Some(cluster) = &self.cluster {
            if cluster.name.is_empty() {
                wrong.push("configuration: cluster.name: the name of a cluster in Envoy's configuration".to_owned());
            }
            if cluster.timeout < Millis(1) || cluster.timeout > Millis(10_000) {
                wrong.push("configuration: cluster.timeout: from 1ms to 10s".to_owned());
            }
            if cluster.poll < Millis(100) || cluster.poll > Millis(60_000) {
                wrong.push("configuration: cluster.poll: from 100ms to 60s".to_owned());
            }
            if cluster.purge_lag_max <= cluster.poll {
                wrong.push(
                    "configuration: cluster.purge_lag_max: more than cluster.poll, or what is in memory is never used"
                        .to_owned(),
                );
            }
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}

fn policy(text: &str) -> Result<Arc<Policy>, Vec<String>> {
    match Policy::parse(text) {
        Ok(policy) => Ok(Arc::new(policy)),
        Err(errors) => Err(errors.in_file("policy").to_string().lines().map(str::to_owned).collect()),
    }
}

/// A Struct arrives as serialised protobuf: a newline (the tag of its first field), then lengths.
fn looks_like_struct(configuration: &[u8]) -> bool {
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    configuration.first() == Some(&b'\n') && configuration.iter().any(control)
}

fn not_text(configuration: &[u8]) -> String {
    if looks_like_struct(configuration) {
        "the configuration is a google.protobuf.Struct, which reaches plugins as bytes without its JSON; \
         give it as \"@type\": type.googleapis.com/google.protobuf.StringValue with the JSON in `value`"
            .into()
    } else {
        "the configuration is not UTF-8 text".into()
    }
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    quantity(from, &units, "a size such as \"16MiB\"")
}

fn optional_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    bytes(from).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    quantity(from, &units, "a duration such as \"10s\" or \"100ms\"").map(Millis)
}

fn quantity<'de, D: Deserializer<'de>>(from: D, units: &[(&str, u64)], expected: &str) -> Result<u64, D::Error> {
    let text = String::deserialize(from).map_err(|_| de::Error::custom(format!("expected {expected}")))?;
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*factor)
    });
    parsed.ok_or_else(|| de::Error::custom(format!("expected {expected}, found {text:?}")))
}
