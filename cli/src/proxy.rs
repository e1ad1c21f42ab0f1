//! `larder proxy`: the cache as a reverse proxy in front of any origin, until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use larder_core::policy::Policy;
use larder_origin::CacheLayer;
use larder_origin::proxy::{
    Builder, Certificate, HostField, Limits, Network, Origin, Protocol, Proxy, Running, Stopped,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::{End, paint};

/// Upper bounds of `/metrics`' histograms, in seconds: from a hit in memory to an origin that takes its time.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What histograms have taken down is summed up this often, so that it does not pile up where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Before the first request: for the cluster's or the store's first word, which brings the policy that was pushed.
const JOIN_TIMEOUT: Duration = Duration::from_millis(500);

/// After the last request: for what is on its way to the store or the cluster.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  larder proxy --origin http://127.0.0.1:3000 --policy policies/default.json
  larder proxy --listen 0.0.0.0:8080 --origin http://api-1:3000 --origin http://api-2:3000 --policy shop.json \\
      --store redis://cache.internal --admin 127.0.0.1:9903
  larder proxy --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem --origin https://api.internal \\
      --origin-ca internal-ca.pem --policy shop.json --log json --access-log

Signals:
  TERM, INT  stop: what is under way may take --limit stop_timeout_ms=10000; a second one ends it at once
  HUP        read policy, certificate and key anew

Exit codes: 0 stopped, with nothing cut off; 1 failed, or something was cut off; 2 not understood.";

/// Options of `larder proxy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Where clients ask; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Who is asked; several take turns, and one that cannot be connected to is passed over
    #[arg(long = "origin", value_name = "URL", required = true)]
    origins: Vec<Origin>,

    /// What is cached, and how
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    /// Where entries are kept, beside this process's memory: disk:/folder, redis://host, memcached://host, or the cluster's nodes as
    /// http://node-1:9901,http://node-2:9901 [default: in memory only]
    #[arg(long, value_name = "URL", default_value = "memory:", hide_default_value = true)]
    store: String,

    /// Whether policies that are pushed to the cluster under --policy's name take its place
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Pushed::Follow)]
    pushed_policies: Pushed,

    /// Memory for entries, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    memory: u64,

    /// What this cache is called in Cache-Status
    #[arg(long, value_name = "NAME", default_value = "Larder-Proxy")]
    cache_name: String,

    /// Speak TLS to clients: the certificate and those that signed it, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Who signs the origins' certificates, as PEM [default: whom the system trusts]
    #[arg(long, value_name = "FILE")]
    origin_ca: Option<PathBuf>,

    /// Which HTTP the origins are spoken to by: auto is HTTP/2 where TLS agrees on it, http2 is so in clear text, too
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = Version::Auto)]
    origin_protocol: Version,

    /// Which Host the origins see: the client's, or that of --origin
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t = Whose::Client)]
    host: Whose,

    /// Believe and add to the Forwarded and X-Forwarded-* fields of these senders, such as 10.0.0.0/8; others' are replaced
    #[arg(long = "trust", value_name = "NETWORK")]
    trusted: Vec<Network>,

    /// Where operators ask for /health, /ready and /metrics; nowhere without. It has no secrets, and asks for no token
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,

    /// A limit by its name, such as body_bytes_max=1048576 or response_timeout_ms=30000
    #[arg(long = "limit", value_name = "NAME=NUMBER")]
    limits: Vec<String>,

    /// How to write what is to be said on standard error
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text)]
    log: Form,

    /// How much to say
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info)]
    log_level: Level,

    /// Say a line for every request, too; queries and fields, which may be secret, are not in it
    #[arg(long)]
    access_log: bool,

    /// Threads that work on requests [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// Print the line that says where it listens as JSON: {"proxy": "ADDRESS:PORT", "admin": "ADDRESS:PORT", …}
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pushed {
    Follow,
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    Auto,
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    Client,
    Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

/// Runs the proxy.
pub fn run(options: Options) -> anyhow::Result<End> {
    log(&options);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        builder.worker_threads(usize::from(threads));
    }
    let runtime = builder.enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(options))
}

fn log(options: &Options) {
    let level = match options.log_level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(level);
    match options.log {
        Form::Text => subscriber.init(),
        Form::Json => subscriber.json().flatten_event(true).init(),
    }
}

async fn serve(options: Options) -> anyhow::Result<End> {
    // Listened for from the start, so that a signal while the proxy starts is not lost.
    let mut signals = Signals::new()?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let policy = read(&options.policy)?;
    let line = Line { policy: policy.name, store: kind(&options.store) };
    let mut builder = built(&options)?;
    // The recorder is there before the layer counts.
    let metrics = options.admin.map(|_| recorder()).transpose()?;
    let layer = layer(&options, policy.text).await?;
    let cache = layer.handle();
    if !cache.joined(JOIN_TIMEOUT).await {
        tracing::warn!("the cluster has said nothing yet: until it does, the policy is {}", options.policy.display());
    }
    if let (Some(admin), Some(metrics)) = (options.admin, metrics) {
        let cache = cache.clone();
        let page = move || {
            // What was counted since the last request that came by to hand it on.
            cache.flush_metrics();
            metrics.render()
        };
        builder = builder.admin(admin).metrics(page);
    }
    let running = builder.serve_with(layer).await?;
    say(&running, &options, &line)?;
    loop {
        tokio::select! {
            () = signals.stop() => break,
            _ = hangup.recv() => {
                match running.reload() {
                    Ok(()) if options.tls_cert.is_some() => tracing::info!("the certificate was read anew"),
                    Ok(()) => {}
                    Err(error) => tracing::error!(%error, "the certificate was not read anew, the old one stays in use"),
                }
                match read(&options.policy).and_then(|policy| Ok(cache.set_policy(&policy.text)?)) {
                    Ok(()) => tracing::info!("the policy was read anew"),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the policy was not read anew, the old one stays in force"),
                }
            }
        }
    }
    let stopping = async {
        let stopped = running.stop().await;
        cache.close(CLOSE_TIMEOUT).await.context("not everything that was stored could be written")?;
        match stopped {
            Stopped::Clean => Ok(End::Done),
            _ => bail!("requests were still being worked on when the proxy stopped"),
        }
    };
    tokio::select! {
        end = stopping => end,
        () = signals.stop() => bail!("told to stop twice: what was under way was cut off"),
    }
}

/// The cache, upon the proxy's upstream.
async fn layer(options: &Options, policy: String) -> anyhow::Result<CacheLayer> {
    let builder = CacheLayer::builder()
        .policy(policy)
        .memory(options.memory)
        .cache_name(options.cache_name.as_str())
        .follow_policies(options.pushed_policies == Pushed::Follow);
    let layer = match kind(&options.store) {
        "memory" => builder.build(),
        "cluster" => builder.cluster(options.store.split(',').map(str::trim)).build(),
        _ => builder.build_with_store(&options.store).await,
    };
    layer.context("--store, --cache-name")
}

fn kind(store: &str) -> &'static str {
    match store.split_once(':').map_or(store, |(scheme, _)| scheme) {
        "memory" if store == "memory:" => "memory",
        "http" => "cluster",
        "disk" => "disk",
        "memcached" => "memcached",
        scheme if scheme.starts_with("redis") => "redis",
        _ => "other",
    }
}

/// A policy that was read, and is one.
struct Read {
    name: String,
    text: String,
}

fn read(file: &Path) -> anyhow::Result<Read> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let policy = Policy::parse(&text).with_context(|| format!("{} is no policy", file.display()))?;
    Ok(Read { name: policy.name, text })
}

fn built(options: &Options) -> anyhow::Result<Builder> {
    let mut limits = Limits::default();
    for limit in &options.limits {
        let (name, value) = limit.split_once('=').with_context(|| format!("--limit {limit}: write NAME=NUMBER"))?;
        let value = value.parse().with_context(|| format!("--limit {limit}: {value:?} is no number"))?;
        limits = limits.with(name, value).map_err(anyhow::Error::msg)?;
    }
    let protocol = match options.origin_protocol {
        Version::Auto => Protocol::Auto,
        Version::Http1 => Protocol::Http1,
        Version::Http2 => Protocol::Http2,
    };
    let host = match options.host {
        Whose::Client => HostField::Client,
        Whose::Origin => HostField::Origin,
    };
    let mut builder = Proxy::builder()
        .listen(options.listen)
        .origin_protocol(protocol)
        .host_field(host)
        .limits(limits)
        .access_log(options.access_log);
    builder = options.origins.iter().cloned().fold(builder, Builder::origin);
    builder = options.trusted.iter().copied().fold(builder, Builder::trust);
    if let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) {
        builder = builder.certificate(Certificate::new(chain, key));
    }
    if let Some(file) = &options.origin_ca {
        builder = builder.origin_ca(file);
    }
    Ok(builder)
}

/// What takes down all that is counted from now on.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let metrics = recorder.context("the histograms' bounds")?.install_recorder().context("cannot count")?;
    let kept = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(metrics)
}

/// What the line that says where it listens takes from what was configured.
struct Line {
    policy: String,
    store: &'static str,
}

fn say(running: &Running, options: &Options, Line { policy, store }: &Line) -> anyhow::Result<()> {
    let address = running.address();
    let admin = running.admin().map(|admin| admin.to_string());
    let origins: Vec<String> = options.origins.iter().map(ToString::to_string).collect();
    let tls = options.tls_cert.is_some();
    let line = if options.json {
        json!({
            "proxy": address.to_string(), "admin": admin, "tls": tls, "origins": origins, "policy": policy, "store": store,
        })
        .to_string()
    } else {
        let scheme = if tls { "https" } else { "http" };
        let admin = admin.unwrap_or_else(|| "nowhere".to_owned());
        let origins = origins.join(", ");
        format!(
            "listening on {scheme}://{address} for clients, on {admin} for operators; origin {origins}, policy {policy}, store \
             {store}"
        )
    };
    paint::say(&format!("{line}\n"))
}

/// What tells the proxy to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
