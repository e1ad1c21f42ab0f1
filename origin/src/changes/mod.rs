//! Purges when a database changes, whoever changes it: another program, a script, somebody at the prompt.
//!
//! Triggers write the tags of every row that is inserted, updated or deleted into an outbox, a table of the same database, in the same
//! transaction: they are there if and only if the change is. A task reads the outbox, hands the tags to an
//! [`Invalidator`](crate::Invalidator) in order, and deletes what that has kept. What was written while nobody was reading is purged
//! as soon as somebody reads.
//!
//! Several programs may read one outbox: then a tag may be purged more than once, which harms nobody.
//!
//! What happens shows in [`Following::status`], in `tracing` events of the target `larder::changes`, and with the feature `metrics` in
//! the counter `larder_changes_rows_total`: rows that were handed on.
//!
#![cfg_attr(
    feature = "sqlite",
    doc = r#"
```
# use std::time::Duration;
use larder_origin::Invalidator;
use larder_origin::changes::{SqliteChanges, Watched, sqlx};

# #[tokio::main]
# async fn main() -> Result<(), Box<dyn std::error::Error>> {
# use sqlx::{ConnectOptions, Connection};
# let node = larder_node::Node::start(larder_node::Config::in_memory()?).await?;
# let (admin, folder) = (format!("http://{}", node.admin.ok_or("no admin plane")?), tempfile::tempdir()?);
# let file = folder.path().join("shop.db");
# let shop = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
# let mut other = shop.connect().await?;
# sqlx::raw_sql("CREATE TABLE products (id INTEGER PRIMARY KEY, category_id INTEGER, name TEXT)").execute(&mut other).await?;
let invalidator = Invalidator::builder().node(admin).directory(folder.path().join("purges")).build()?;
let changes = SqliteChanges::new(shop)
    .watch(Watched::table("products").tag("product-{id}").tag("category-{category_id}").tag("product-lists"))
    .interval(Duration::from_millis(50));
changes.install().await?; // once, or at every start: what is there already is left alone
let following = changes.follow(invalidator.clone());

// Somebody else:
sqlx::raw_sql("INSERT INTO products VALUES (7, 3, 'chair')").execute(&mut other).await?;

# for _ in 0..500 {
#     if invalidator.status().accepted == 3 { break }
#     tokio::time::sleep(Duration::from_millis(10)).await;
# }
assert_eq!(invalidator.status().accepted, 3);
following.stop().await;
invalidator.shutdown(Duration::from_secs(5)).await;
# Ok(())
# }
```
"#
)]

mod errors;
mod outbox;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod watched;

pub use self::errors::ChangesError;
pub use self::outbox::{Following, FollowingStatus};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresChanges;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteChanges;
pub use self::watched::Watched;
/// The database library, in the version that this crate takes options of.
pub use sqlx;
