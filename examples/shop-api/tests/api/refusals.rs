//! What the API refuses, and that a refusal changes nothing.

use serde_json::{Value, json};

use crate::support::{draft, shop};

#[tokio::test]
async fn bad_queries_are_400() {
    let shop = shop().await;
    let cases = [
        ("/v1/products?page=0", "bad_page"),
        ("/v1/products?page=-1", "bad_page"),
        ("/v1/products?page=+1", "bad_page"),
        ("/v1/products?page=%2B1", "bad_page"),
        ("/v1/products?page=", "bad_page"),
        ("/v1/products?page=two", "bad_page"),
        ("/v1/products?page=1000001", "bad_page"),
        ("/v1/products?page=99999999999999999999", "bad_page"),
        ("/v1/products?per_page=0", "bad_per_page"),
        ("/v1/products?per_page=101", "bad_per_page"),
        ("/v1/products?page=1&page=2", "bad_query"),
        ("/v1/products?sort=size", "bad_sort"),
        ("/v1/products?sort=--name", "bad_sort"),
        ("/v1/products?category=hats", "unknown_category"),
        ("/v1/products/search", "bad_search"),
        ("/v1/products/search?q=", "bad_search"),
        ("/v1/products/search?q=%22*()", "bad_search"),
        ("/v1/products/search?q=lamp&per_page=0", "bad_per_page"),
    ];
    for (path, code) in cases {
        assert_eq!(shop.get(path).await.refusal(), (400, code.to_owned()), "{path}");
    }
    let long = format!("/v1/products/search?q={}", "x".repeat(101));
    assert_eq!(shop.get(&long).await.refusal(), (400, "bad_search".to_owned()));
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let shop = shop().await;
    let paths = [
        "/",
        "/v1",
        "/v1/nothing",
        "/v1/products/61",
        "/v1/products/0",
        "/v1/products/-1",
        "/v1/products/seven",
        "/v1/products/99999999999999999999",
        "/v1/products/61/price",
        "/v1/products/1/",
        "/v1/categories/hats",
        "/v1/categories/%FF",
        "/v1/images/61.jpg",
        "/v1/images/1.gif",
        "/v1/images/1",
        "/v1/images/01.jpg",
        "/v1/images/%FF.png",
    ];
    for path in paths {
        assert_eq!(shop.get(path).await.refusal(), (404, "not_found".to_owned()), "{path}");
    }
    for (method, path, body) in [
        ("PUT", "/v1/products/61", draft("NEW-1")),
        ("PATCH", "/v1/products/61", json!({ "stock": 1 })),
        ("DELETE", "/v1/products/61", json!(null)),
        ("PUT", "/v1/products/61/price", json!({ "cents": 1 })),
    ] {
        assert_eq!(shop.write(method, path, body).await.refusal(), (404, "not_found".to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let shop = shop().await;
    for (method, path, allow) in [
        ("DELETE", "/v1/products", "GET,HEAD,POST"),
        ("POST", "/v1/products/1", "GET,HEAD,PUT,PATCH,DELETE"),
        ("GET", "/v1/login", "POST"),
        ("POST", "/v1/stats", "GET,HEAD"),
    ] {
        let reply = shop.send(method, path, &[], "").await;
        assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned()), "{method} {path}");
        assert_eq!(reply.header("allow"), allow);
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_are_415_400_or_413() {
    let shop = shop().await;
    for (method, path) in [
        ("POST", "/v1/products"),
        ("PUT", "/v1/products/1"),
        ("PATCH", "/v1/products/1"),
        ("PUT", "/v1/products/1/price"),
        ("POST", "/v1/login"),
    ] {
        let place = format!("{method} {path}");
        let json = [("content-type", "application/json")];
        let reply = shop.send(method, path, &[("content-type", "text/plain")], "{}").await;
        assert_eq!(reply.refusal(), (415, "unsupported_media_type".to_owned()), "{place}");
        assert_eq!(shop.send(method, path, &[], "{}").await.status, 415, "{place}");
        assert_eq!(shop.send(method, path, &json, "{").await.refusal(), (400, "invalid_json".to_owned()), "{place}");
        assert_eq!(shop.send(method, path, &json, "").await.status, 400, "{place}");
        let large = format!("\"{}\"", "x".repeat(64 * 1024));
        assert_eq!(
            shop.send(method, path, &json, &large).await.refusal(),
            (413, "body_too_large".to_owned()),
            "{place}"
        );
    }
}

#[tokio::test]
async fn impossible_products_are_422_and_change_nothing() {
    let shop = shop().await;
    let before = shop.get("/v1/products?per_page=100").await;
    let with = |pointer: &str, value: Value| {
        let mut draft = draft("NEW-1");
        *draft.pointer_mut(pointer).unwrap() = value;
        draft
    };
    let mut unknown_field = draft("NEW-1");
    unknown_field["colour"] = json!("red");
    let mut unknown_language = draft("NEW-1");
    unknown_language["texts"]["ja"] = json!({ "name": "x", "description": "x" });
    let cases = [
        (json!({}), "invalid_body"),
        (json!(null), "invalid_body"),
        (json!([1]), "invalid_body"),
        (unknown_field, "invalid_body"),
        (unknown_language, "invalid_body"),
        (with("/sku", json!("")), "invalid_body"),
        (with("/sku", json!("lower")), "invalid_body"),
        (with("/sku", json!("X".repeat(41))), "invalid_body"),
        (with("/price_cents", json!(0)), "invalid_body"),
        (with("/price_cents", json!(1.5)), "invalid_body"),
        (with("/price_cents", json!("12")), "invalid_body"),
        (with("/price_cents", json!(100_000_001)), "invalid_body"),
        (with("/stock", json!(-1)), "invalid_body"),
        (with("/texts", json!({ "de": { "name": "x", "description": "x" } })), "invalid_body"),
        (with("/texts/en/name", json!(" ")), "invalid_body"),
        (with("/texts/de/name", json!("x".repeat(121))), "invalid_body"),
        (with("/texts/en/description", json!("x".repeat(2001))), "invalid_body"),
        (with("/category", json!("hats")), "unknown_category"),
    ];
    for (body, code) in cases {
        for (method, path) in [("POST", "/v1/products"), ("PUT", "/v1/products/1")] {
            let reply = shop.write(method, path, body.clone()).await;
            assert_eq!(reply.refusal(), (422, code.to_owned()), "{method} {body}");
        }
    }
    for patch in [
        json!({ "sku": null }),
        json!({ "colour": "red" }),
        json!({ "texts": { "en": null } }),
        json!({ "texts": null }),
        json!({ "price_cents": -1 }),
        json!("text"),
    ] {
        let reply = shop.write("PATCH", "/v1/products/1", patch.clone()).await;
        assert_eq!(reply.refusal(), (422, "invalid_body".to_owned()), "{patch}");
    }
    for price in [json!({}), json!({ "cents": 0 }), json!({ "cents": 5, "currency": "USD" })] {
        assert_eq!(shop.write("PUT", "/v1/products/1/price", price.clone()).await.status, 422, "{price}");
    }
    assert_eq!(shop.get("/v1/products?per_page=100").await.body, before.body);
}

#[tokio::test]
async fn a_sku_belongs_to_one_product() {
    let shop = shop().await;
    let taken = shop.get("/v1/products/2").await.json()["sku"].as_str().unwrap().to_owned();
    let before = shop.get("/v1/products/1").await;
    for (method, path) in [("POST", "/v1/products"), ("PUT", "/v1/products/1")] {
        let reply = shop.write(method, path, draft(&taken)).await;
        assert_eq!(reply.refusal(), (409, "sku_taken".to_owned()), "{method}");
    }
    let reply = shop.write("PATCH", "/v1/products/1", json!({ "sku": taken })).await;
    assert_eq!(reply.refusal(), (409, "sku_taken".to_owned()));
    assert_eq!(shop.get("/v1/products/1").await.body, before.body);
    // Its own is not taken.
    assert_eq!(shop.write("PUT", "/v1/products/2", draft(&taken)).await.status, 200);
}
