//! Writes through the API: whoever reads afterwards sees them, and the cache keeps what they do not touch.

use std::path::PathBuf;

use serde_json::{Value, json};
use shop_api::CacheSettings;

use crate::support::{Shop, cached, draft};

/// The shop's policy without its own invalidation: what is purged then, the shop has purged.
fn not_by_policy(folder: &std::path::Path) -> PathBuf {
    let text = include_str!("../../../../../policies/shop-api.json");
    let mut policy: Value = serde_json::from_str(text).unwrap();
    for route in policy["routes"].as_array_mut().unwrap() {
        route.as_object_mut().unwrap().remove("invalidate");
    }
    let file = folder.join("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    file
}

async fn purging_by_itself() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let policy = Some(not_by_policy(folder.path()));
    cached(CacheSettings { policy, ..CacheSettings::default() }).await
}

const PRODUCT: &str = "/v1/products/7";
const OTHER: &str = "/v1/products/8";
const LIST: &str = "/v1/products?sort=price&per_page=100";
const SEARCH: &str = "/v1/products/search?q=lamp";
const CATEGORIES: &str = "/v1/categories";
const CATEGORY: &str = "/v1/categories/lamps";
const PICTURE: &str = "/v1/images/7.jpg";
const REPORT: &str = "/v1/reports/sales";

const ALL: [&str; 8] = [PRODUCT, OTHER, LIST, SEARCH, CATEGORIES, CATEGORY, PICTURE, REPORT];

#[tokio::test]
async fn a_new_price_is_seen_at_once_wherever_it_is() {
    let shop = purging_by_itself().await;
    shop.fill(&ALL).await;
    shop.write("PUT", "/v1/products/7/price", json!({ "cents": 4321 })).await;
    assert_eq!(shop.get(PRODUCT).await.json()["price"]["cents"], 4321);
    let list = shop.get(LIST).await.json();
    let seven = list["items"].as_array().unwrap().iter().find(|item| item["id"] == 7).unwrap();
    assert_eq!(seven["price"]["cents"], 4321);
    shop.are(&[OTHER, CATEGORIES, CATEGORY, PICTURE, REPORT], "hit").await;
}

#[tokio::test]
async fn a_changed_product_is_seen_at_once() {
    let shop = purging_by_itself().await;
    let before = shop.get(CATEGORY).await.json()["products"].as_i64().unwrap();
    shop.fill(&ALL).await;
    let mut new = draft("REPLACED-7");
    new["category"] = json!("lamps");
    shop.write("PUT", PRODUCT, new).await;
    assert_eq!(shop.get(PRODUCT).await.json()["name"], "Test lamp");
    let after = shop.get(CATEGORY).await;
    assert_ne!(after.cache_status(), "hit");
    assert!(after.json()["products"].as_i64().unwrap() >= before);
    shop.are(&[OTHER, PICTURE, REPORT], "hit").await;

    shop.fill(&[PRODUCT]).await;
    shop.write("PATCH", PRODUCT, json!({ "stock": 77 })).await;
    assert_eq!(shop.get(PRODUCT).await.json()["stock"], 77);
}

#[tokio::test]
async fn a_new_product_is_seen_where_there_was_none() {
    let shop = purging_by_itself().await;
    shop.fill(&ALL).await;
    assert_eq!(shop.get("/v1/products/61").await.status, 404);
    assert_eq!(shop.get("/v1/products/61").await.cache_status(), "hit", "that it is not there is stored, too");
    shop.write("POST", "/v1/products", draft("NEW-1")).await;
    assert_eq!(shop.get("/v1/products/61").await.json()["name"], "Test lamp");
    assert_eq!(shop.get(LIST).await.json()["total"], 61);
    shop.are(&[PRODUCT, OTHER, PICTURE, REPORT], "hit").await;
}

#[tokio::test]
async fn a_deleted_product_is_gone_with_its_pictures() {
    let shop = purging_by_itself().await;
    shop.fill(&ALL).await;
    shop.fill(&["/v1/images/7.png", "/v1/images/8.png"]).await;
    assert_eq!(shop.send("DELETE", PRODUCT, &[], "").await.status, 204);
    for path in [PRODUCT, PICTURE, "/v1/images/7.png"] {
        assert_eq!(shop.get(path).await.status, 404, "{path}");
    }
    assert_eq!(shop.get(LIST).await.json()["total"], 59);
    shop.are(&[OTHER, "/v1/images/8.png", REPORT], "hit").await;
}

#[tokio::test]
async fn a_write_that_is_refused_purges_nothing() {
    let shop = purging_by_itself().await;
    shop.fill(&ALL).await;
    assert_eq!(shop.write("PUT", "/v1/products/7/price", json!({ "cents": 0 })).await.status, 422);
    assert_eq!(shop.send("DELETE", "/v1/products/999", &[], "").await.status, 404);
    shop.are(&ALL, "hit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_has_written_reads_it_whatever_others_read_meanwhile() {
    let shop = std::sync::Arc::new(purging_by_itself().await);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let shop = shop.clone();
        readers.spawn(async move {
            loop {
                shop.get(PRODUCT).await;
                tokio::task::yield_now().await;
            }
        });
    }
    for cents in 1..=100 {
        shop.write("PUT", "/v1/products/7/price", json!({ "cents": cents })).await;
        assert_eq!(shop.get(PRODUCT).await.json()["price"]["cents"], cents);
    }
}

/// Asks for a write and leaves at once.
#[tokio::test]
async fn a_write_whose_client_has_left_is_seen_as_well() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    let shop = purging_by_itself().await;
    shop.fill(&[PRODUCT]).await;
    let body = Body::from(json!({ "cents": 4321 }).to_string());
    let request = Request::put("/v1/products/7/price").header("host", "shop.example");
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let mut leaving = Box::pin(shop.app.router().oneshot(request));
    // Until the handler has it, and no longer.
    while shop.app.requests() < 2 {
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(leaving.as_mut().poll(context))).await.is_pending()
        );
    }
    drop(leaving);
    let price = async || shop.get(PRODUCT).await.json()["price"]["cents"].clone();
    crate::support::until("it is written and purged", async || price().await == 4321).await;
}
