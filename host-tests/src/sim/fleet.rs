//! The Envoys: each a wasmtime host with the module, with a clock of its own.

use std::time::{Duration, UNIX_EPOCH};

use super::books::Who;
use super::catalog::configuration;
use super::options::Options;
use crate::cluster::CLUSTER;
use crate::host::{Config, Host, HostError, LogLevel, Plugin, Route};
use larder_core::cluster::SERVE;

/// The world's time zero, in milliseconds since 1970.
pub const BASE_MS: u64 = 1_800_000_000_000;

/// After this long a silent origin is given up.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(8);
/// The same of a node that is to serve, as in `envoy/cluster.yaml`.
const SERVE_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any request waits that is not forgotten: for another's, and then for the origin.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// An Envoy.
pub struct Envoy {
    /// The host.
    pub host: Host,
    /// Its how manieth life.
    pub life: u32,
}

/// All of them.
pub struct Fleet {
    plugin: Plugin,
    options: Options,
    /// By number.
    pub envoys: Vec<Envoy>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("envoys", &self.envoys.len()).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Starts them.
    ///
    /// # Errors
    /// The module or its configuration is refused.
    pub fn start(plugin: &Plugin, options: &Options) -> Result<Self, HostError> {
        let mut fleet = Self { plugin: plugin.clone(), options: options.clone(), envoys: Vec::new() };
        for envoy in 0..options.envoys {
            let host = fleet.begin(envoy, 0)?;
            fleet.envoys.push(Envoy { host, life: 0 });
        }
        Ok(fleet)
    }

    fn begin(&self, envoy: usize, now_ms: u64) -> Result<Host, HostError> {
        let skew = self.options.skew_ms.get(envoy).copied().unwrap_or(0);
        let here = (BASE_MS + now_ms).saturating_add_signed(skew);
        let config = Config {
            workers: self.options.workers,
            routes: vec![
                Route::new("/", CLUSTER).when_header(SERVE, None).timeout(SERVE_TIMEOUT),
                Route::new("/", "origin").timeout(ROUTE_TIMEOUT),
            ],
            stream_idle_timeout: IDLE_TIMEOUT,
            // So that a VM's death can be at any time.
            reload_backoff: Duration::ZERO,
            clusters: vec![CLUSTER.to_owned(), "origin".to_owned()],
            start_unix_seconds: here / 1000,
            buffer_limit_bytes: 2 << 20,
            log_level: LogLevel::Warn,
            ..Config::new(configuration(&self.options))
        };
        let mut host = Host::start(&self.plugin, config)?;
        host.set_wall_clock(UNIX_EPOCH + Duration::from_millis(here));
        Ok(host)
    }

    /// An Envoy ends, and another begins in its place.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn restart(&mut self, envoy: usize, now_ms: u64) -> Result<(), HostError> {
        let host = self.begin(envoy, now_ms)?;
        if let Some(old) = self.envoys.get_mut(envoy) {
            *old = Envoy { host, life: old.life + 1 };
        }
        Ok(())
    }

    /// An Envoy takes its configuration again.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn reload(&mut self, envoy: usize) -> Result<(), HostError> {
        let configuration = configuration(&self.options);
        self.envoys.get_mut(envoy).map_or(Ok(()), |envoy| envoy.host.reload(&configuration))
    }

    /// A worker, as it is now.
    pub fn who(&self, envoy: usize, worker: usize) -> Who {
        let here = self.envoys.get(envoy);
        let vm = here.map_or(0, |envoy| envoy.host.generation(worker));
        Who { envoy, life: here.map_or(0, |envoy| envoy.life), worker, vm }
    }

    /// How long until something falls due at an Envoy by itself.
    pub fn next_due(&self) -> Option<Duration> {
        self.envoys.iter().filter_map(|envoy| envoy.host.next_due_in()).min()
    }

    /// Time passes.
    pub fn advance(&mut self, by: Duration) {
        for envoy in &mut self.envoys {
            envoy.host.advance(by);
            envoy.host.clear_trace();
        }
    }
}
