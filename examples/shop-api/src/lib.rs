//! A small shop API on a real SQLite database: what stands behind Larder in the demo and the tests.
//!
//! It behaves as ordinary APIs do: it answers correctly, and says hardly anything about caching (no `ETag`, no
//! `Last-Modified`, no `Cache-Control` but on the login). It counts the database queries it runs, so that what a cache
//! saves can be read off `/v1/stats`. It knows nothing of Larder.

mod db;
mod error;
mod extract;
mod language;
mod mix;
mod page;
mod picture;
mod routes;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;

use db::Db;

/// How long requests under way may take to end after the shutdown signal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What a shop is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file; `None` is a temporary one.
    pub db: Option<PathBuf>,
    /// How many products an empty database is given.
    pub seed_products: u32,
    /// How long the sales report takes on top of its queries.
    pub report_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { db: None, seed_products: 3000, report_delay: Duration::from_millis(300) }
    }
}

/// An open shop. Clones are the same shop.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    db: Db,
    requests: AtomicU64,
    report_delay: Duration,
}

impl App {
    /// Opens the database, and seeds it when it is empty.
    pub async fn open(settings: &Settings) -> anyhow::Result<App> {
        let db = Db::open(settings.db.as_deref(), settings.seed_products).await?;
        Ok(App(Arc::new(Shared { db, requests: AtomicU64::new(0), report_delay: settings.report_delay })))
    }

    /// The API as a service.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// How many database queries have been run to serve requests.
    pub fn queries(&self) -> u64 {
        self.0.db.queries()
    }

    /// How many requests came, those for `/v1/stats` and `/healthz` not counted.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Closes the database; a temporary one is removed.
    pub async fn close(&self) {
        self.0.db.close().await;
    }

    fn db(&self) -> &Db {
        &self.0.db
    }

    fn report_delay(&self) -> Duration {
        self.0.report_delay
    }

    fn count_request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves the shop until `shutdown` resolves, lets the requests under way end, and closes the database.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, app.router()).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody waits for this any more only when the server has ended by itself.
        let _ = stopping.send(());
    });
    let grace_over = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(SHUTDOWN_GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => result.context("the server failed")?,
        () = grace_over => eprintln!("shop-api: requests still open after {SHUTDOWN_GRACE:?} were cut off"),
    }
    app.close().await;
    Ok(())
}
