//! Pictures: their type, their size, and that they stay the same.

use crate::support::shop;

#[tokio::test]
async fn pictures_have_their_type_and_5_to_500_kb() {
    let shop = shop().await;
    for (extension, media_type, start) in
        [("jpg", "image/jpeg", b"\xFF\xD8\xFF".as_slice()), ("png", "image/png", b"\x89PNG\r\n\x1A\n")]
    {
        for id in [1, 2, 30, 60] {
            let path = format!("/v1/images/{id}.{extension}");
            let reply = shop.get(&path).await;
            assert_eq!(reply.header("content-type"), media_type, "{path}");
            assert!(reply.body.starts_with(start), "{path}");
            assert!((5_000..=500_000).contains(&reply.body.len()), "{path} {}", reply.body.len());
            assert_eq!(reply.header("content-length"), reply.body.len().to_string());
            assert_eq!(shop.get(&path).await.body, reply.body, "{path}");
        }
    }
    assert_ne!(shop.get("/v1/images/1.jpg").await.body, shop.get("/v1/images/2.jpg").await.body);
}

#[tokio::test]
async fn a_product_names_its_picture() {
    let shop = shop().await;
    let product = shop.get("/v1/products/4").await.json();
    assert_eq!(shop.get(product["image"].as_str().unwrap()).await.status, 200);
}
