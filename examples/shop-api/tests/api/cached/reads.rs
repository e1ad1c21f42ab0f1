//! Reads: hits, variants, 304s, what is not shared, and many who ask for the same slow thing.

use std::time::Duration;

use shop_api::{App, CacheSettings, Settings};

use crate::support::{Shop, cached};

#[tokio::test]
async fn a_second_read_is_a_hit_and_costs_no_query() {
    let shop = cached(CacheSettings::default()).await;
    for path in ["/v1/products/7", "/v1/products?sort=price", "/v1/categories", "/v1/images/7.png"] {
        let first = shop.get(path).await;
        assert_eq!(first.cache_status(), "fwd=uri-miss; stored", "{path}");
        let (queries, requests) = (shop.app.queries(), shop.app.requests());
        let second = shop.get(path).await;
        assert_eq!((second.status, second.cache_status()), (first.status, "hit"), "{path}");
        assert_eq!(second.body, first.body);
        assert_eq!((shop.app.queries(), shop.app.requests()), (queries, requests), "{path}");
    }
}

#[tokio::test]
async fn each_language_has_its_own() {
    let shop = cached(CacheSettings::default()).await;
    for status in ["stored", "hit"] {
        for language in ["en", "de", "fr"] {
            let reply = shop.get_with("/v1/products/7", "accept-language", language).await;
            assert_eq!(reply.header("content-language"), language);
            assert!(reply.cache_status().contains(status), "{language}: {}", reply.cache_status());
        }
    }
}

#[tokio::test]
async fn who_has_it_already_is_told_so() {
    let shop = cached(CacheSettings::default()).await;
    let first = shop.get("/v1/products/7").await;
    let etag = first.header("etag");
    assert!(!etag.is_empty());
    let second = shop.ask("GET", "/v1/products/7", &[("if-none-match", etag)], "").await;
    assert_eq!((second.status.as_u16(), second.body.len(), second.header("etag")), (304, 0, etag));
    assert_eq!(shop.app.requests(), 1);

    // Personal: never stored, and still not sent twice.
    let headers = [("authorization", "Bearer alice-token")];
    let cart = shop.ask("GET", "/v1/cart", &headers, "").await;
    assert!(cart.header("cache-control").contains("private"), "{}", cart.header("cache-control"));
    let again = shop.ask("GET", "/v1/cart", &[headers[0], ("if-none-match", cart.header("etag"))], "").await;
    assert_eq!((again.status.as_u16(), shop.app.requests()), (304, 3));
}

#[tokio::test]
async fn what_is_somebodys_own_is_not_shared() {
    let shop = cached(CacheSettings::default()).await;
    for (token, name) in [("alice-token", "Alice"), ("bob-token", "Bob"), ("alice-token", "Alice")] {
        let account = shop.get_as(token, "/v1/account").await;
        assert!(account.json()["name"].as_str().unwrap().starts_with(name), "{}", account.json());
        assert!(!account.cache_status().contains("stored"), "{}", account.cache_status());
    }
    assert_eq!(shop.get("/v1/account").await.status, 401);
    assert_eq!(shop.get("/v1/stats").await.cache_status(), "fwd=bypass; detail=policy");
}

#[tokio::test]
async fn many_who_ask_for_the_report_wait_for_one() {
    let report_delay = Duration::from_millis(300);
    let settings = Settings { db: None, seed_products: 60, report_delay, cache: Some(CacheSettings::default()) };
    let shop = Shop { app: App::open(&settings).await.unwrap() };
    // One thread: all of them have asked before the first is answered.
    let report = async || shop.get("/v1/reports/sales").await;
    let (a, b, c, d) = tokio::join!(report(), report(), report(), report());
    assert_eq!((shop.app.requests(), shop.app.queries()), (1, 3));
    assert_eq!(a.cache_status(), "fwd=uri-miss; stored");
    for reply in [b, c, d] {
        assert!(reply.header("cache-status").contains("collapsed"), "{}", reply.header("cache-status"));
        assert_eq!(reply.body, a.body);
    }
}
