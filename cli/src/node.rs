//! `larder node`: a node of the HTTP cache cluster, until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use larder_core::policy::Policy;
use larder_node::analytics::{self, Targets};
use larder_node::clock::SystemClock;
use larder_node::tokens::Tokens;
use larder_node::warming::{Schedule, Site, Via};
use larder_node::{Config, Limits, Node, Running};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::warm::{self, Rate};
use crate::{End, paint, token};

const DATA: &str = "127.0.0.1:9901";
const ADMIN: &str = "127.0.0.1:9902";
const STORE: &str = "memory:";

/// Options of `larder node`. Each may stand in the configuration file, too; what is said here wins.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Several nodes need one purge log: --log redis://host. Otherwise each node knows its own purges only."
)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where workers and Envoy ask; port 0 takes a free one [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Where operators ask [default: 127.0.0.1:9902]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,

    /// Where entries are kept: memory:, disk:/folder, redis://host, memcached://host [default: memory:]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// Where purges are kept: memory:, disk:/folder, redis://host [default: as the store]
    #[arg(long, value_name = "URL")]
    log: Option<String>,

    /// Where pushed policies are kept: memory:, disk:/folder, redis://host [default: as the log]
    #[arg(long = "policies", value_name = "URL")]
    policy_store: Option<String>,

    /// Tokens for the admin plane, as `larder node token` makes them; without, it listens on loopback only
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,

    /// Where analytics are kept, so that a restart keeps them [default: beside a store on disk; otherwise in memory only]
    #[arg(long, value_name = "FOLDER")]
    analytics: Option<PathBuf>,

    /// A policy whose target_hit_ratio the dashboard holds figures against, and whose `warm` entries are kept warm with --warm-via,
    /// until one of its name is pushed; may be given more than once
    #[arg(long = "policy", value_name = "FILE")]
    policies: Vec<PathBuf>,

    /// Keep warm what the policies' `warm` entries name, by requests to this proxy that has the cache (one node of a cluster does)
    #[arg(long, value_name = "URL")]
    warm_via: Option<Via>,

    /// Where the policies' paths belong: https://api.example.com; may be given more than once [default: the routes' hosts, else --warm-via]
    #[arg(long = "warm-site", value_name = "URL")]
    warm_sites: Vec<Site>,

    /// Requests a second that keep warm: 50/s; or off [default: 50/s]
    #[arg(long, value_name = "N/s", value_parser = warm::rate)]
    warm_rate: Option<Rate>,

    /// A limit by its name, such as object_bytes_max=8388608
    #[arg(long = "limit", value_name = "NAME=NUMBER")]
    limits: Vec<String>,

    /// All of this as JSON: {"listen", "admin", "store", "log", "policy_store", "tokens", "analytics", "policies": […],
    /// "warm_via", "warm_sites": […], "warm_rate", "limits": {…}}
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Threads that work on requests [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// Print the line that says where it listens as JSON: {"data": "ADDRESS:PORT", "admin": "ADDRESS:PORT"}
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token: print it once, with the line for the token file
    Token(token::Options),
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    store: Option<String>,
    log: Option<String>,
    policy_store: Option<String>,
    tokens: Option<PathBuf>,
    analytics: Option<PathBuf>,
    policies: Vec<PathBuf>,
    warm_via: Option<String>,
    warm_sites: Vec<String>,
    warm_rate: Option<String>,
    limits: Limits,
}

/// Runs the node.
pub fn run(options: Options) -> anyhow::Result<End> {
    if let Some(Command::Token(options)) = &options.command {
        return token::run(options);
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        builder.worker_threads(usize::from(threads));
    }
    let runtime = builder.enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<End> {
    // Listened for from the start, so that a signal while the node starts is not lost.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let json = options.json;
    let (config, kinds) = configured(options).await?;
    let node = Node::start(config).await?;
    say(&node, &kinds, json)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    node.stop().await.context("not everything was written")?;
    Ok(End::Done)
}

async fn configured(options: Options) -> anyhow::Result<(Config, [&'static str; 3])> {
    let file = options.config.as_deref().map(read).transpose()?.unwrap_or_default();
    let store_url = options.store.or(file.store).unwrap_or_else(|| STORE.to_owned());
    let log_url = match options.log.or(file.log) {
        Some(url) => url,
        None => {
            if store_url.starts_with("memcached") {
                eprintln!(
                    "larder: memcached keeps no purge log, so this node keeps it in memory: after a restart everything stored \
                     counts as purged, and other nodes do not know its purges; give --log redis://host where there are several"
                );
            }
            larder_node::log::beside(&store_url)
        }
    };
    let mut limits = file.limits;
    for limit in &options.limits {
        let (name, value) = limit.split_once('=').with_context(|| format!("--limit {limit}: write NAME=NUMBER"))?;
        let value = value.parse().with_context(|| format!("--limit {limit}: {value:?} is no number"))?;
        limits = limits.with(name, value).map_err(anyhow::Error::msg)?;
    }
    let tokens = match options.tokens.or(file.tokens) {
        Some(file) => Some(Tokens::read(&file)?),
        None => None,
    };
    let files = if options.policies.is_empty() { file.policies } else { options.policies };
    let policies = files.iter().map(|file| policy(file)).collect::<anyhow::Result<Vec<Policy>>>()?;
    let warm = (options.warm_via, options.warm_sites, options.warm_rate);
    let warming = warming(warm, (file.warm_via, file.warm_sites, file.warm_rate), &policies)?;
    let analytics = options.analytics.or(file.analytics).or_else(|| analytics::beside(&store_url));
    let store = larder_node::store::open(&store_url).await.context("cannot open the store")?;
    let log = larder_node::log::open(&log_url).await?;
    let pushed_url =
        options.policy_store.or(file.policy_store).unwrap_or_else(|| larder_node::policies::beside(&log_url));
    let pushed = larder_node::policies::open(&pushed_url).await?;
    let kinds = [store.kind(), log.kind(), pushed.kind()];
    let default = |text: &str| text.parse::<SocketAddr>().context("a default address");
    let config = Config {
        data: options.listen.or(file.listen).map_or_else(|| default(DATA), Ok)?,
        admin: Some(options.admin.or(file.admin).map_or_else(|| default(ADMIN), Ok)?),
        store,
        log,
        policies: pushed,
        tokens,
        analytics,
        targets: Targets::of(&policies),
        warming,
        limits,
        clock: Arc::new(SystemClock),
    };
    Ok((config, kinds))
}

/// What the node warms, by what the command says, else by the file.
fn warming(
    (via, sites, rate): (Option<Via>, Vec<Site>, Option<Rate>),
    file: (Option<String>, Vec<String>, Option<String>),
    policies: &[Policy],
) -> anyhow::Result<Option<Schedule>> {
    let via = match (via, file.0) {
        (Some(via), _) => Some(via),
        (None, Some(text)) => Some(text.parse().context("warm_via")?),
        (None, None) => None,
    };
    let rate = match (rate, file.2) {
        (Some(rate), _) => Some(rate),
        (None, Some(text)) => Some(warm::rate(&text).map_err(anyhow::Error::msg).context("warm_rate")?),
        (None, None) => None,
    };
    let from_file =
        || file.1.iter().map(|text| text.parse().context("warm_sites")).collect::<anyhow::Result<Vec<Site>>>();
    let sites = if sites.is_empty() { from_file()? } else { sites };
    let Some(via) = via else {
        anyhow::ensure!(sites.is_empty() && rate.is_none(), "nothing is warmed without --warm-via");
        return Ok(None);
    };
    let mut schedule = Schedule::of(via, policies.iter().cloned().map(Arc::new).collect());
    schedule.sites = sites;
    if let Some(rate) = rate {
        schedule.settings.rate = rate.0;
    }
    Ok(Some(schedule))
}

fn read(file: &Path) -> anyhow::Result<File> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no configuration", file.display()))
}

fn policy(file: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Policy::parse(&text).with_context(|| format!("{} is no policy", file.display()))
}

fn say(node: &Running, [store, log, policies]: &[&str; 3], json: bool) -> anyhow::Result<()> {
    let admin = node.admin.map(|admin| admin.to_string());
    let line = if json {
        json!({ "data": node.data.to_string(), "admin": admin, "store": store, "log": log, "policies": policies })
            .to_string()
    } else {
        let admin = admin.unwrap_or_else(|| "nowhere".to_owned());
        format!(
            "listening on {} for workers, on {admin} for operators; store {store}, purge log {log}, policies {policies}",
            node.data
        )
    };
    paint::say(&format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_is_checked_field_by_field() {
        let file: File = serde_json::from_str(r#"{"store": "memory:", "limits": {"tags_max": 3}}"#).expect("JSON");
        assert_eq!(file.limits.tags_max, 3);
        assert!(serde_json::from_str::<File>(r#"{"stores": "memory:"}"#).is_err());
        assert!(serde_json::from_str::<File>(r#"{"limits": {"tag_max": 3}}"#).is_err());
    }

    #[test]
    fn what_is_deployed_is_a_configuration_and_a_policy() {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        for file in ["kubernetes/node.json", "systemd/node.json"] {
            let file = read(&deploy.join(file)).expect("a configuration");
            assert!(file.listen.is_some() && file.admin.is_some() && file.store.is_some());
        }
        let shop = policy(&deploy.join("kubernetes/policy.json")).expect("a policy");
        assert_eq!(Targets::of([&shop]).len(), 2);
    }
}
