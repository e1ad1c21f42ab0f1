//! Many writers at once: nothing is lost, nobody is turned away, readers see whole states.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{draft, shop};

const WRITERS: u32 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn additions_to_a_cart_all_count() {
    let shop = Arc::new(shop().await);
    shop.write("PATCH", "/v1/products/10", json!({ "stock": 1000 })).await;
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let shop = shop.clone();
        tasks.spawn(async move {
            shop.write_as("carol-token", "POST", "/v1/cart", json!({ "product_id": 10 })).await.status
        });
    }
    assert!(tasks.join_all().await.iter().all(|status| *status == 201));
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.json()["items"][0]["quantity"], WRITERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_stock_is_never_oversold() {
    let shop = Arc::new(shop().await);
    shop.write("PATCH", "/v1/products/10", json!({ "stock": 7 })).await;
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let shop = shop.clone();
        tasks.spawn(async move {
            shop.write_as("carol-token", "POST", "/v1/cart", json!({ "product_id": 10 })).await.status.as_u16()
        });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 7);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), WRITERS as usize - 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patches_of_different_fields_all_hold() {
    let shop = Arc::new(shop().await);
    let patches = [
        json!({ "stock": 11 }),
        json!({ "price_cents": 22 }),
        json!({ "sku": "PATCHED" }),
        json!({ "texts": { "en": { "name": "Patched" } } }),
        json!({ "category": "toys" }),
    ];
    let mut tasks = JoinSet::new();
    for patch in patches {
        let shop = shop.clone();
        tasks.spawn(async move { shop.write("PATCH", "/v1/products/1", patch).await.status });
    }
    assert!(tasks.join_all().await.iter().all(|status| *status == 200));
    let product = shop.get("/v1/products/1").await.json();
    assert_eq!((&product["stock"], &product["price"]["cents"]), (&json!(11), &json!(22)));
    assert_eq!((&product["sku"], &product["name"]), (&json!("PATCHED"), &json!("Patched")));
    assert_eq!(product["category"], "toys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_products_with_one_sku_one_is_added() {
    let shop = Arc::new(shop().await);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let shop = shop.clone();
        tasks.spawn(async move { shop.write("POST", "/v1/products", draft("ONCE")).await.status.as_u16() });
    }
    let mut statuses = tasks.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(shop.get("/v1/products").await.json()["total"], 61);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_each_product_whole_while_it_is_replaced() {
    let shop = Arc::new(shop().await);
    let mut writers = JoinSet::new();
    for number in 1..=WRITERS {
        let shop = shop.clone();
        writers.spawn(async move {
            let mut new = draft(&format!("WHOLE-{number}"));
            new["texts"]["en"]["name"] = json!(format!("WHOLE-{number}"));
            assert_eq!(shop.write("PUT", "/v1/products/1", new).await.status, 200);
        });
    }
    let mut states = 0;
    while !writers.is_empty() {
        let product = shop.get("/v1/products/1").await.json();
        if product["sku"].as_str().unwrap().starts_with("WHOLE") {
            assert_eq!(product["sku"], product["name"]);
            states += 1;
        }
        while let Some(written) = writers.try_join_next() {
            written.unwrap();
        }
    }
    let product = shop.get("/v1/products/1").await.json();
    assert_eq!(product["sku"], product["name"], "after {states} reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_after_a_write_sees_it() {
    let shop = shop().await;
    for cents in 1..=50 {
        shop.write("PUT", "/v1/products/1/price", json!({ "cents": cents })).await;
        assert_eq!(shop.get("/v1/products/1/price").await.json()["cents"], cents);
    }
}
