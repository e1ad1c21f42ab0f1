//! Changes that purge the cache of this process: without a node, and beside one.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::Request;
use larder_origin::CacheLayer;
use larder_origin::changes::Target;
use tower_service::Service;

use crate::Shop;
use crate::support::{Cluster, until};

const POLICY: &str = r#"{ "version": 1, "name": "shop", "routes": [
    { "name": "product", "path": "/products/{id}", "class": "catalog", "ttl": "1h", "tags": ["product-{id}"] } ] }"#;

/// An application and its cache.
fn application() -> (CacheLayer, Router) {
    let layer = CacheLayer::builder().policy(POLICY).build().expect("a layer");
    let product = async |Path(id): Path<u32>| format!("product {id}");
    (layer.clone(), Router::new().route("/products/{id}", get(product)).layer(layer))
}

async fn is_hit(app: &Router, path: &str) -> bool {
    let request = Request::builder().uri(path).header("host", "shop.example").body(Body::empty()).expect("a request");
    let response = app.clone().call(request).await.expect("infallible");
    let status = response.headers()["cache-status"].to_str().expect("text").to_owned();
    axum::body::to_bytes(response.into_body(), 1024).await.expect("a body");
    status.starts_with("Larder-Origin; hit")
}

async fn fill(app: &Router, path: &str) {
    until("it is stored", async || is_hit(app, path).await).await;
}

/// Somebody's change is seen, and nothing else is purged.
async fn purges_what_changed(shop: &mut Shop, layer: &CacheLayer, app: &Router, target: impl Into<Target>) {
    shop.changes().install().await.expect("installed");
    shop.run("INSERT INTO products (id, code) VALUES (7, 'c7'), (8, 'c8')").await;
    let following = shop.changes().follow(target);
    until("what was there before is handed on", async || following.status().rows == 4).await;
    fill(app, "/products/7").await;
    fill(app, "/products/8").await;
    assert!(layer.handle().bytes() > 0);
    shop.run("UPDATE products SET name = 'stool' WHERE id = 7").await;
    until("the change is handed on", async || following.status().rows > 4).await;
    assert!(!is_hit(app, "/products/7").await);
    assert!(is_hit(app, "/products/8").await);
    assert_eq!(following.status().failing, None);
    following.stop().await;
    assert_eq!(shop.outbox().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_node_the_process_purges_its_own() {
    let (mut shop, (layer, app)) = (Shop::new().await, application());
    purges_what_changed(&mut shop, &layer, &app, layer.handle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_node_both_are_purged() {
    let (mut shop, (layer, app)) = (Shop::new().await, application());
    let cluster = Cluster::new().await;
    let invalidator = shop.kept(&cluster);
    purges_what_changed(&mut shop, &layer, &app, (invalidator, layer.handle())).await;
    until("the node has it", async || cluster.purged().await.iter().filter(|tag| *tag == "product-7").count() == 2)
        .await;
}
