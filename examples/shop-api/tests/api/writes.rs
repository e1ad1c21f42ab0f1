//! Writing products and prices, and what reads show afterwards.

use serde_json::json;

use crate::support::{draft, field, shop};

#[tokio::test]
async fn a_new_product_is_where_location_says() {
    let shop = shop().await;
    let added = shop.write("POST", "/v1/products", draft("NEW-1")).await;
    assert_eq!(added.status, 201);
    assert_eq!(added.header("location"), "/v1/products/61");
    assert_eq!(added.header("content-language"), "en");
    let product = added.json();
    assert_eq!(product["name"], "Test lamp");
    assert_eq!(product["price"], json!({ "cents": 1234, "currency": "EUR" }));

    assert_eq!(shop.get(added.header("location")).await.json(), product);
    let newest = shop.get("/v1/products?sort=newest&per_page=1").await.json();
    assert_eq!(newest["items"][0], product);
    assert_eq!(newest["total"], 61);
}

#[tokio::test]
async fn a_missing_translation_is_shown_in_english_and_says_so() {
    let shop = shop().await;
    let path = shop.write("POST", "/v1/products", draft("NEW-1")).await.header("location").to_owned();
    for (wanted, given, name) in [("de", "de", "Testlampe"), ("fr", "en", "Test lamp")] {
        let reply = shop.get_with(&path, "accept-language", wanted).await;
        assert_eq!((reply.header("content-language"), reply.json()["name"].as_str()), (given, Some(name)));
    }
}

#[tokio::test]
async fn put_replaces_the_whole_product() {
    let shop = shop().await;
    let before = shop.get("/v1/products/5").await.json();
    let mut new = draft("REPLACED-5");
    new["texts"].as_object_mut().unwrap().remove("de");
    let reply = shop.write("PUT", "/v1/products/5", new).await;
    assert_eq!(reply.status, 200);
    let after = reply.json();
    assert_eq!(
        (&after["sku"], &after["category"], &after["stock"]),
        (&json!("REPLACED-5"), &json!("lamps"), &json!(5))
    );
    assert_eq!((&after["id"], &after["created_at"]), (&json!(5), &before["created_at"]));
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    assert_eq!(shop.get_with("/v1/products/5", "accept-language", "de").await.header("content-language"), "en");

    // The old words are not found any more, the new ones are.
    let found = shop.get("/v1/products/search?q=test+lamp").await.json();
    assert_eq!(field(&found, "id"), [&json!(5)]);
    let old = before["name"].as_str().unwrap().replace(' ', "+");
    let found = shop.get(&format!("/v1/products/search?q={}", old.replace(',', ""))).await.json();
    assert!(!field(&found, "id").contains(&&json!(5)));
}

#[tokio::test]
async fn patch_changes_what_it_names() {
    let shop = shop().await;
    let path = shop.write("POST", "/v1/products", draft("NEW-1")).await.header("location").to_owned();
    let reply = shop.write("PATCH", &path, json!({ "stock": 7 })).await.json();
    assert_eq!((&reply["stock"], &reply["sku"], &reply["name"]), (&json!(7), &json!("NEW-1"), &json!("Test lamp")));

    let headers = [("content-type", "application/merge-patch+json"), ("accept-language", "de")];
    let patch = json!({ "texts": { "de": { "name": "Neue Lampe" } } }).to_string();
    let reply = shop.send("PATCH", &path, &headers, &patch).await.json();
    assert_eq!((&reply["name"], &reply["description"]), (&json!("Neue Lampe"), &json!("Leuchtet.")));

    let reply = shop.send("PATCH", &path, &headers, r#"{"texts": {"de": null}}"#).await;
    assert_eq!((reply.header("content-language"), reply.json()["name"].as_str()), ("en", Some("Test lamp")));
}

#[tokio::test]
async fn a_deleted_product_is_gone_and_its_id_is_not_given_again() {
    let shop = shop().await;
    let sales = shop.get("/v1/reports/sales").await;
    shop.write_as("alice-token", "POST", "/v1/cart", json!({ "product_id": 60 })).await;
    for status in [204, 404] {
        let reply = shop.send("DELETE", "/v1/products/60", &[], "").await;
        assert_eq!(reply.status, status);
        for path in ["/v1/products/60", "/v1/products/60/price", "/v1/images/60.jpg"] {
            assert_eq!(shop.get(path).await.status, 404, "{path}");
        }
    }
    assert_eq!(shop.get("/v1/products").await.json()["total"], 59);
    assert!(!field(&shop.get_as("alice-token", "/v1/cart").await.json(), "product_id").contains(&&json!(60)));
    assert_eq!(shop.get("/v1/reports/sales").await.body, sales.body, "sales stay");
    let added = shop.write("POST", "/v1/products", draft("NEW-1")).await;
    assert_eq!(added.header("location"), "/v1/products/61");
}

#[tokio::test]
async fn a_price_changes_by_itself_and_with_its_product() {
    let shop = shop().await;
    let before = shop.get("/v1/products/3/price").await.json();
    let changed = shop.write("PUT", "/v1/products/3/price", json!({ "cents": 4321 })).await.json();
    assert_eq!(changed["cents"], 4321);
    assert!(changed["changed_at"].as_str() > before["changed_at"].as_str());
    assert_eq!(shop.get("/v1/products/3/price").await.json(), changed);
    assert_eq!(shop.get("/v1/products/3").await.json()["price"]["cents"], 4321);

    shop.write("PATCH", "/v1/products/4", json!({ "price_cents": 77 })).await;
    assert_eq!(shop.get("/v1/products/4/price").await.json()["cents"], 77);

    // A change of something else is not a change of price.
    let before = shop.get("/v1/products/6/price").await;
    shop.write("PATCH", "/v1/products/6", json!({ "stock": 1 })).await;
    assert_eq!(shop.get("/v1/products/6/price").await.body, before.body);
}
