//! Changes of a Postgres database that become purges, with a server of our own. Where there is none, nothing is tested, and a line says
//! so; with `LARDER_REQUIRE_SERVICES` set that is a failure.

mod server;
#[path = "../nodes/mod.rs"]
mod support;

use std::time::Duration;

use larder_origin::Invalidator;
use larder_origin::changes::{ChangesError, PostgresChanges, Watched, sqlx};
use server::{Postgres, run};
use sqlx::postgres::PgConnection;
use support::{Cluster, until, within};

const SCHEMA: &str = "
    CREATE TABLE categories (id int PRIMARY KEY, name text);
    CREATE TABLE products (id int PRIMARY KEY, category_id int REFERENCES categories ON DELETE CASCADE, detail json);
    CREATE SCHEMA billing;
    CREATE TYPE billing.currency AS ENUM ('EUR', 'USD');
    CREATE TABLE billing.prices (product_id int, currency billing.currency, cents int, PRIMARY KEY (product_id, currency));
";

/// Not reached unless notifications fail.
const NEVER: Duration = Duration::from_secs(3600);

struct World {
    cluster: Cluster,
    server: Postgres,
    somebody: PgConnection,
    invalidator: Invalidator,
    seen: usize,
}

impl World {
    async fn new() -> Option<Self> {
        let server = Postgres::start().await?;
        let mut somebody = server.connect().await;
        run(&mut somebody, SCHEMA).await;
        let cluster = Cluster::new().await;
        let invalidator = cluster.invalidator().build().expect("an invalidator");
        Some(Self { cluster, server, somebody, invalidator, seen: 0 })
    }

    fn changes(&self) -> PostgresChanges {
        PostgresChanges::new(self.server.options())
            .watch(Watched::table("products").tag("product-{id}").tag("category-{category_id}").tag("lists"))
            .watch(Watched::table("prices").in_schema("billing").tag("price:{product_id}/{currency}").soft())
    }

    /// What somebody's SQL purges, sorted, separated by blanks.
    async fn purges(&mut self, sql: &str) -> String {
        run(&mut self.somebody, sql).await;
        // A mark behind it: what comes before it was all there is.
        let mark = "INSERT INTO larder.outbox (tag) VALUES ('mark'); NOTIFY larder_outbox";
        run(&mut self.somebody, mark).await;
        let (cluster, seen) = (&self.cluster, self.seen);
        until("the mark", async || cluster.purged().await.iter().skip(seen).any(|tag| tag == "mark")).await;
        let purged = cluster.purged().await;
        let mut new: Vec<&str> = purged.iter().skip(seen).map(String::as_str).filter(|tag| *tag != "mark").collect();
        new.sort_unstable();
        new.dedup();
        let new = new.join(", ");
        self.seen = purged.len();
        new
    }

    /// Waits until what was handed on is deleted, too: otherwise it may be purged again.
    async fn is_drained(&mut self) {
        let end = tokio::time::Instant::now() + support::PATIENCE;
        while self.number("SELECT count(*) FROM larder.outbox").await > 0 {
            assert!(tokio::time::Instant::now() < end, "the outbox is empty");
        }
    }

    async fn number(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.somebody).await.expect("a number")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_purges_what_the_row_stood_for_and_what_it_stands_for() {
    let Some(mut world) = World::new().await else { return };
    world.changes().install().await.expect("installed");
    let following = world.changes().interval(NEVER).follow(world.invalidator.clone());
    for (sql, want) in [
        ("INSERT INTO categories VALUES (1, 'a'), (2, 'b')", ""),
        ("INSERT INTO products VALUES (7, 1, '{}')", "category-1, lists, product-7"),
        ("UPDATE products SET detail = '[]' WHERE id = 7", "category-1, lists, product-7"),
        ("UPDATE products SET detail = '[]' WHERE id = 7", ""),
        ("UPDATE products SET category_id = 2 WHERE id = 7", "category-1, category-2, lists, product-7"),
        ("UPDATE products SET id = 8 WHERE id = 7", "category-2, lists, product-7, product-8"),
        ("UPDATE products SET detail = '1' WHERE id = 99", ""),
        ("INSERT INTO products (id) VALUES (9)", "lists, product-9"),
        (
            "INSERT INTO products VALUES (9, 2) ON CONFLICT (id) DO UPDATE SET category_id = 2",
            "category-2, lists, product-9",
        ),
        ("INSERT INTO products VALUES (9, 1) ON CONFLICT DO NOTHING", ""),
        ("INSERT INTO billing.prices VALUES (8, 'EUR', 100)", "soft price:8/EUR"),
        ("DELETE FROM products WHERE id = 9", "category-2, lists, product-9"),
        // By way of a foreign key.
        ("DELETE FROM categories WHERE id = 2", "category-2, lists, product-8"),
        ("BEGIN; INSERT INTO products VALUES (1); ROLLBACK", ""),
        ("TRUNCATE products", "all"),
        ("TRUNCATE billing.prices", "soft all"),
    ] {
        assert_eq!(world.purges(sql).await, want, "{sql}");
    }
    world.is_drained().await;
    within(following.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_while_nobody_followed_comes_and_late_commits_are_not_missed() {
    let Some(mut world) = World::new().await else { return };
    world.changes().install().await.expect("installed");
    // It draws its numbers first, and commits last.
    let mut late = world.server.connect().await;
    run(&mut late, "BEGIN; INSERT INTO products VALUES (1000000)").await;
    run(&mut world.somebody, "INSERT INTO products SELECT generate_series(1, 3000)").await;
    world.cluster.stop().await;
    let following = world.changes().interval(NEVER).follow(world.invalidator.clone());
    // Rows are read, and not deleted: no node takes them.
    let invalidator = world.invalidator.clone();
    until("rows are read", async || invalidator.status().failed_attempts > 0).await;
    run(&mut late, "COMMIT").await;
    world.cluster.start().await;
    until("all of it", async || following.status().rows == 6002).await;
    let purged = world.cluster.purged().await;
    assert!((1..=3000).chain([1_000_000]).all(|id| purged.contains(&format!("product-{id}"))));
    world.is_drained().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_follow_one_reads_and_the_other_takes_over() {
    let Some(mut world) = World::new().await else { return };
    world.changes().install().await.expect("installed");
    let quick = world.changes().interval(Duration::from_millis(20));
    let first = quick.follow(world.invalidator.clone());
    assert_eq!(world.purges("INSERT INTO products VALUES (1)").await, "lists, product-1");
    let second = quick.follow(world.invalidator.clone());
    assert_eq!(world.purges("INSERT INTO products VALUES (2)").await, "lists, product-2");
    assert_eq!(second.status().rows, 0);
    world.is_drained().await;
    drop(first);
    assert_eq!(world.purges("INSERT INTO products VALUES (3)").await, "lists, product-3");
    until("the second reads", async || second.status().rows > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_comes_back_is_followed_on() {
    let Some(mut world) = World::new().await else { return };
    world.changes().install().await.expect("installed");
    let following = world.changes().interval(Duration::from_millis(100)).follow(world.invalidator.clone());
    assert_eq!(world.purges("INSERT INTO products VALUES (1)").await, "lists, product-1");
    world.is_drained().await;
    world.server.down();
    following.wake();
    until("it fails", async || following.status().failing.is_some()).await;
    world.server.up().await;
    world.somebody = world.server.connect().await;
    assert_eq!(world.purges("INSERT INTO products VALUES (2)").await, "lists, product-2");
    until("it works", async || following.status().failing.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_again_otherwise_and_not_at_all() {
    let Some(mut world) = World::new().await else { return };
    const TRIGGERS: &str = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal";
    const OURS: &str = "SELECT coalesce(sum(oid::bigint), 0)::bigint FROM pg_trigger WHERE NOT tgisinternal";
    let together = tokio::join!(async { world.changes().install().await }, async { world.changes().install().await },);
    together.0.and(together.1).expect("installed by two at the same time");
    assert_eq!(world.number(TRIGGERS).await, 4);
    let before = world.number(OURS).await;
    world.changes().install().await.expect("installed");
    assert_eq!(world.number(OURS).await, before, "they were left alone");
    let _following = world.changes().follow(world.invalidator.clone());
    let fewer = PostgresChanges::new(world.server.options()).watch(Watched::table("products").tag("p{id}"));
    fewer.install().await.expect("installed");
    assert_eq!(world.number(TRIGGERS).await, 2);
    assert_eq!(world.purges("INSERT INTO products VALUES (1)").await, "p1");
    assert_eq!(world.purges("INSERT INTO billing.prices VALUES (1, 'EUR', 1)").await, "");
    fewer.uninstall().await.expect("removed");
    assert_eq!(world.number(TRIGGERS).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'larder'").await, 0);
    fewer.uninstall().await.expect("nothing to remove");
    run(&mut world.somebody, "INSERT INTO products VALUES (2)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_needs_no_right_on_the_outbox() {
    let Some(mut world) = World::new().await else { return };
    world.changes().install().await.expect("installed");
    let _following = world.changes().follow(world.invalidator.clone());
    run(&mut world.somebody, "CREATE ROLE clerk; GRANT INSERT ON products TO clerk").await;
    let sql = "SET ROLE clerk; INSERT INTO products VALUES (1); RESET ROLE";
    assert_eq!(world.purges(sql).await, "lists, product-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_watched_with_their_parent() {
    let Some(mut world) = World::new().await else { return };
    let sql = "CREATE TABLE events (id int, year int) PARTITION BY LIST (year); \
               CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1)";
    run(&mut world.somebody, sql).await;
    let changes = PostgresChanges::new(world.server.options()).watch(Watched::table("events").tag("event-{id}"));
    changes.install().await.expect("installed");
    changes.install().await.expect("installed again");
    let _following = changes.follow(world.invalidator.clone());
    assert_eq!(world.purges("INSERT INTO events VALUES (1, 1)").await, "event-1");
    assert_eq!(world.purges("INSERT INTO events_1 VALUES (2, 1)").await, "event-2");
    assert_eq!(world.purges("TRUNCATE events").await, "all");
    changes.uninstall().await.expect("removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_and_names_and_texts_of_any_kind_are_quoted() {
    let Some(mut world) = World::new().await else { return };
    let install = async |watched: Watched| PostgresChanges::new(world.server.options()).watch(watched).install().await;
    let error = install(Watched::table("prices").tag("t")).await;
    assert!(matches!(error, Err(ChangesError::NoTable { .. })), "it is in another schema: {error:?}");
    let error = install(Watched::table("products").tag("{code}")).await.expect_err("an error");
    assert!(error.to_string().ends_with(r#"no column "code"; it has id, category_id, detail"#), "{error}");
    assert_eq!(world.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'larder'").await, 0);
    let table = r#"we"ird'; DROP TABLE products; --"#;
    let quoted = table.replace('"', "\"\"");
    run(&mut world.somebody, &format!("CREATE TABLE \"{quoted}\" (\"a\"\"b'c\" text)")).await;
    let changes = PostgresChanges::new(world.server.options())
        .watch(Watched::table(table).tag(r#"it's \{{"{a"b'c}"}}'); DROP TABLE products; --"#));
    changes.install().await.expect("installed");
    let _following = changes.follow(world.invalidator.clone());
    let want = r#"it's \{"x'\y"}'); DROP TABLE products; --"#;
    assert_eq!(world.purges(&format!("INSERT INTO \"{quoted}\" VALUES ('x''\\y')")).await, want);
    assert_eq!(world.number("SELECT count(*) FROM products").await, 0);
}
