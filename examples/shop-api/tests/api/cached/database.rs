//! Changes that somebody else makes in the database, who has never heard of a cache.

use shop_api::CacheSettings;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use crate::support::{Shop, cached_at, until};

/// A shop on a file, and somebody with a connection of their own.
struct World {
    shop: Shop,
    somebody: SqliteConnection,
    folder: TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let shop = Self::open(&folder).await;
        let options = SqliteConnectOptions::new().filename(folder.path().join("shop.db")).foreign_keys(true);
        let somebody = options.connect().await.unwrap();
        World { shop, somebody, folder }
    }

    async fn open(folder: &TempDir) -> Shop {
        let cache = CacheSettings { watch_database: true, ..CacheSettings::default() };
        cached_at(Some(folder.path().join("shop.db")), cache).await
    }

    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.somebody).await.unwrap();
    }

    /// Waits until the API tells so.
    async fn becomes(&self, path: &str, pointer: &str, value: impl Into<serde_json::Value>) {
        let value = value.into();
        until(path, async || self.shop.get(path).await.json().pointer(pointer) == Some(&value)).await;
    }
}

#[tokio::test]
async fn what_others_change_is_seen() {
    let mut world = World::new().await;
    let (lists, report) = ("/v1/products?sort=-price&per_page=1", "/v1/reports/sales");
    let paths = ["/v1/products/7", "/v1/products/8", lists, "/v1/categories/lamps", "/v1/images/7.jpg", report];
    world.shop.fill(&paths).await;
    let sales = world.shop.get(report).await.json()["sales"].as_i64().unwrap();
    world.run("UPDATE products SET price_cents = 9999999 WHERE id = 7").await;
    world.becomes("/v1/products/7", "/price/cents", 9_999_999).await;
    world.becomes(lists, "/items/0/id", 7).await;
    world.shop.are(&["/v1/products/8", "/v1/images/7.jpg", report], "hit").await;

    world.shop.fill(&paths).await;
    world.run("UPDATE product_texts SET name = 'Renamed' WHERE product_id = 7 AND lang = 'en'").await;
    world.becomes("/v1/products/7", "/name", "Renamed").await;
    world.shop.are(&["/v1/products/8", "/v1/categories/lamps", report], "hit").await;

    world.run("UPDATE category_texts SET name = 'All lamps' WHERE lang = 'en'").await;
    world.becomes("/v1/categories/lamps", "/name", "All lamps").await;
    world.run("INSERT INTO sales (product_id, category_id, quantity, price_cents, sold_at) VALUES (7, 1, 1, 1, '2025-12-31T00:00:00Z')").await;
    world.becomes(report, "/sales", sales + 1).await;
    world.run("DELETE FROM products WHERE id = 7").await;
    until("it is gone", async || world.shop.get("/v1/products/7").await.status == 404).await;
    world.shop.app.close().await;
}

#[tokio::test]
async fn a_change_that_is_taken_back_purges_nothing() {
    let mut world = World::new().await;
    world.shop.fill(&["/v1/products/7", "/v1/products/8"]).await;
    world.run("BEGIN; UPDATE products SET stock = 1 WHERE id = 7; ROLLBACK").await;
    // Behind it, something that holds.
    world.run("UPDATE products SET stock = 4711 WHERE id = 8").await;
    world.becomes("/v1/products/8", "/stock", 4711).await;
    world.shop.are(&["/v1/products/7"], "hit").await;
    world.shop.app.close().await;
}

#[tokio::test]
async fn the_outbox_is_emptied_and_a_shop_that_is_opened_again_goes_on() {
    let mut world = World::new().await;
    world.shop.app.close().await;
    world.run("UPDATE products SET stock = 4711 WHERE id = 8").await;
    let outbox = "SELECT count(*) FROM larder_outbox";
    assert!(sqlx::query_scalar::<_, i64>(outbox).fetch_one(&mut world.somebody).await.unwrap() > 0);
    world.shop = World::open(&world.folder).await;
    let somebody = &mut world.somebody;
    until("nothing is left", async || {
        sqlx::query_scalar::<_, i64>(outbox).fetch_one(&mut *somebody).await.unwrap() == 0
    })
    .await;
    world.shop.app.close().await;
    world.somebody.close().await.unwrap();
}
