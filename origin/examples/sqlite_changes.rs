//! A program that watches a SQLite database and purges what others change in it.
//!
//! ```sh
//! larder node &
//! cargo run -p larder-origin --features sqlite --example sqlite_changes -- --node http://127.0.0.1:9902
//! ```

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use larder_origin::changes::{SqliteChanges, Watched, sqlx};
use larder_origin::invalidator::Remaining;
use larder_origin::{Invalidator, Purge};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// Watches the table `products` of a SQLite database and purges `product-{id}` and `product-lists` whenever it is changed, by whomever.
///
/// While it runs, change the database from elsewhere, for example:
/// sqlite3 shop.db "UPDATE products SET name = 'stool' WHERE id = 1"
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Options {
    /// The admin plane of a node; several that share a purge log are asked in turn
    #[arg(long = "node", value_name = "URL", default_value = "http://127.0.0.1:9902")]
    nodes: Vec<String>,

    /// A file with a token of the scope `purge`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The database; made, with an empty table, if need be [default: a temporary one]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,

    /// Where purges are kept until a node has taken them [default: nowhere, rows wait in the database's outbox]
    #[arg(long, value_name = "FOLDER")]
    queue: Option<PathBuf>,

    /// Change the database so many times, from a connection of its own, and end; 0 watches until Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 3)]
    changes: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let temporary = tempfile::tempdir().context("no temporary folder")?;
    let database = options.database.unwrap_or_else(|| temporary.path().join("shop.db"));
    let shop = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let mut somebody = shop.connect().await.with_context(|| format!("cannot open {}", database.display()))?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT)")
        .execute(&mut somebody)
        .await?;

    let mut builder = Invalidator::builder().nodes(&options.nodes);
    if let Some(folder) = options.queue {
        builder = builder.directory(folder);
    }
    if let Some(file) = options.token_file {
        builder = builder.token_file(file);
    }
    let invalidator = builder.build()?;
    let changes = SqliteChanges::new(shop).watch(Watched::table("products").tag("product-{id}").tag("product-lists"));
    changes.install().await?;
    let following = changes.follow(invalidator.clone());
    println!("watching {}, purging at {}", database.display(), options.nodes.join(", "));

    if options.changes == 0 {
        println!("change the table products; Ctrl-C ends");
        tokio::signal::ctrl_c().await?;
    }
    for number in 1..=options.changes {
        // Whoever does this knows nothing of caches.
        sqlx::query("INSERT INTO products (name) VALUES (?)")
            .bind(format!("chair {number}"))
            .execute(&mut somebody)
            .await?;
        println!("inserted a product");
    }
    if options.changes > 0 {
        let all_of_it = async {
            while following.status().rows < u64::from(options.changes) * 2 {
                following.wake();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Behind all of them: when every worker has heard this, it has heard the others.
            let mut last = invalidator.purge(Purge::new().tag("product-lists")).await?;
            let accepted = last.delivered(Duration::from_secs(10)).await?;
            println!("{} has taken all purges, the last is number {}", accepted.node(), accepted.sequence());
            println!("every worker has heard of them");
            anyhow::Ok(())
        };
        if let Err(error) = tokio::time::timeout(Duration::from_secs(15), all_of_it).await? {
            println!("{error}");
        }
    }

    somebody.close().await?;
    following.stop().await;
    match invalidator.shutdown(Duration::from_secs(5)).await {
        Remaining::Nothing => println!("nothing is left to purge"),
        Remaining::Kept(purges) => println!("{purges} purges wait in the queue's folder for the next start"),
        Remaining::Lost(_) => println!("not all was purged; what the outbox still has waits for the next start"),
        other => println!("{other:?}"),
    }
    Ok(())
}
