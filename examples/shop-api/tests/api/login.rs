//! Signing in with a token and being known by the cookie.

use serde_json::json;

use crate::support::shop;

#[tokio::test]
async fn a_login_sets_a_cookie_that_the_session_knows() {
    let shop = shop().await;
    assert_eq!(shop.get("/v1/session").await.json(), json!({ "user": null }));

    let login = shop.write("POST", "/v1/login", json!({ "token": "bob-token" })).await;
    assert_eq!(login.status, 201);
    assert_eq!(login.header("location"), "/v1/session");
    assert_eq!(login.header("cache-control"), "no-store");
    let (cookie, attributes) = login.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");

    let bob = json!({ "user": { "id": 2, "name": "Bob" } });
    assert_eq!(login.json(), bob);
    assert_eq!(shop.get_with("/v1/session", "cookie", cookie).await.json(), bob);
    let among_others = format!("theme=dark; {cookie}; other=session");
    assert_eq!(shop.get_with("/v1/session", "cookie", &among_others).await.json(), bob);
    for unknown in ["session=", "session=0", "session", "xsession=1", &cookie.to_uppercase()] {
        let session = shop.get_with("/v1/session", "cookie", unknown).await;
        assert_eq!(session.json(), json!({ "user": null }), "{unknown}");
    }
}

#[tokio::test]
async fn each_login_is_a_session_of_its_own() {
    let shop = shop().await;
    let cookies = [
        shop.write("POST", "/v1/login", json!({ "token": "alice-token" })).await.header("set-cookie").to_owned(),
        shop.write("POST", "/v1/login", json!({ "token": "alice-token" })).await.header("set-cookie").to_owned(),
    ];
    assert_ne!(cookies[0], cookies[1]);
}

#[tokio::test]
async fn a_wrong_login_is_refused() {
    let shop = shop().await;
    let reply = shop.write("POST", "/v1/login", json!({ "token": "mallory-token" })).await;
    assert_eq!(reply.refusal(), (401, "unauthorized".to_owned()));
    assert!(reply.headers.contains_key("www-authenticate") && !reply.headers.contains_key("set-cookie"));
    for body in [json!({}), json!({ "token": 7 }), json!({ "token": "alice-token", "user": "x" })] {
        assert_eq!(shop.write("POST", "/v1/login", body).await.refusal(), (422, "invalid_body".to_owned()));
    }
}
