//! SQLite: an outbox that triggers fill, and a connection that looks whether others have changed the file.

mod triggers;

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::errors::ChangesError;
use super::outbox::{Following, Outbox, ROWS_MAX, Row, What, follow};
use super::watched::Watched;
use crate::invalidator::Invalidator;

/// Watches tables of a SQLite database.
///
/// The database is a file: each connection to `:memory:` has a database of its own. Two things that triggers do not see: rows that
/// `UPDATE OR REPLACE` removes because another row took their place (with `PRAGMA recursive_triggers = ON` they do), and what is
/// replaced by way of a unique index on an expression or with a `WHERE`. `INSERT OR REPLACE` is seen; `INSERT OR IGNORE` purges
/// the row that is there already.
#[derive(Clone, Debug)]
#[must_use = "install() makes the triggers, follow() begins to purge"]
pub struct SqliteChanges {
    options: SqliteConnectOptions,
    watched: Vec<Watched>,
    interval: Duration,
}

impl SqliteChanges {
    /// Of this database. It gets a connection of its own; a pool's options are `(*pool.connect_options()).clone()`.
    pub fn new(options: SqliteConnectOptions) -> Self {
        Self { options, watched: Vec::new(), interval: Duration::from_millis(200) }
    }

    /// Watches a table.
    pub fn watch(mut self, watched: Watched) -> Self {
        self.watched.push(watched);
        self
    }

    /// How often to look whether the file was changed (`PRAGMA data_version`, which reads no table). Default: 200 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Makes the outbox and the triggers, in one transaction. Triggers that are there already and right are left alone, those of tables
    /// that are not watched any more go.
    ///
    /// # Errors
    /// Where a table or column is not there, a template cannot be read, or the database says no.
    pub async fn install(&self) -> Result<(), ChangesError> {
        let mut connection = self.options.connect().await?;
        triggers::install(&mut connection, &self.watched).await?;
        connection.close().await?;
        Ok(())
    }

    /// Removes all triggers, and the outbox with what is in it.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn uninstall(&self) -> Result<(), ChangesError> {
        let mut connection = self.options.connect().await?;
        triggers::uninstall(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Feeds an invalidator from now on, on the current tokio runtime. A database that is not there (yet) is tried again and again.
    pub fn follow(&self, invalidator: Invalidator) -> Following {
        let outbox =
            SqliteOutbox { options: self.options.clone(), interval: self.interval, connection: None, version: None };
        follow(outbox, invalidator)
    }
}

struct SqliteOutbox {
    options: SqliteConnectOptions,
    interval: Duration,
    connection: Option<SqliteConnection>,
    /// Of the file, before the last time that the outbox was read.
    version: Option<i64>,
}

impl SqliteOutbox {
    /// Runs a task on the connection. After an error the next one begins with a new connection.
    async fn on_connection<T>(
        &mut self,
        task: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, ChangesError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.version = None;
                self.options.connect().await?
            }
        };
        let done = task(&mut connection).await?;
        self.connection = Some(connection);
        Ok(done)
    }
}

impl Outbox for SqliteOutbox {
    async fn read(&mut self) -> Result<Vec<Row>, ChangesError> {
        let (version, rows) = self
            .on_connection(async |connection| {
                // The version first: what is written between the two is read, and looked for once more.
                let version = data_version(connection).await?;
                // As bytes: a column may hold anything, and one odd value must not stop the rest.
                let sql = "SELECT seq, CAST(tag AS BLOB), soft FROM larder_outbox ORDER BY seq LIMIT ?";
                let rows = sqlx::query(sql).bind(ROWS_MAX).fetch_all(connection).await?;
                Ok((version, rows.iter().map(row).collect::<Result<Vec<Row>, _>>()?))
            })
            .await?;
        self.version = Some(version);
        Ok(rows)
    }

    async fn delete(&mut self, rows: &[Row]) -> Result<(), ChangesError> {
        // SQLite has one writer at a time and AUTOINCREMENT only grows: nothing smaller can be committed later.
        let Some(last) = rows.iter().map(|row| row.number).max() else { return Ok(()) };
        self.on_connection(async |connection| {
            sqlx::query("DELETE FROM larder_outbox WHERE seq <= ?").bind(last).execute(connection).await.map(drop)
        })
        .await
    }

    async fn wait(&mut self) -> Result<(), ChangesError> {
        loop {
            tokio::time::sleep(self.interval).await;
            let version = self.on_connection(data_version).await?;
            if self.version != Some(version) {
                return Ok(());
            }
        }
    }
}

/// Another number as soon as another connection has changed the database.
async fn data_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let tag: Option<Vec<u8>> = row.try_get(1)?;
    let what = match tag.map(String::from_utf8) {
        None => What::Everything,
        Some(Ok(tag)) => What::Tag(tag),
        Some(Err(_)) => What::NoText,
    };
    Ok(Row { number: row.try_get(0)?, what, soft: row.try_get(2)? })
}
