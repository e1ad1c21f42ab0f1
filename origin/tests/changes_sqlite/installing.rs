//! Making the triggers: again, otherwise, and where something is wrong.

use std::time::Duration;

use larder_origin::changes::{ChangesError, SqliteChanges, Watched};

use crate::support::{Cluster, until};
use crate::{Shop, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_again_changes_nothing() {
    let mut shop = Shop::new().await;
    shop.changes().install().await.expect("installed");
    let before = shop.number("PRAGMA schema_version").await;
    shop.changes().install().await.expect("installed");
    assert_eq!(shop.number("PRAGMA schema_version").await, before);
    shop.changes().uninstall().await.expect("removed");
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'larder%'").await, 0);
    shop.changes().uninstall().await.expect("nothing to remove");
    shop.run("INSERT INTO products (id) VALUES (1)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_templates_replace_the_triggers_and_tables_not_watched_lose_theirs() {
    let mut world = World::new().await;
    let changes = |watched| SqliteChanges::new(world.shop.options.clone()).watch(watched);
    changes(Watched::table("products").tag("p{id}").soft()).install().await.expect("installed");
    assert_eq!(world.purges("INSERT INTO products (id) VALUES (1)").await, "soft p1");
    assert_eq!(world.purges("INSERT INTO prices VALUES (1, 'EUR', 1)").await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named() {
    let shop = Shop::new().await;
    let install = async |watched: Vec<Watched>| {
        let changes = watched.into_iter().fold(SqliteChanges::new(shop.options.clone()), SqliteChanges::watch);
        changes.install().await.expect_err("an error")
    };
    let table = |name: &str| Watched::table(name).tag("t");
    assert!(matches!(install(vec![table("nowhere")]).await, ChangesError::NoTable { table } if table == "nowhere"));
    assert!(matches!(install(vec![table("larder_outbox")]).await, ChangesError::NoTable { .. }));
    let error = install(vec![Watched::table("products").tag("{ID}")]).await;
    assert_eq!(error.to_string(), r#"the table "products" has no column "ID"; it has id, category_id, code, name"#);
    let error = install(vec![Watched::table("products").tag("p-{id")]).await;
    assert_eq!(error.to_string(), r#"the tag template "p-{id" of the table "products": a { is not closed"#);
    assert!(matches!(install(vec![Watched::table("products")]).await, ChangesError::NoTags { .. }));
    assert!(matches!(install(vec![table("prices"), table("prices")]).await, ChangesError::Twice { .. }));
    // None of it was done by halves.
    let mut shop = shop;
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'larder%'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_texts_of_any_kind_are_quoted() {
    let (cluster, mut shop) = (Cluster::new().await, Shop::new().await);
    let table = r#"we"ird'; DROP TABLE products; --"#;
    let quoted = table.replace('"', "\"\"");
    shop.run(&format!("CREATE TABLE \"{quoted}\" (\"a\"\"b'c\" TEXT PRIMARY KEY)")).await;
    let changes = SqliteChanges::new(shop.options.clone())
        .watch(Watched::table(table).tag(r#"it's {{"{a"b'c}"}}'); DROP TABLE products; --"#))
        .interval(Duration::from_millis(5));
    changes.install().await.expect("installed");
    let _following = changes.follow(cluster.invalidator().build().expect("an invalidator"));
    shop.run(&format!("INSERT INTO \"{quoted}\" VALUES ('x''y')")).await;
    let want = r#"it's {"x'y"}'); DROP TABLE products; --"#;
    until("purged", async || cluster.purged().await == [want]).await;
    assert_eq!(shop.number("SELECT count(*) FROM products").await, 0);
}
