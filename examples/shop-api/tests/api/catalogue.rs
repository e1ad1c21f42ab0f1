//! Reading products and categories: lists, pages, order, language, search.

use serde_json::{Value, json};
use shop_api::{App, Settings};

use crate::support::{Shop, field, shop};

#[tokio::test]
async fn pages_together_are_the_whole_list() {
    let shop = shop().await;
    let first = shop.get("/v1/products").await.json();
    assert_eq!((&first["page"], &first["per_page"]), (&json!(1), &json!(20)));
    assert_eq!((&first["total"], &first["pages"]), (&json!(60), &json!(3)));

    let mut seen = Vec::new();
    for page in 1..=5 {
        let list = shop.get(&format!("/v1/products?per_page=14&page={page}")).await.json();
        assert_eq!(list["pages"], 5);
        seen.extend(field(&list, "id").into_iter().map(|id| id.as_i64().unwrap()));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());

    let past_the_end = shop.get("/v1/products?page=1000000&per_page=100").await.json();
    assert_eq!(past_the_end["items"], json!([]));
}

#[tokio::test]
async fn a_list_is_in_the_order_asked_for() {
    let shop = shop().await;
    for (sort, name) in [("name", "name"), ("price", "price"), ("newest", "created_at")] {
        let up = shop.get(&format!("/v1/products?per_page=100&sort={sort}")).await.json();
        let down = shop.get(&format!("/v1/products?per_page=100&sort=-{sort}")).await.json();
        let (up, mut down) = (field(&up, "id"), field(&down, "id"));
        down.reverse();
        assert_eq!(up, down, "{sort}");

        let list = shop.get(&format!("/v1/products?per_page=100&sort={sort}")).await.json();
        let mut keys: Vec<String> = field(&list, name).into_iter().map(order_key).collect();
        if sort == "newest" {
            keys.reverse();
        }
        assert!(keys.is_sorted(), "{sort}: {keys:?}");
    }
    assert_eq!(shop.get("/v1/products").await.body, shop.get("/v1/products?sort=name").await.body);
}

fn order_key(value: &Value) -> String {
    match value {
        Value::Object(price) => format!("{:012}", price["cents"].as_i64().unwrap()),
        text => text.as_str().unwrap().to_lowercase(),
    }
}

#[tokio::test]
async fn a_category_holds_what_its_list_shows() {
    let shop = shop().await;
    let categories = shop.get("/v1/categories").await.json();
    assert_eq!(categories["items"].as_array().unwrap().len(), 24);
    let mut total = 0;
    for category in categories["items"].as_array().unwrap() {
        let slug = category["slug"].as_str().unwrap();
        let list = shop.get(&format!("/v1/products?per_page=100&category={slug}")).await.json();
        assert_eq!(list["total"], category["products"], "{slug}");
        assert!(field(&list, "category").iter().all(|found| *found == slug));
        assert_eq!(&shop.get(&format!("/v1/categories/{slug}")).await.json(), category);
        total += list["total"].as_i64().unwrap();
    }
    assert_eq!(total, 60);
}

#[tokio::test]
async fn texts_are_in_the_language_asked_for() {
    let shop = shop().await;
    let mut names = Vec::new();
    for language in ["en", "de", "fr"] {
        for path in
            ["/v1/products/1", "/v1/products", "/v1/products/search?q=a", "/v1/categories", "/v1/categories/rugs"]
        {
            let reply = shop.get_with(path, "accept-language", language).await;
            assert_eq!(reply.header("content-language"), language, "{path}");
            assert_eq!(reply.header("vary"), "Accept-Language", "{path}");
        }
        names.push(shop.get_with("/v1/categories/rugs", "accept-language", language).await.json()["name"].clone());
    }
    assert_eq!(names, ["Rugs", "Teppiche", "Tapis"]);
    let product = |language| shop.get_with("/v1/products/1", "accept-language", language);
    assert_ne!(product("de").await.json()["name"], product("fr").await.json()["name"]);
    assert_eq!(product("ja").await.body, product("en").await.body);
}

#[tokio::test]
async fn search_finds_words_in_one_language_whatever_their_case_and_accents() {
    let shop = shop().await;
    let mut draft = crate::support::draft("SEARCH-1");
    draft["texts"]["fr"] = json!({ "name": "Étagère d'essai", "description": "Élégante." });
    let id = shop.write("POST", "/v1/products", draft).await.json()["id"].clone();
    let wanted = [id];

    let found = async |query: &str, language| {
        let path = format!("/v1/products/search?q={query}");
        let list = shop.get_with(&path, "accept-language", language).await.json();
        field(&list, "id").into_iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(found("etagere+essai", "fr").await, wanted);
    assert_eq!(found("TESTLAMP", "de").await, wanted);
    assert_eq!(found("test+shines", "en").await, wanted);
    assert_eq!(found("testlampe", "en").await, [] as [Value; 0], "German words in English texts");
    assert_eq!(found("test+absent", "en").await, [] as [Value; 0]);
    // What would be operators of the full-text engine are words.
    assert_eq!(found("test%22%20OR%20NEAR(lamp*%20-x%20:", "en").await, [] as [Value; 0]);
}

#[tokio::test]
async fn search_is_paged() {
    let shop = shop().await;
    let all = shop.get("/v1/products/search?q=of&per_page=100").await.json();
    let total = all["total"].as_u64().unwrap();
    assert!(total > 4, "{total}");
    let page = shop.get("/v1/products/search?q=of&per_page=2&page=2").await.json();
    assert_eq!(page["items"][0], all["items"][2]);
    assert_eq!(page["pages"], total.div_ceil(2));
}

#[tokio::test]
async fn unknown_parameters_change_nothing() {
    let shop = shop().await;
    let plain = shop.get("/v1/products?page=2").await;
    assert_eq!(shop.get("/v1/products?utm_source=mail&page=2").await.body, plain.body);
}

#[tokio::test]
async fn answers_say_nothing_about_caching() {
    let shop = shop().await;
    for path in ["/v1/products", "/v1/products/1", "/v1/products/1/price", "/v1/categories", "/v1/images/1.jpg"] {
        let reply = shop.get(path).await;
        for name in ["etag", "last-modified", "cache-control", "expires", "age"] {
            assert!(!reply.headers.contains_key(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn the_seeded_shop_is_the_same_every_time() {
    let (one, two) = (shop().await, shop().await);
    for path in ["/v1/products?per_page=100", "/v1/reports/sales", "/v1/images/9.png"] {
        assert_eq!(one.get(path).await.body, two.get(path).await.body, "{path}");
    }
}

#[tokio::test]
async fn the_default_shop_has_some_thousand_products() {
    let shop = Shop { app: App::open(&Settings::default()).await.unwrap() };
    let list = shop.get("/v1/products?sort=-price&per_page=100&page=30").await.json();
    assert_eq!(list["total"], 3000);
    assert_eq!(list["items"].as_array().unwrap().len(), 100);
}
