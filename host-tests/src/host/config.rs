//! How the simulated Envoy is configured: the plugin's two configurations, routes, clusters, limits.
//!
//! Holds settings. Defaults are Envoy's, but for the two without which no cache works: `allow_on_headers_stop_iteration` and `FAIL_RELOAD`.

use std::time::Duration;

/// What Envoy does with requests after the VM has trapped (`failure_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// `FAIL_RELOAD`: the next request gets a fresh VM.
    Reload,
    /// `FAIL_CLOSED`: every later request gets a 503.
    Closed,
    /// `FAIL_OPEN`: later requests pass without the plugin.
    Open,
}

/// Severity of a log line, as in the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

/// A route of the simulated route table; the first that matches is taken.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) header: Option<(String, Option<String>)>,
    pub(crate) cluster: RouteCluster,
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum RouteCluster {
    Named(String),
    FromHeader(String),
}

impl Route {
    /// A route for paths that start with `prefix`, to `cluster`, with Envoy's 15 s time limit.
    pub fn new(prefix: &str, cluster: &str) -> Self {
        Self {
            name: String::new(),
            prefix: prefix.to_owned(),
            header: None,
            cluster: RouteCluster::Named(cluster.to_owned()),
            timeout: Duration::from_secs(15),
        }
    }

    /// The cluster is named by this request header (`cluster_header`).
    pub fn by_header(prefix: &str, header: &str) -> Self {
        Self { cluster: RouteCluster::FromHeader(header.to_owned()), ..Self::new(prefix, "") }
    }

    /// Matches only when the header is present, and has this value where one is given.
    #[must_use]
    pub fn when_header(mut self, name: &str, value: Option<&str>) -> Self {
        self.header = Some((name.to_owned(), value.map(str::to_owned)));
        self
    }

    /// The route's name (`xds.route_name`).
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The route's time limit; zero means none.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Settings of a [`Host`](super::Host). Every field has a default; change what a test is about.
///
/// ```
/// use larder_host_tests::host::Config;
/// let config = Config { workers: 2, ..Config::new(br#"{"version": 1}"#) };
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The plugin configuration (a StringValue's bytes), as `on_configure` reads it.
    pub plugin_config: Vec<u8>,
    /// The VM configuration, as `on_vm_start` reads it.
    pub vm_config: Vec<u8>,
    /// `vm_config.environment_variables`.
    pub environment: Vec<(String, String)>,
    /// How many worker threads, each with a VM of its own. Default 1.
    pub workers: usize,
    /// `plugin_name`.
    pub plugin_name: String,
    /// `plugin_root_id`.
    pub root_id: String,
    /// `plugin_vm_id`; shared data and queues belong to it.
    pub vm_id: String,
    /// `allow_on_headers_stop_iteration`. Default true, as a plugin that holds headers for a body needs it.
    pub allow_on_headers_stop_iteration: bool,
    /// Default [`FailurePolicy::Reload`].
    pub failure_policy: FailurePolicy,
    /// A VM younger than this is not replaced when it dies; requests get a 503 until it would be older. Default 1 s.
    pub reload_backoff: Duration,
    /// The routes. Default: everything to `origin`.
    pub routes: Vec<Route>,
    /// Clusters besides those that routes name, for calls.
    pub clusters: Vec<String>,
    /// `per_connection_buffer_limit_bytes`. Default 1 MiB.
    pub buffer_limit_bytes: usize,
    /// Largest response body of a call (`http.async_response_buffer_limit`). Default 32 MiB.
    pub call_body_limit_bytes: usize,
    /// Largest wasm memory. Default 1 GiB, Envoy's.
    pub memory_limit_bytes: usize,
    /// `stream_idle_timeout`. Default 5 minutes.
    pub stream_idle_timeout: Duration,
    /// `server_header_transformation: PASS_THROUGH`: `server` is left as it is instead of set to `envoy`.
    pub server_header_pass_through: bool,
    /// Whether Envoy adds its own headers (`x-request-id`, `x-forwarded-proto`, `x-envoy-upstream-service-time`,
    /// `x-envoy-expected-rq-timeout-ms`). Default true.
    pub envoy_headers: bool,
    /// `proxy_100_continue`: whether 1xx answers other than 101 reach the client. Default false.
    pub proxy_100_continue: bool,
    /// Log lines below this level are not kept. Default [`LogLevel::Info`].
    pub log_level: LogLevel,
    /// The clock at the start, seconds since 1970. Default 2026-01-01T00:00:00Z.
    pub start_unix_seconds: u64,
}

impl Config {
    /// The defaults with this plugin configuration.
    pub fn new(plugin_config: impl AsRef<[u8]>) -> Self {
        Self { plugin_config: plugin_config.as_ref().to_vec(), ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugin_config: Vec::new(),
            vm_config: Vec::new(),
            environment: Vec::new(),
            workers: 1,
            plugin_name: "larder".to_owned(),
            root_id: "larder".to_owned(),
            vm_id: "larder".to_owned(),
            allow_on_headers_stop_iteration: true,
            failure_policy: FailurePolicy::Reload,
            reload_backoff: Duration::from_secs(1),
            routes: vec![Route::new("/", "origin")],
            clusters: Vec::new(),
            buffer_limit_bytes: 1 << 20,
            call_body_limit_bytes: 32 << 20,
            memory_limit_bytes: 1 << 30,
            stream_idle_timeout: Duration::from_secs(300),
            server_header_pass_through: false,
            envoy_headers: true,
            proxy_100_continue: false,
            log_level: LogLevel::Info,
            start_unix_seconds: 1_767_225_600,
        }
    }
}
