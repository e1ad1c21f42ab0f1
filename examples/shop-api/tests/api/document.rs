//! The OpenAPI document against the routes: neither has what the other has not.

use std::collections::BTreeSet;

use crate::support::contract::document;
use crate::support::shop;

#[tokio::test]
async fn the_document_is_served() {
    let shop = shop().await;
    let reply = shop.get("/v1/openapi.json").await;
    assert_eq!(reply.json(), document());
    assert_eq!(reply.json()["openapi"], "3.1.0");
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let source = include_str!("../../src/routes/mod.rs");
    let quoted = source.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
    let routes: BTreeSet<_> = quoted.map(str::to_owned).collect();
    let documented: BTreeSet<_> = document()["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(routes, documented);
}

#[tokio::test]
async fn a_method_is_allowed_when_it_is_in_the_document() {
    let shop = shop().await;
    for (template, item) in document()["paths"].as_object().unwrap() {
        let path = template.replace("{id}", "1").replace("{slug}", "lamps").replace("{file}", "1.png");
        let mut documented: BTreeSet<_> =
            item.as_object().unwrap().keys().filter(|key| *key != "parameters").map(|key| key.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        // OPTIONS is in no operation, so every resource answers it with 405 and what it allows.
        let reply = shop.send("OPTIONS", &path, &[], "").await;
        let allowed: BTreeSet<_> = reply.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
        assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned()), "{path}");
        assert_eq!(allowed, documented, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let shop = shop().await;
    for path in ["/v1/products/1", "/v1/products", "/v1/images/1.jpg", "/v1/categories", "/healthz"] {
        let (get, head) = (shop.get(path).await, shop.send("HEAD", path, &[], "").await);
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
}
