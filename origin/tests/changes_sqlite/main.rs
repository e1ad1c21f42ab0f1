//! Changes of a SQLite database that become purges: which ones, in which order, and that none is lost.

mod installing;
#[path = "../nodes/mod.rs"]
mod support;

use std::time::Duration;

use larder_origin::Invalidator;
use larder_origin::changes::{Following, SqliteChanges, Watched, sqlx};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use support::{Cluster, until, within};
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE products (
        id INTEGER PRIMARY KEY, category_id INTEGER REFERENCES categories ON DELETE CASCADE, code TEXT UNIQUE, name TEXT);
    CREATE TABLE prices (product_id INTEGER, currency TEXT, cents INTEGER, PRIMARY KEY (product_id, currency)) WITHOUT ROWID;
";

/// A shop's database, and somebody who changes it.
struct Shop {
    folder: TempDir,
    options: SqliteConnectOptions,
    somebody: SqliteConnection,
}

impl Shop {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("shop.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true).foreign_keys(true);
        let somebody = options.connect().await.expect("a connection");
        let mut shop = Self { folder, options, somebody };
        shop.run(SCHEMA).await;
        shop
    }

    async fn run(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        sql.execute(&mut self.somebody).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        sql.fetch_one(&mut self.somebody).await.expect("a number")
    }

    async fn outbox(&mut self) -> i64 {
        self.number("SELECT count(*) FROM larder_outbox").await
    }

    /// Waits until what was handed on is deleted, too.
    async fn is_drained(&mut self) {
        let end = tokio::time::Instant::now() + support::PATIENCE;
        while self.outbox().await > 0 {
            assert!(tokio::time::Instant::now() < end, "the outbox is empty");
        }
    }

    fn changes(&self) -> SqliteChanges {
        SqliteChanges::new(self.options.clone())
            .watch(Watched::table("products").tag("product-{id}").tag("category-{category_id}").tag("lists"))
            .watch(Watched::table("prices").tag("price:{product_id}/{currency}"))
            .interval(Duration::from_millis(5))
    }

    fn kept(&self, cluster: &Cluster) -> Invalidator {
        cluster.invalidator().directory(self.folder.path().join("purges")).build().expect("an invalidator")
    }
}

/// A node, a shop, and what is purged in between.
struct World {
    cluster: Cluster,
    shop: Shop,
    following: Following,
    _invalidator: Invalidator,
    seen: usize,
}

impl World {
    async fn new() -> Self {
        let (cluster, shop) = (Cluster::new().await, Shop::new().await);
        shop.changes().install().await.expect("installed");
        let invalidator = shop.kept(&cluster);
        let following = shop.changes().follow(invalidator.clone());
        Self { cluster, shop, following, _invalidator: invalidator, seen: 0 }
    }

    /// What somebody's SQL purges, sorted, separated by blanks.
    async fn purges(&mut self, sql: &str) -> String {
        self.shop.run(sql).await;
        // A mark behind it: what comes before it was all there is.
        self.shop.run("INSERT INTO larder_outbox (tag) VALUES ('mark')").await;
        let (cluster, seen) = (&self.cluster, self.seen);
        until("the mark", async || cluster.purged().await.iter().skip(seen).any(|tag| tag == "mark")).await;
        let purged = cluster.purged().await;
        let mut new: Vec<&str> = purged.iter().skip(seen).map(String::as_str).filter(|tag| *tag != "mark").collect();
        new.sort_unstable();
        new.dedup();
        let new = new.join(" ");
        self.seen = purged.len();
        new
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_purges_what_the_row_stood_for_and_what_it_stands_for() {
    let mut world = World::new().await;
    for (sql, want) in [
        ("INSERT INTO categories VALUES (1, 'a'), (2, 'b')", ""),
        ("INSERT INTO products VALUES (7, 1, 'c7', 'chair')", "category-1 lists product-7"),
        ("UPDATE products SET name = 'stool' WHERE id = 7", "category-1 lists product-7"),
        ("UPDATE products SET category_id = 2 WHERE id = 7", "category-1 category-2 lists product-7"),
        ("UPDATE products SET id = 8 WHERE id = 7", "category-2 lists product-7 product-8"),
        ("UPDATE products SET name = 'none' WHERE id = 99", ""),
        ("INSERT INTO products (id, name) VALUES (9, 'without a category')", "lists product-9"),
        ("INSERT INTO prices VALUES (8, 'EUR', 100)", "price:8/EUR"),
        ("DELETE FROM products WHERE id = 8", "category-2 lists product-8"),
        ("DELETE FROM products", "lists product-9"),
        ("INSERT INTO products VALUES (1, 1, NULL, NULL), (2, 1, NULL, NULL)", "category-1 lists product-1 product-2"),
        // By way of a foreign key.
        ("DELETE FROM categories", "category-1 lists product-1 product-2"),
    ] {
        assert_eq!(world.purges(sql).await, want, "{sql}");
    }
    world.following.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replaced_is_purged() {
    let mut world = World::new().await;
    world.purges("INSERT INTO categories VALUES (1, 'a'), (2, 'b')").await;
    world.purges("INSERT INTO products VALUES (7, 1, 'c7', 'chair')").await;
    for (sql, want) in [
        ("INSERT OR REPLACE INTO products VALUES (7, 2, 'c7', 'x')", "category-1 category-2 lists product-7"),
        // The row that goes has another number, and the same code.
        ("REPLACE INTO products VALUES (8, 1, 'c7', 'y')", "category-1 category-2 lists product-7 product-8"),
        (
            "INSERT INTO products VALUES (8, 2, 'c8', 'z') ON CONFLICT (id) DO UPDATE SET category_id = 2",
            "category-1 category-2 lists product-8",
        ),
        ("INSERT INTO prices VALUES (1, 'EUR', 5)", "price:1/EUR"),
        ("REPLACE INTO prices VALUES (1, 'EUR', 6)", "price:1/EUR"),
    ] {
        assert_eq!(world.purges(sql).await, want, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rolled_back_purges_nothing() {
    let mut world = World::new().await;
    assert_eq!(world.purges("BEGIN; INSERT INTO products (id) VALUES (1); ROLLBACK").await, "");
    assert_eq!(world.purges("BEGIN; INSERT INTO products (id) VALUES (2); COMMIT").await, "lists product-2");
    world.shop.is_drained().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_while_nobody_followed_comes_in_order() {
    let (cluster, mut shop) = (Cluster::new().await, Shop::new().await);
    let changes = SqliteChanges::new(shop.options.clone()).watch(Watched::table("categories").tag("c{id}"));
    changes.install().await.expect("installed");
    let rows = 2500;
    shop.run(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) INSERT INTO categories SELECT i, '' FROM n"
    ))
    .await;
    let invalidator = shop.kept(&cluster);
    let following = changes.interval(Duration::from_millis(5)).follow(invalidator.clone());
    until("all of them", async || following.status().rows == rows).await;
    within(invalidator.flushed()).await;
    let want: Vec<String> = (1..=rows).map(|number| format!("c{number}")).collect();
    assert_eq!(cluster.purged().await, want);
    assert_eq!(shop.outbox().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_stay_in_the_outbox_until_they_are_kept() {
    for kept in [false, true] {
        let (mut cluster, mut shop) = (Cluster::down(), Shop::new().await);
        shop.changes().install().await.expect("installed");
        let invalidator =
            if kept { shop.kept(&cluster) } else { cluster.invalidator().build().expect("an invalidator") };
        let following = shop.changes().follow(invalidator.clone());
        shop.run("INSERT INTO products (id) VALUES (1)").await;
        until("attempts fail", async || invalidator.status().failed_attempts > 3).await;
        if kept {
            // They are on the invalidator's disk.
            let following = &following;
            until("they are handed on", async || following.status().rows == 2).await;
            assert_eq!(shop.outbox().await, 0);
        } else {
            // They are nowhere else.
            assert_eq!((following.status().rows, shop.outbox().await), (0, 2));
            drop(following);
            invalidator.shutdown(Duration::ZERO).await;
        }
        cluster.start().await;
        let invalidator = if kept { invalidator } else { cluster.invalidator().build().expect("an invalidator") };
        let _following = shop.changes().follow(invalidator.clone());
        until("purged", async || cluster.purged().await.len() >= 2).await;
        let mut purged = cluster.purged().await;
        purged.sort();
        assert_eq!(purged, ["lists", "product-1"], "kept: {kept}");
        shop.is_drained().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_come_and_go_lose_nothing() {
    let (cluster, mut shop) = (Cluster::new().await, Shop::new().await);
    shop.changes().install().await.expect("installed");
    let invalidator = shop.kept(&cluster);
    for number in 0..60 {
        let following = shop.changes().follow(invalidator.clone());
        shop.run(&format!("INSERT INTO products (id) VALUES ({number})")).await;
        // At any point of what it does.
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        if number % 2 == 0 { within(following.stop()).await } else { drop(following) }
    }
    let _following = shop.changes().follow(invalidator.clone());
    let all: Vec<String> = (0..60).map(|number| format!("product-{number}")).collect();
    until("all of them", async || {
        let purged = cluster.purged().await;
        all.iter().all(|tag| purged.contains(tag))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let (cluster, folder) = (Cluster::new().await, tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("later.db");
    let changes = SqliteChanges::new(SqliteConnectOptions::new().filename(&file))
        .watch(Watched::table("t").tag("t-{id}"))
        .interval(Duration::from_millis(5));
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    let following = changes.follow(invalidator);
    until("it fails", async || following.status().failing.is_some()).await;
    let mut somebody =
        SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.expect("a connection");
    sqlx::raw_sql("CREATE TABLE t (id)").execute(&mut somebody).await.expect("a table");
    changes.install().await.expect("installed");
    sqlx::raw_sql("INSERT INTO t VALUES (1)").execute(&mut somebody).await.expect("a row");
    following.wake();
    until("purged", async || cluster.purged().await == ["t-1"]).await;
    until("it works", async || following.status().failing.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waking_it_spares_the_interval() {
    let (cluster, mut shop) = (Cluster::new().await, Shop::new().await);
    let changes = shop.changes().interval(Duration::from_secs(3600));
    changes.install().await.expect("installed");
    let following = changes.follow(cluster.invalidator().build().expect("an invalidator"));
    for number in 1..4 {
        shop.run(&format!("INSERT INTO prices VALUES ({number}, 'EUR', 1)")).await;
        following.wake();
        until("purged", async || cluster.purged().await.last() == Some(&format!("price:{number}/EUR"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_make_no_tag_do_not_hold_up_the_others() {
    let mut world = World::new().await;
    let long = "x".repeat(20_000);
    assert_eq!(world.purges("INSERT INTO prices VALUES (1, X'ff00fe', 1), (2, 'EUR', 1)").await, "price:2/EUR");
    // larder-node's log does not take it: a dead letter.
    assert_eq!(
        world.purges(&format!("INSERT INTO prices VALUES (3, '{long}', 1), (4, 'EUR', 1)")).await,
        "price:4/EUR"
    );
}
