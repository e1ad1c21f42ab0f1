//! The `shop-api` command: reads its options, says where it listens, serves until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser};
use serde_json::json;
use shop_api::{App, CacheSettings, Settings};
use tokio::net::TcpListener;

/// A small shop API on SQLite: products, categories, prices, carts, accounts, images, a slow report.
///
/// When it is ready it prints one line, `listening on http://ADDRESS:PORT`, and serves until SIGTERM or Ctrl-C.
/// GET /v1/openapi.json describes every endpoint; GET /v1/stats counts the database queries run so far.
#[derive(Parser)]
#[command(name = "shop-api", version)]
struct Options {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// SQLite file to use; created and seeded when missing or empty [default: a temporary file, removed at the end]
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,

    /// How many products a new database gets; always the same ones
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    seed_products: u32,

    /// How long the sales report takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    report_ms: u64,

    /// Print the ready line as JSON: {"listening":"http://ADDRESS:PORT"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    caching: Caching,
}

/// Nothing of this is there without `--cache`.
#[derive(Args)]
#[command(next_help_heading = "Caching (with Larder)")]
struct Caching {
    /// Cache the API's answers in this process, and purge what writes change. Behind a Larder edge that shares a key by LARDER_EDGE_KEY,
    /// the edge stores instead
    #[arg(long)]
    cache: bool,

    /// What is cached, and how [default: policies/shop-api.json, which is in the program]
    #[arg(long, value_name = "FILE", requires = "cache")]
    policy: Option<PathBuf>,

    /// Share what is stored with these nodes of a cluster: their data planes, such as http://127.0.0.1:9901; may be given several times
    #[arg(long, value_name = "URL", requires = "cache")]
    cluster: Vec<String>,

    /// Purge at a node, too, and so at every edge: its admin plane, such as http://127.0.0.1:9902. Given several times, they take turns
    #[arg(long = "node", value_name = "URL", requires = "cache")]
    nodes: Vec<String>,

    /// A file with a token of the scope `purge` for the nodes; read again for each purge
    #[arg(long, value_name = "FILE", requires = "nodes")]
    token_file: Option<PathBuf>,

    /// Where purges are kept until a node has taken them, over restarts [default: in memory only]
    #[arg(long, value_name = "FOLDER", requires = "nodes")]
    queue: Option<PathBuf>,

    /// Purge what others change in the database: makes triggers in it that write down what is to be purged
    #[arg(long, requires = "cache")]
    watch_database: bool,
}

impl Caching {
    fn settings(self) -> Option<CacheSettings> {
        let Caching { cache, policy, cluster, nodes, token_file, queue, watch_database } = self;
        cache.then_some(CacheSettings { policy, cluster, nodes, token_file, queue, watch_database, edge_keys: None })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    if options.caching.cache {
        // What a cache or a node has to complain of.
        let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false);
        log.with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
    }
    // Listened for from the start, so that a signal during the seeding is not the end of a half-made temporary file.
    let shutdown = shutdown_signal()?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", options.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = App::open(&Settings {
        db: options.db,
        seed_products: options.seed_products,
        report_delay: Duration::from_millis(options.report_ms),
        cache: options.caching.settings(),
    })
    .await?;

    let ready = if options.json { json!({ "listening": url }).to_string() } else { format!("listening on {url}") };
    announce(&ready).context("cannot write to standard output")?;
    shop_api::serve(listener, app, shutdown).await
}

fn announce(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Resolves at SIGTERM or Ctrl-C, also one that came before it was awaited.
#[cfg(unix)]
fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
