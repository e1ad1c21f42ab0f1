//! The outbox and its triggers as SQLite has them.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};

use crate::changes::errors::ChangesError;
use crate::changes::watched::{Part, Watched, identifier};

/// What the names of our triggers begin with.
const PREFIX: &str = "larder_outbox_";

const OUTBOX: &str = "CREATE TABLE IF NOT EXISTS larder_outbox \
    (seq INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT, soft INTEGER NOT NULL DEFAULT 0)";

/// Makes what is missing, and removes what is too much.
pub(super) async fn install(connection: &mut SqliteConnection, watched: &[Watched]) -> Result<(), ChangesError> {
    // A writer from the start: two that install at the same time take turns.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(OUTBOX).execute(&mut *transaction).await?;
    let mut wanted = BTreeMap::new();
    for watched in watched {
        let table = Table::read(&mut transaction, watched).await?;
        for (name, sql) in table.triggers() {
            if wanted.insert(name, sql).is_some() {
                return Err(ChangesError::Twice { table: watched.table.clone() });
            }
        }
    }
    for (name, sql) in ours(&mut transaction).await? {
        if wanted.get(&name) == Some(&sql) {
            wanted.remove(&name);
        } else {
            execute(&mut transaction, format!("DROP TRIGGER {}", identifier(&name))).await?;
        }
    }
    for (_, sql) in wanted {
        execute(&mut transaction, sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Removes all of it.
pub(super) async fn uninstall(connection: &mut SqliteConnection) -> Result<(), ChangesError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (name, _) in ours(&mut transaction).await? {
        execute(&mut transaction, format!("DROP TRIGGER {}", identifier(&name))).await?;
    }
    sqlx::query("DROP TABLE IF EXISTS larder_outbox").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Our triggers by name, and their SQL.
async fn ours(connection: &mut SqliteConnection) -> Result<Vec<(String, String)>, ChangesError> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1";
    let rows = sqlx::query(sql).bind(PREFIX).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?)
}

/// Runs SQL that was put together here, of names that are quoted.
async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), ChangesError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// A table, held against the database.
struct Table {
    name: String,
    tags: Vec<Vec<Part>>,
    soft: bool,
    /// The columns of each primary key and unique index: `INSERT OR REPLACE` replaces by these.
    keys: Vec<Vec<String>>,
}

impl Table {
    async fn read(connection: &mut SqliteConnection, watched: &Watched) -> Result<Self, ChangesError> {
        let tags = watched.parts()?;
        let found: Option<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? AND name <> 'larder_outbox'",
        )
        .bind(&watched.table)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(name) = found else { return Err(ChangesError::NoTable { table: watched.table.clone() }) };
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?)")
            .bind(&name)
            .fetch_all(&mut *connection)
            .await?;
        watched.check_columns(&tags, &columns)?;
        let primary: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk")
            .bind(&name)
            .fetch_all(&mut *connection)
            .await?;
        let mut keys = vec![primary];
        let indexes: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND NOT partial")
                .bind(&name)
                .fetch_all(&mut *connection)
                .await?;
        for index in indexes {
            let columns: Vec<Option<String>> =
                sqlx::query_scalar("SELECT name FROM pragma_index_info(?) ORDER BY seqno")
                    .bind(index)
                    .fetch_all(&mut *connection)
                    .await?;
            // An expression has no name.
            keys.extend(columns.into_iter().collect::<Option<Vec<String>>>());
        }
        keys.retain(|key| !key.is_empty());
        keys.sort();
        keys.dedup();
        Ok(Self { name, tags, soft: watched.soft, keys })
    }

    fn triggers(&self) -> Vec<(String, String)> {
        let (old, new) = (self.tags("OLD"), self.tags("NEW"));
        let both: Vec<String> = old.iter().chain(&new).cloned().collect();
        let mut triggers = vec![
            self.trigger("insert", "AFTER INSERT", &new, ""),
            self.trigger("update", "AFTER UPDATE", &both, ""),
            self.trigger("delete", "AFTER DELETE", &old, ""),
        ];
        if !self.keys.is_empty() {
            // No other trigger sees the row that INSERT OR REPLACE deletes.
            let same = |column: &String| format!("replaced.{0} = NEW.{0}", identifier(column));
            let keys: Vec<String> =
                self.keys.iter().map(|key| key.iter().map(same).collect::<Vec<_>>().join(" AND ")).collect();
            let from = format!(" FROM {} AS replaced WHERE ({})", identifier(&self.name), keys.join(") OR ("));
            triggers.push(self.trigger("replace", "BEFORE INSERT", &self.tags("replaced"), &from));
        }
        triggers
    }

    fn trigger(&self, kind: &str, when: &str, tags: &[String], from: &str) -> (String, String) {
        let name = format!("{PREFIX}{}_{kind}", self.name);
        let selects: Vec<String> = tags.iter().map(|tag| format!("SELECT {tag} AS tag{from}")).collect();
        let sql = format!(
            "CREATE TRIGGER {} {when} ON {} BEGIN INSERT INTO larder_outbox (tag, soft) \
             SELECT tag, {} FROM ({}) WHERE tag IS NOT NULL; END",
            identifier(&name),
            identifier(&self.name),
            u8::from(self.soft),
            selects.join(" UNION ")
        );
        (name, sql)
    }

    /// The tags as expressions over a row; null where a column is.
    fn tags(&self, row: &str) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Part::Column(column) => format!("CAST({row}.{} AS TEXT)", identifier(column)),
        };
        self.tags.iter().map(|parts| parts.iter().map(part).collect::<Vec<_>>().join(" || ")).collect()
    }
}
