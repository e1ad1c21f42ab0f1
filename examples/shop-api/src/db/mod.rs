//! The shop's SQLite database: opening, seeding, and counted access. The SQL of each part of the shop lives in the module
//! named after it.
//!
//! Every statement that serves a request goes through [`Db`] or [`Write`], which count it: the count is how a reader of
//! `/v1/stats` sees what a cache in front of the API saves. Opening, seeding, BEGIN and COMMIT do not count.

mod cart;
mod categories;
mod draft;
mod file;
mod products;
mod sales;
mod seed;
mod users;
mod words;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};

pub(crate) use cart::{Cart, CartRefused};
pub(crate) use categories::Category;
pub(crate) use draft::ProductDraft;
use file::DatabaseFile;
pub(crate) use products::{Price, Product, ProductRefused, Sort};
pub(crate) use sales::SalesReport;
pub(crate) use users::{Account, User};

/// A statement with its arguments bound.
type Statement = Query<'static, Sqlite, SqliteArguments>;

/// `PRAGMA application_id` of a shop database ("shop"): no other SQLite file is touched.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"shop");
/// `PRAGMA user_version` of this schema.
const SCHEMA_VERSION: i32 = 1;

/// The open database.
///
/// Any number of readers, and one writing connection that writers wait for in turn: within the process a write never
/// meets SQLITE_BUSY. A read that starts after a write was answered sees it.
pub(crate) struct Db {
    readers: SqlitePool,
    writer: SqlitePool,
    queries: AtomicU64,
    file: DatabaseFile,
}

impl Db {
    /// Opens the database at `path`, or a temporary one that goes when it is dropped. An empty database is given the
    /// schema and `products` products; one that already holds a shop is used as it is.
    pub(crate) async fn open(path: Option<&Path>, products: u32) -> anyhow::Result<Db> {
        let file = match path {
            Some(path) => DatabaseFile::at(path),
            None => DatabaseFile::temporary()?,
        };
        let options = SqliteConnectOptions::new()
            .filename(file.path())
            .create_if_missing(true)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));

        let shown = file.path().display();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await
            .with_context(|| format!("cannot open the database {shown}"))?;
        prepare(&writer, products).await.with_context(|| format!("cannot use the database {shown}"))?;
        // Only now that it is known to be ours: the journal mode is written into the file.
        sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(8)
            .test_before_acquire(false) // A connection to a file does not break by itself.
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .with_context(|| format!("cannot open the database {shown} a second time"))?;
        Ok(Db { readers, writer, queries: AtomicU64::new(0), file })
    }

    /// How another connection to the same database is made.
    pub(crate) fn options(&self) -> SqliteConnectOptions {
        (*self.writer.connect_options()).clone()
    }

    /// How many statements have been run to serve requests.
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Closes every connection and removes a temporary file. Later use fails.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.file.remove_if_temporary();
    }

    async fn all(&self, statement: Statement) -> sqlx::Result<Vec<SqliteRow>> {
        count(&self.queries);
        statement.fetch_all(&self.readers).await
    }

    async fn one(&self, statement: Statement) -> sqlx::Result<SqliteRow> {
        count(&self.queries);
        statement.fetch_one(&self.readers).await
    }

    async fn optional(&self, statement: Statement) -> sqlx::Result<Option<SqliteRow>> {
        count(&self.queries);
        statement.fetch_optional(&self.readers).await
    }

    /// Waits for its turn and begins to write. Without [`Write::commit`] nothing is written.
    async fn write(&self) -> sqlx::Result<Write<'_>> {
        // IMMEDIATE: another process on the same file is waited for here, not met in the middle.
        Ok(Write { tx: self.writer.begin_with("BEGIN IMMEDIATE").await?, queries: &self.queries })
    }
}

/// A transaction that writes.
struct Write<'db> {
    tx: Transaction<'static, Sqlite>,
    queries: &'db AtomicU64,
}

impl Write<'_> {
    async fn all(&mut self, statement: Statement) -> sqlx::Result<Vec<SqliteRow>> {
        count(self.queries);
        statement.fetch_all(&mut *self.tx).await
    }

    async fn one(&mut self, statement: Statement) -> sqlx::Result<SqliteRow> {
        count(self.queries);
        statement.fetch_one(&mut *self.tx).await
    }

    async fn optional(&mut self, statement: Statement) -> sqlx::Result<Option<SqliteRow>> {
        count(self.queries);
        statement.fetch_optional(&mut *self.tx).await
    }

    /// Runs a statement that returns nothing; says how many rows it changed.
    async fn execute(&mut self, statement: Statement) -> sqlx::Result<u64> {
        count(self.queries);
        Ok(statement.execute(&mut *self.tx).await?.rows_affected())
    }

    async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

fn count(queries: &AtomicU64) {
    queries.fetch_add(1, Ordering::Relaxed);
}

/// Creates and fills the shop in an empty database; refuses a database of something else.
async fn prepare(writer: &SqlitePool, products: u32) -> anyhow::Result<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let state = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id) AS application,
                (SELECT user_version FROM pragma_user_version) AS version,
                (SELECT count(*) FROM sqlite_schema) AS objects",
    )
    .fetch_one(&mut *tx)
    .await?;
    let (application, version): (i32, i32) = (state.try_get("application")?, state.try_get("version")?);
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION) {
        return Ok(());
    }
    if application == APPLICATION_ID {
        bail!("it has schema version {version}, this program wants {SCHEMA_VERSION}; name another file or remove it");
    }
    if state.try_get::<i64, _>("objects")? > 0 {
        bail!("it holds something else than a shop; name another file");
    }
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *tx).await?;
    seed::fill(&mut tx, products).await?;
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
