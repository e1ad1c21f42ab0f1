//! Setting up a layer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use larder_core::edge::{Edge, Keys};
use larder_core::policy::Policy;
use larder_core::shelf::Shelf;
use larder_core::time::Millis;
use larder_core::worker::Worker;

use crate::cache::{Cache, Settings};
use crate::clock::{Clock, SystemClock};
use crate::link::{Link, Wire};
use crate::reply;
use crate::service::CacheLayer;

/// The environment variable with the keys that are shared with edges in front.
pub const EDGE_KEY_VARIABLE: &str = "LARDER_EDGE_KEY";

const NAME_DEFAULT: &str = "Larder-Origin";
const MEMORY_DEFAULT: u64 = 64 << 20;
const REFRESHES_DEFAULT: usize = 64;
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What a layer is made of. Everything has a default but the policy.
///
/// ```
/// use std::time::Duration;
/// use larder_origin::CacheLayer;
///
/// let cache = CacheLayer::builder()
///     .policy(r#"{ "version": 1, "name": "shop", "defaults": { "ttl": "60s" } }"#)
///     .memory(16 << 20)
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// # Ok::<(), larder_origin::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct Builder {
    policy: Source,
    memory: u64,
    name: String,
    scheme: Scheme,
    timeout: Option<Duration>,
    refreshes_max: usize,
    lookup_timeout: Duration,
    purge_lag_max: Duration,
    follow_policies: bool,
    edge_keys: Option<String>,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "cluster")]
    cluster: Vec<String>,
}

#[derive(Clone)]
enum Source {
    None,
    Text(String),
    File(PathBuf),
}

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No policy was given.
    #[error("a policy is needed: give it by `policy` or `policy_file`")]
    NoPolicy,
    /// The policy's file cannot be read.
    #[error("cannot read the policy {}: {source}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The policy is refused: an error a line, each with line and column, and with the file's name where it was read from one.
    #[error("the policy is refused:\n{0}")]
    Policy(String),
    /// The keys shared with edges are of no use.
    #[error("{EDGE_KEY_VARIABLE}: {0}")]
    EdgeKey(String),
    /// The cache's name does not fit into `Cache-Status` (RFC 9211 2: a token).
    #[error("{0:?} cannot name a cache: write a token, such as Larder-Origin")]
    Name(String),
    /// A URL names no cluster.
    #[cfg(feature = "cluster")]
    #[error("{url:?} names no node: {why}")]
    Cluster {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A store, or the purge log that goes with it, cannot be opened.
    #[cfg(feature = "store")]
    #[error("cannot open the store: {0}")]
    Store(String),
    /// The system has no random numbers.
    #[error("no randomness: {0}")]
    Random(String),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            policy: Source::None,
            memory: MEMORY_DEFAULT,
            name: NAME_DEFAULT.to_owned(),
            scheme: Scheme::HTTP,
            timeout: None,
            refreshes_max: REFRESHES_DEFAULT,
            lookup_timeout: Duration::from_millis(50),
            purge_lag_max: Duration::from_secs(5),
            follow_policies: true,
            edge_keys: std::env::var(EDGE_KEY_VARIABLE).ok().filter(|keys| !keys.is_empty()),
            clock: Arc::new(SystemClock),
            #[cfg(feature = "cluster")]
            cluster: Vec::new(),
        }
    }

    /// The policy, as JSON.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policy = Source::Text(json.into());
        self
    }

    /// The policy's file, read when the layer is built.
    pub fn policy_file(mut self, path: impl AsRef<Path>) -> Self {
        self.policy = Source::File(path.as_ref().to_owned());
        self
    }

    /// Memory for stored responses, in bytes. Default: 64 MiB.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// What this cache is called in `Cache-Status` (RFC 9211). Default: `Larder-Origin`.
    pub fn cache_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Requests that do not name a scheme came over TLS: URLs are `https` ones for purges, and for edges that share the cluster.
    /// HTTP/1.1 requests do not name one. Default: `http`.
    pub fn https(mut self) -> Self {
        self.scheme = Scheme::HTTPS;
        self
    }

    /// The inner service's response head must come within this; else what is stored stands in where the policy allows it
    /// (RFC 5861 4), and the client gets 504 where it does not. Default: no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Background refreshes at a time; beyond it, stale responses stay stale for now. Default: 64.
    pub fn refreshes_max(mut self, count: usize) -> Self {
        self.refreshes_max = count;
        self
    }

    /// The keys shared with Larder edges in front, separated by commas; each of at least 16 bytes. A request that carries a marker
    /// made with one of them gets validators and tags, and is stored by the edge instead of here. Default: those in the
    /// environment variable `LARDER_EDGE_KEY`, where it is set; without, no marker is believed.
    pub fn edge_keys(mut self, keys: impl Into<String>) -> Self {
        self.edge_keys = Some(keys.into());
        self
    }

    /// The clock, for tests on simulated time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The HTTP cache cluster to share what is stored with: the URLs of its nodes' data planes (`http://10.0.0.1:9901`). Named as
    /// Envoy knows them, each key has the node here that it has there.
    #[cfg(feature = "cluster")]
    pub fn cluster(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.cluster.extend(urls.into_iter().map(Into::into));
        self
    }

    /// A look-up in the cluster or store that takes longer has failed, and the inner service is asked. Default: 50 ms.
    pub fn lookup_timeout(mut self, timeout: Duration) -> Self {
        self.lookup_timeout = timeout;
        self
    }

    /// What is in memory is used only while the purge log has been heard from within this. Default: 5 s.
    pub fn purge_lag_max(mut self, lag: Duration) -> Self {
        self.purge_lag_max = lag;
        self
    }

    /// Whether policies that are pushed to the cluster under this one's name take its place, and run in its shadow. One that this layer
    /// cannot read is refused, and what was in force stays. Default: true.
    pub fn follow_policies(mut self, follow: bool) -> Self {
        self.follow_policies = follow;
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// There is no policy or it is refused, or a setting is of no use.
    pub fn build(self) -> Result<CacheLayer, BuildError> {
        #[cfg(feature = "cluster")]
        let wire = match self.cluster.as_slice() {
            [] => None,
            urls => Some(Wire::Cluster(crate::link::cluster::Cluster::new(urls)?)),
        };
        #[cfg(not(feature = "cluster"))]
        let wire = None;
        self.finish(wire)
    }

    /// The layer, sharing what it stores by a store: `memory:`, `disk:/folder`, `redis://host`, `memcached://host`, each where its
    /// feature is on. Purges are kept beside it, so that all layers and nodes with the same Redis know each other's. Several
    /// processes cannot share a folder.
    ///
    /// A server that does not answer now is no error, except where it keeps the purges.
    ///
    /// # Errors
    /// As [`Builder::build`], and where the store or its purge log cannot be opened.
    #[cfg(feature = "store")]
    pub async fn build_with_store(self, url: &str) -> Result<CacheLayer, BuildError> {
        let bad = |error: &dyn std::fmt::Display| BuildError::Store(error.to_string());
        let store = larder_node::store::open(url).await.map_err(|error| bad(&error))?;
        let log_url = larder_node::log::beside(url);
        let log = larder_node::log::open(&log_url).await.map_err(|error| bad(&error))?;
        // Where nodes have the same Redis, policies are pushed to them. A folder is this process's alone, so nobody pushes there.
        let policies =
            if url.starts_with("redis") { larder_node::policies::beside(&log_url) } else { "memory:".to_owned() };
        let policies = larder_node::policies::open(&policies).await.map_err(|error| bad(&error))?;
        let node = larder_node::Embedded::start(store, log, policies, larder_node::Limits::default()).await;
        self.finish(Some(Wire::Node(node.map_err(|error| bad(&error))?)))
    }

    fn finish(self, wire: Option<Wire>) -> Result<CacheLayer, BuildError> {
        let policy = match &self.policy {
            Source::None => return Err(BuildError::NoPolicy),
            Source::Text(text) => parse(text)?,
            Source::File(file) => parse_file(file)?,
        };
        let mut worker = Worker::new(self.memory, seed()?);
        worker.name = name(self.name)?;
        worker.follows = true;
        worker.shelf = Shelf::with_made_heads(self.memory, seed()?, reply::LINE_BYTES);
        if let Some(keys) = &self.edge_keys {
            worker.edge = Edge::heeding(Keys::parse(keys).map_err(BuildError::EdgeKey)?);
        }
        let millis = |duration: Duration| Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        if wire.is_some() {
            worker.use_cluster(Some(larder_core::cluster::Settings {
                timeout: millis(self.lookup_timeout),
                purge_lag_max: millis(self.purge_lag_max),
                reroute_above: None,
            }));
        }
        let settings = Settings {
            scheme: self.scheme,
            timeout: self.timeout,
            refresh_timeout: REFRESH_TIMEOUT,
            stall_timeout: STALL_TIMEOUT,
        };
        let link = wire.map(|wire| Link::new(wire, worker.name, seed().unwrap_or_default()));
        let follows = self.follow_policies && link.is_some() && !policy.name.is_empty();
        let cache = Cache::new(worker, policy, self.clock, settings, self.refreshes_max, link);
        if follows {
            cache.follow_policies();
        }
        Ok(CacheLayer::new(cache))
    }
}

impl std::fmt::Debug for Builder {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("memory", &self.memory).field("name", &self.name).finish_non_exhaustive()
    }
}

pub(crate) fn parse(text: &str) -> Result<Arc<Policy>, BuildError> {
    Policy::parse(text).map(Arc::new).map_err(|errors| BuildError::Policy(errors.to_string()))
}

/// Errors begin with the file's name.
fn parse_file(file: &Path) -> Result<Arc<Policy>, BuildError> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|source| BuildError::File { file: file.to_owned(), source })?;
    let refused = |errors: larder_core::policy::PolicyErrors| errors.in_file(&file.to_string_lossy()).to_string();
    Policy::parse(&text).map(Arc::new).map_err(|errors| BuildError::Policy(refused(errors)))
}

/// Caches are few and live as long as the process does: their names may, too.
fn name(name: String) -> Result<&'static str, BuildError> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*');
    let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
    if name == NAME_DEFAULT {
        Ok(NAME_DEFAULT)
    } else if begins && name.chars().all(good) {
        Ok(name.leak())
    } else {
        Err(BuildError::Name(name))
    }
}

fn seed() -> Result<u64, BuildError> {
    getrandom::u64().map_err(|error| BuildError::Random(error.to_string()))
}
