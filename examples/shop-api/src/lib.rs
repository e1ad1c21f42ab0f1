//! A small shop API on a real SQLite database: what stands behind Larder in the demo and the tests.
//!
//! It behaves as ordinary APIs do: it answers correctly, and says hardly anything about caching (no `ETag`, no
//! `Last-Modified`, no `Cache-Control` but on the login). It counts the database queries it runs, so that what a cache
//! saves can be read off `/v1/stats`. Only with [`Settings::cache`] it has a cache of its own: Larder's layer, which it
//! tells what its writes have changed.

mod cache;
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
use tokio::sync::RwLock;

pub use cache::CacheSettings;
use cache::{Cache, Changed};
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
    /// How the API is cached; `None` is not at all.
    pub cache: Option<CacheSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { db: None, seed_products: 3000, report_delay: Duration::from_millis(300), cache: None }
    }
}

/// An open shop. Clones are the same shop.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    db: Db,
    requests: AtomicU64,
    report_delay: Duration,
    cache: Option<Cache>,
    /// Writes hold it for reading: who closes waits for them.
    writes: Arc<RwLock<()>>,
}

impl App {
    /// Opens the database, and seeds it when it is empty.
    pub async fn open(settings: &Settings) -> anyhow::Result<App> {
        let db = Db::open(settings.db.as_deref(), settings.seed_products).await?;
        let cache = match &settings.cache {
            Some(cache) => Some(Cache::open(cache, db.options()).await?),
            None => None,
        };
        let (requests, report_delay) = (AtomicU64::new(0), settings.report_delay);
        Ok(App(Arc::new(Shared { db, requests, report_delay, cache, writes: Arc::default() })))
    }

    /// The API as a service; with a cache, behind that.
    pub fn router(&self) -> Router {
        let router = routes::router(self.clone());
        match &self.0.cache {
            Some(cache) => router.layer(cache.layer()),
            None => router,
        }
    }

    /// How many database queries have been run to serve requests.
    pub fn queries(&self) -> u64 {
        self.0.db.queries()
    }

    /// How many requests came, those for `/v1/stats` and `/healthz` not counted.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Waits for writes, hands on what is to be purged, and closes the database; a temporary one is removed.
    pub async fn close(&self) {
        let _no_more_writes = self.0.writes.write().await;
        if let Some(cache) = &self.0.cache {
            cache.close().await;
        }
        self.0.db.close().await;
    }

    /// Runs a write to its end and purges what it has changed, before its client hears that it holds. In a task of its own: a client
    /// that leaves must not leave behind what is in the database and not purged.
    pub(crate) async fn write<W, T, E>(
        &self,
        write: impl FnOnce(App) -> W + Send + 'static,
        changed: impl FnOnce(&T) -> Changed + Send + 'static,
    ) -> Result<T, E>
    where
        W: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let app = self.clone();
        let task = tokio::spawn(async move {
            let _under_way = app.0.writes.clone().read_owned().await;
            let written = write(app.clone()).await?;
            let changed = changed(&written);
            if let Some(cache) = &app.0.cache {
                cache.purge(changed).await;
            }
            Ok(written)
        });
        match task.await {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and whoever waits for this with it.
                Err(_) => std::future::pending().await,
            },
        }
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
