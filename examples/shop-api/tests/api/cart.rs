//! Carts and accounts: each user sees their own, and nobody sees one without a token.

use serde_json::json;

use crate::support::{field, shop};

#[tokio::test]
async fn without_a_known_token_it_is_401_with_a_challenge() {
    let shop = shop().await;
    for (method, path) in [("GET", "/v1/cart"), ("DELETE", "/v1/cart"), ("GET", "/v1/account"), ("POST", "/v1/cart")] {
        for authorization in ["", "Bearer", "Bearer ", "Basic YWxpY2U6eA==", "alice-token"] {
            let reply = shop.send(method, path, &[("authorization", authorization)], "").await;
            assert_eq!(reply.refusal(), (401, "unauthorized".to_owned()), "{method} {path} {authorization:?}");
            assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="shop""#);
        }
        let reply = shop.send(method, path, &[("authorization", "Bearer mallory-token")], "").await;
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="shop", error="invalid_token""#);
        assert_eq!(reply.status, 401);
    }
    assert_eq!(shop.get_with("/v1/account", "authorization", "bearer alice-token").await.status, 200);
}

#[tokio::test]
async fn accounts_are_personal() {
    let shop = shop().await;
    for (id, name) in [(1, "Alice"), (2, "Bob"), (3, "Carol")] {
        let token = format!("{}-token", name.to_lowercase());
        let account = shop.get_as(&token, "/v1/account").await.json();
        assert_eq!((&account["id"], &account["name"]), (&json!(id), &json!(name)));
        assert_eq!(account["email"], format!("{}@shop.example", name.to_lowercase()));
    }
}

#[tokio::test]
async fn a_cart_adds_up_and_is_its_users_own() {
    let shop = shop().await;
    let bobs = shop.get_as("bob-token", "/v1/cart").await;
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.json()["items"], json!([]));

    shop.write("PATCH", "/v1/products/10", json!({ "stock": 50, "price_cents": 250 })).await;
    shop.write("PATCH", "/v1/products/11", json!({ "stock": 50, "price_cents": 100 })).await;
    let added = shop.write_as("carol-token", "POST", "/v1/cart", json!({ "product_id": 10, "quantity": 2 })).await;
    assert_eq!((added.status.as_u16(), added.header("location")), (201, "/v1/cart"));
    shop.write_as("carol-token", "POST", "/v1/cart", json!({ "product_id": 11 })).await;
    let added = shop.write_as("carol-token", "POST", "/v1/cart", json!({ "product_id": 10 })).await.json();
    assert_eq!(field(&added, "product_id"), [&json!(10), &json!(11)]);
    assert_eq!(field(&added, "quantity"), [&json!(3), &json!(1)]);
    assert_eq!(added["total"]["cents"], 850);
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.json(), added);
    assert_eq!(shop.get_as("carol-token", "/v1/account").await.json()["cart_items"], 4);

    // Prices are today's.
    shop.write("PUT", "/v1/products/10/price", json!({ "cents": 200 })).await;
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.json()["total"]["cents"], 700);

    let headers = [("authorization", "Bearer carol-token")];
    assert_eq!(shop.send("DELETE", "/v1/cart", &headers, "").await.status, 204);
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.json()["total"]["cents"], 0);
    assert_eq!(shop.get_as("bob-token", "/v1/cart").await.body, bobs.body);
}

#[tokio::test]
async fn a_cart_is_in_the_users_language() {
    let shop = shop().await;
    let headers = [("authorization", "Bearer alice-token"), ("accept-language", "de")];
    let cart = shop.send("GET", "/v1/cart", &headers, "").await;
    let product = shop.get_with("/v1/products/1", "accept-language", "de").await;
    assert_eq!(cart.header("content-language"), "de");
    assert_eq!(cart.json()["items"][0]["name"], product.json()["name"]);
}

#[tokio::test]
async fn a_cart_refuses_what_cannot_be_bought() {
    let shop = shop().await;
    shop.write("PATCH", "/v1/products/10", json!({ "stock": 3 })).await;
    let add = |body| shop.write_as("carol-token", "POST", "/v1/cart", body);
    assert_eq!(add(json!({ "product_id": 10, "quantity": 3 })).await.status, 201);
    let before = shop.get_as("carol-token", "/v1/cart").await;
    let cases = [
        (json!({ "product_id": 10 }), 409, "out_of_stock"),
        (json!({ "product_id": 61 }), 422, "unknown_product"),
        (json!({ "product_id": 10, "quantity": 0 }), 422, "invalid_body"),
        (json!({ "product_id": 10, "quantity": 1001 }), 422, "invalid_body"),
        (json!({ "quantity": 1 }), 422, "invalid_body"),
        (json!({ "product_id": "10" }), 422, "invalid_body"),
    ];
    for (body, status, code) in cases {
        assert_eq!(add(body.clone()).await.refusal(), (status, code.to_owned()), "{body}");
    }
    assert_eq!(shop.get_as("carol-token", "/v1/cart").await.body, before.body);
}
