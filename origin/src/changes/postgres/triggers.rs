//! The outbox, its functions and triggers as Postgres has them.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};

use crate::changes::errors::ChangesError;
use crate::changes::watched::{Part, Watched, identifier};

/// The triggers' names, on whatever table.
const ON_ROWS: &str = "larder_outbox";
const ON_TRUNCATE: &str = "larder_outbox_truncate";

/// Bytes of a name; Postgres cuts longer ones, and says so to nobody.
const NAME_BYTES_MAX: usize = 63;

/// What ours are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    schema: String,
    outbox: String,
    channel: String,
    lock: i64,
}

impl Names {
    pub(super) fn new(schema: &str) -> Self {
        let sum = crc32fast::hash(schema.as_bytes());
        Self {
            schema: schema.to_owned(),
            outbox: format!("{}.outbox", identifier(schema)),
            channel: short(&format!("{schema}_outbox")),
            // Others lock numbers, too: these begin with "lard".
            lock: i64::from(u32::from_be_bytes(*b"lard")) << 32 | i64::from(sum),
        }
    }

    pub(super) fn outbox(&self) -> &str {
        &self.outbox
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn lock(&self) -> i64 {
        self.lock
    }

    fn function(&self, table: &Table) -> String {
        short(&format!("outbox_{}_{}", table.schema, table.name))
    }
}

/// The name, or its beginning and a sum of the whole.
fn short(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let sum = format!("_{:08x}", crc32fast::hash(name.as_bytes()));
    let mut end = NAME_BYTES_MAX.saturating_sub(sum.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.split_at(end).0.to_owned() + &sum
}

/// Makes what is missing, and removes what is too much.
pub(super) async fn install(
    connection: &mut PgConnection,
    names: &Names,
    watched: &[Watched],
) -> Result<(), ChangesError> {
    let mut transaction = connection.begin().await?;
    // Two that install at the same time take turns. (The lock of who reads is another one.)
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(names.lock() ^ i64::MIN).execute(&mut *transaction).await?;
    let schema = identifier(&names.schema);
    // Not `IF NOT EXISTS`: that needs the right to make one even where there is one.
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(&names.schema)
        .fetch_one(&mut *transaction)
        .await?;
    if !exists {
        execute(&mut transaction, format!("CREATE SCHEMA {schema}")).await?;
    }
    let outbox = names.outbox();
    execute(
        &mut transaction,
        format!(
            "CREATE TABLE IF NOT EXISTS {outbox} \
             (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag text, soft boolean NOT NULL DEFAULT false)"
        ),
    )
    .await?;
    let mut wanted: Vec<(Table, String)> = Vec::new();
    for watched in watched {
        let table = Table::read(&mut transaction, names, watched).await?;
        let function = names.function(&table);
        if wanted.iter().any(|(_, name)| *name == function) {
            return Err(ChangesError::Twice { table: watched.table.clone() });
        }
        wanted.push((table, function));
    }
    let there = ours(&mut transaction, names).await?;
    for trigger in &there {
        if !wanted.iter().any(|(table, function)| trigger.is_of(table, function)) {
            execute(&mut transaction, trigger.drop()).await?;
        }
    }
    for function in functions(&mut transaction, names).await? {
        if !wanted.iter().any(|(_, wanted)| *wanted == function) {
            execute(&mut transaction, format!("DROP FUNCTION {schema}.{}()", identifier(&function))).await?;
        }
    }
    for (table, function) in &wanted {
        let qualified = format!("{schema}.{}", identifier(function));
        execute(&mut transaction, table.function(&qualified, names)).await?;
        let kinds = [
            (ON_ROWS, "AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW"),
            (ON_TRUNCATE, "AFTER TRUNCATE", "FOR EACH STATEMENT"),
        ];
        for (name, when, each) in kinds {
            if !there.iter().any(|trigger| trigger.name == name && trigger.is_of(table, function)) {
                let on = table.qualified();
                let sql = format!("CREATE TRIGGER {name} {when} ON {on} {each} EXECUTE FUNCTION {qualified}()");
                execute(&mut transaction, sql).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Removes all of it.
pub(super) async fn uninstall(connection: &mut PgConnection, names: &Names) -> Result<(), ChangesError> {
    let mut transaction = connection.begin().await?;
    for trigger in ours(&mut transaction, names).await? {
        execute(&mut transaction, trigger.drop()).await?;
    }
    for function in functions(&mut transaction, names).await? {
        let qualified = format!("{}.{}", identifier(&names.schema), identifier(&function));
        execute(&mut transaction, format!("DROP FUNCTION {qualified}()")).await?;
    }
    execute(&mut transaction, format!("DROP TABLE IF EXISTS {}", names.outbox())).await?;
    let is_empty: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) \
         AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_namespace n ON d.refobjid = n.oid \
             WHERE d.refclassid = 'pg_namespace'::regclass AND n.nspname = $1)",
    )
    .bind(&names.schema)
    .fetch_one(&mut *transaction)
    .await?;
    if is_empty {
        execute(&mut transaction, format!("DROP SCHEMA {}", identifier(&names.schema))).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Runs SQL that was put together here, of names and texts that are quoted.
async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), ChangesError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// A trigger that runs a function of our schema.
struct Trigger {
    name: String,
    schema: String,
    table: String,
    function: String,
}

impl Trigger {
    fn is_of(&self, table: &Table, function: &str) -> bool {
        self.schema == table.schema && self.table == table.name && self.function == function
    }

    fn drop(&self) -> String {
        let on = format!("{}.{}", identifier(&self.schema), identifier(&self.table));
        format!("DROP TRIGGER {} ON {on}", identifier(&self.name))
    }
}

async fn ours(connection: &mut PgConnection, names: &Names) -> Result<Vec<Trigger>, ChangesError> {
    // A partition's triggers go with the parent's.
    let rows = sqlx::query(
        "SELECT t.tgname::text, n.nspname::text, c.relname::text, p.proname::text FROM pg_trigger t \
         JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace \
         WHERE pn.nspname = $1 AND t.tgname IN ($2, $3) AND NOT t.tgisinternal \
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.classid = 'pg_trigger'::regclass \
             AND d.refclassid = 'pg_trigger'::regclass)",
    )
    .bind(&names.schema)
    .bind(ON_ROWS)
    .bind(ON_TRUNCATE)
    .fetch_all(connection)
    .await?;
    let trigger = |row: &sqlx::postgres::PgRow| {
        Ok(Trigger {
            name: row.try_get(0)?,
            schema: row.try_get(1)?,
            table: row.try_get(2)?,
            function: row.try_get(3)?,
        })
    };
    Ok(rows.iter().map(trigger).collect::<Result<_, sqlx::Error>>()?)
}

/// The functions that triggers of ours run or have run.
async fn functions(connection: &mut PgConnection, names: &Names) -> Result<Vec<String>, ChangesError> {
    let sql = "SELECT proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
        WHERE n.nspname = $1 AND p.prorettype = 'trigger'::regtype AND starts_with(proname::text, 'outbox_')";
    Ok(sqlx::query_scalar(sql).bind(&names.schema).fetch_all(connection).await?)
}

/// A table, held against the database.
struct Table {
    schema: String,
    name: String,
    tags: Vec<Vec<Part>>,
    soft: bool,
}

impl Table {
    async fn read(connection: &mut PgConnection, names: &Names, watched: &Watched) -> Result<Self, ChangesError> {
        let tags = watched.parts()?;
        let found = sqlx::query(
            "SELECT c.oid, n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'f') AND n.nspname <> $3 \
             AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END",
        )
        .bind(&watched.table)
        .bind(&watched.schema)
        .bind(&names.schema)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(found) = found else { return Err(ChangesError::NoTable { table: watched.table.clone() }) };
        let table: sqlx::postgres::types::Oid = found.try_get(0)?;
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        watched.check_columns(&tags, &columns)?;
        Ok(Self { schema: found.try_get(1)?, name: watched.table.clone(), tags, soft: watched.soft })
    }

    fn qualified(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// What the triggers run. As its owner, so that whoever changes rows needs no right on the outbox; with a search path that nobody
    /// else can put anything into.
    fn function(&self, name: &str, names: &Names) -> String {
        let (old, new) = (self.tags("OLD"), self.tags("NEW"));
        let both: Vec<String> = old.iter().chain(&new).cloned().collect();
        let insert = |tags: &[String]| {
            let selects: Vec<String> = tags.iter().map(|tag| format!("SELECT {tag}")).collect();
            format!(
                "INSERT INTO {} (tag, soft) SELECT tag, {} FROM ({}) AS tags (tag) WHERE tag IS NOT NULL;",
                names.outbox(),
                self.soft,
                selects.join(" UNION ")
            )
        };
        let body = format!(
            "BEGIN \
             IF TG_OP = 'TRUNCATE' THEN INSERT INTO {outbox} (tag, soft) VALUES (NULL, {soft}); \
             ELSIF TG_OP = 'INSERT' THEN {inserted} \
             ELSIF TG_OP = 'DELETE' THEN {deleted} \
             ELSIF OLD OPERATOR(pg_catalog.*=) NEW THEN RETURN NULL; \
             ELSE {updated} END IF; \
             PERFORM pg_catalog.pg_notify({channel}, ''); \
             RETURN NULL; \
             END",
            outbox = names.outbox(),
            soft = self.soft,
            inserted = insert(&new),
            deleted = insert(&old),
            updated = insert(&both),
            channel = literal(names.channel()),
        );
        format!(
            "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog, pg_temp AS {}",
            literal(&body)
        )
    }

    /// The tags as expressions over a row; null where a column is.
    fn tags(&self, row: &str) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => format!("{}::text", literal(text)),
            Part::Column(column) => format!("({row}.{})::text", identifier(column)),
        };
        self.tags.iter().map(|parts| parts.iter().map(part).collect::<Vec<_>>().join(" || ")).collect()
    }
}

/// A text, as SQL has it however the server takes backslashes.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_apart() {
        let (one, other) = (short(&("é".repeat(50) + "a")), short(&("é".repeat(50) + "b")));
        assert!(one.len() <= NAME_BYTES_MAX && one != other);
        assert_eq!(short("short"), "short");
        assert_ne!(Names::new("a").lock(), Names::new("b").lock());
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
