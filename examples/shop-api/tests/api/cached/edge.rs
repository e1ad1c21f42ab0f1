//! Behind a Larder edge: the edge stores, the shop adds what the edge needs for that.

use std::time::UNIX_EPOCH;

use larder_core::Timestamp;
use larder_core::edge::{Edge, Keys, MARK};
use shop_api::CacheSettings;

use crate::support::cached;

const KEY: &str = "a-key-that-edge-and-shop-share";

fn mark(key: &str) -> String {
    let now = Timestamp(u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
    String::from_utf8(Edge::signing(Keys::parse(key).unwrap()).mark(now).unwrap()).unwrap()
}

#[tokio::test]
async fn what_comes_by_an_edge_is_not_stored_here() {
    let settings = CacheSettings { edge_keys: Some(KEY.to_owned()), ..CacheSettings::default() };
    let shop = cached(settings).await;
    let marked = mark(KEY);
    for requests in 1..=2 {
        let reply = shop.get_with("/v1/products/7", MARK, &marked).await;
        assert_eq!(shop.app.requests(), requests, "every one of the edge's requests comes through");
        assert!(reply.cache_status().contains("detail=edge"), "{}", reply.cache_status());
        assert!(!reply.header("etag").is_empty());
        assert_eq!(reply.header("x-larder-tags"), "product:7");
    }
    let forged = mark("a-key-that-nobody-has-shared");
    for status in ["fwd=uri-miss; stored", "hit"] {
        assert_eq!(shop.get_with("/v1/products/7", MARK, &forged).await.cache_status(), status);
    }
    assert_eq!(shop.app.requests(), 3);
}

#[tokio::test]
async fn a_write_that_comes_by_an_edge_purges_what_was_stored_without_one() {
    let settings = CacheSettings { edge_keys: Some(KEY.to_owned()), ..CacheSettings::default() };
    let shop = cached(settings).await;
    shop.fill(&["/v1/products/7"]).await;
    let headers = [(MARK, mark(KEY)), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    shop.send("PUT", "/v1/products/7/price", &headers, r#"{ "cents": 4321 }"#).await;
    assert_eq!(shop.get("/v1/products/7").await.json()["price"]["cents"], 4321);
}
