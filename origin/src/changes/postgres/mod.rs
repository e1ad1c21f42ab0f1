//! Postgres: an outbox that triggers fill, and a connection that listens for its notifications.

mod triggers;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::triggers::Names;
use super::errors::ChangesError;
use super::outbox::{Following, Outbox, ROWS_MAX, Row, What, follow};
use super::watched::Watched;
use crate::invalidator::Invalidator;

/// Between attempts to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Watches tables of a Postgres database (11 or newer).
///
/// The outbox and the functions are in a schema of their own (`larder`); whoever installs needs the right to make it, and to make
/// triggers on the tables. Whoever changes rows needs no right on it: the functions run as their owner. An update that changes nothing
/// purges nothing; `TRUNCATE` purges everything. What happens to a partition as a whole (truncated alone, attached, detached) is not seen.
///
/// Two connections are held: one that listens, one that reads. The one that reads holds an advisory lock, so that of several programs
/// one reads and the others stand by; behind a pooler this needs session mode.
///
/// ```no_run
/// use larder_origin::Invalidator;
/// use larder_origin::changes::{PostgresChanges, Watched};
///
/// # async fn example(invalidator: Invalidator) -> Result<(), Box<dyn std::error::Error>> {
/// let changes = PostgresChanges::new("postgres://shop@db.internal/shop".parse()?)
///     .watch(Watched::table("products").tag("product-{id}").tag("product-lists"))
///     .watch(Watched::table("prices").in_schema("billing").tag("product-{product_id}").soft());
/// changes.install().await?;
/// let following = changes.follow(invalidator);
/// # following.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "install() makes the triggers, follow() begins to purge"]
pub struct PostgresChanges {
    options: PgConnectOptions,
    schema: String,
    watched: Vec<Watched>,
    interval: Duration,
}

impl PostgresChanges {
    /// Of this database. It gets connections of its own; a pool's options are `(*pool.connect_options()).clone()`. For TLS, turn on
    /// a `tls-rustls-ring-…` feature of sqlx 0.9 in the application.
    pub fn new(options: PgConnectOptions) -> Self {
        Self { options, schema: "larder".to_owned(), watched: Vec::new(), interval: Duration::from_secs(5) }
    }

    /// Watches a table.
    pub fn watch(mut self, watched: Watched) -> Self {
        self.watched.push(watched);
        self
    }

    /// Where outbox and functions are. Default: `larder`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How often to look without having been notified: after a lost connection, or while another program reads. Default: 5 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Makes the schema, the outbox and the triggers, in one transaction. Triggers that are there already are left alone (to make one
    /// waits for whoever changes the table), those of tables that are not watched any more go.
    ///
    /// # Errors
    /// Where a table or column is not there, a template cannot be read, or the database says no.
    pub async fn install(&self) -> Result<(), ChangesError> {
        let mut connection = self.options.connect().await?;
        triggers::install(&mut connection, &Names::new(&self.schema), &self.watched).await?;
        connection.close().await?;
        Ok(())
    }

    /// Removes all triggers, the functions, and the outbox with what is in it. The schema stays if there is anything else in it.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn uninstall(&self) -> Result<(), ChangesError> {
        let mut connection = self.options.connect().await?;
        triggers::uninstall(&mut connection, &Names::new(&self.schema)).await?;
        connection.close().await?;
        Ok(())
    }

    /// Feeds an invalidator from now on, on the current tokio runtime. A database that is not there (yet) is tried again and again.
    pub fn follow(&self, invalidator: Invalidator) -> Following {
        let names = Names::new(&self.schema);
        let notified = Arc::new(Notify::new());
        let listening = tokio::spawn(listen(self.options.clone(), names.channel().to_owned(), notified.clone()));
        let outbox = PostgresOutbox {
            options: self.options.clone(),
            names,
            interval: self.interval,
            reader: None,
            notified,
            listening,
        };
        follow(outbox, invalidator)
    }
}

/// Wakes for every notification, and whenever some may have been lost. Never ends.
async fn listen(options: PgConnectOptions, channel: String, notified: Arc<Notify>) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        let Err(error) = listened(&pool, &channel, &notified).await;
        tracing::warn!(target: "larder::changes", %error, "not notified of changes; looking now and then until it works");
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listened(
    pool: &sqlx::PgPool,
    channel: &str,
    notified: &Notify,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        notified.notify_one();
        // `None` is a connection that was lost and is there again: something may have been missed.
        listener.try_recv().await?;
    }
}

struct PostgresOutbox {
    options: PgConnectOptions,
    names: Names,
    interval: Duration,
    /// Holds the lock.
    reader: Option<PgConnection>,
    notified: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl Drop for PostgresOutbox {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl PostgresOutbox {
    /// A connection that holds the lock; `None` while another program does.
    async fn reader(&mut self) -> Result<Option<PgConnection>, sqlx::Error> {
        if let Some(reader) = self.reader.take() {
            return Ok(Some(reader));
        }
        let mut connection = self.options.connect().await?;
        let sql = "SELECT pg_try_advisory_lock($1)";
        let is_first: bool = sqlx::query_scalar(sql).bind(self.names.lock()).fetch_one(&mut connection).await?;
        if is_first {
            return Ok(Some(connection));
        }
        connection.close().await?;
        Ok(None)
    }
}

impl Outbox for PostgresOutbox {
    async fn read(&mut self) -> Result<Vec<Row>, ChangesError> {
        let Some(mut reader) = self.reader().await? else { return Ok(Vec::new()) };
        let sql = format!("SELECT seq, tag, soft FROM {} ORDER BY seq LIMIT $1", self.names.outbox());
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(ROWS_MAX).fetch_all(&mut reader).await?;
        self.reader = Some(reader);
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    async fn delete(&mut self, rows: &[Row]) -> Result<(), ChangesError> {
        let Some(mut reader) = self.reader().await? else { return Ok(()) };
        // These, and not all that are smaller: a transaction that drew its numbers earlier may commit later.
        let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
        let sql = format!("DELETE FROM {} WHERE seq = ANY($1)", self.names.outbox());
        sqlx::query(AssertSqlSafe(sql)).bind(numbers).execute(&mut reader).await?;
        self.reader = Some(reader);
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), ChangesError> {
        if self.reader.is_none() {
            // Another program reads: notifications are for that one.
            tokio::time::sleep(self.interval).await;
            return Ok(());
        }
        // Being notified or not, it is time to look.
        let _ = tokio::time::timeout(self.interval, self.notified.notified()).await;
        Ok(())
    }
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let tag: Option<String> = row.try_get(1)?;
    let what = tag.map_or(What::Everything, What::Tag);
    Ok(Row { number: row.try_get(0)?, what, soft: row.try_get(2)? })
}
