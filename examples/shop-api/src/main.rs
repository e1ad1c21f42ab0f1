//! The `shop-api` command: reads its options, says where it listens, serves until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use serde_json::json;
use shop_api::{App, Settings};
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
