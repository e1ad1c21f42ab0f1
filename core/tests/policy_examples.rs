//! The example policies in `policies/` compile, and put requests where their authors meant.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use larder_core::fields::RequestHead;
use larder_core::policy::rules::{AuthorizationRule, EtagRule, Kind, QueryRule, Ttl};
use larder_core::policy::{Matched, Policy};
use larder_core::time::Seconds;

fn example(name: &str) -> Policy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    Policy::parse(&text).unwrap_or_else(|errors| panic!("{}", errors.in_file(name)))
}

fn route(policy: &Policy, request: &str) -> Matched {
    let (method, target) = request.split_once(' ').unwrap();
    policy.route(&RequestHead {
        method: method.into(),
        scheme: "http".into(),
        authority: "shop.test".into(),
        target: target.into(),
        ..RequestHead::default()
    })
}

#[test]
fn every_example_compiles() {
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") && !name.ends_with(".test.json") && !name.ends_with("schema.json") {
            let policy = example(&name);
            assert_eq!(format!("{}.json", policy.name), name, "a policy is named like its file");
            assert!(policy.file().description.is_some(), "{name} says what it is for");
            count += 1;
        }
    }
    assert!(count >= 3);
}

#[test]
fn the_shop_puts_requests_where_they_belong() {
    let shop = example("shop-api.json");
    for (request, name, class, params) in [
        ("GET /v1/products?page=2", "product-list", "catalog", &[][..]),
        ("POST /v1/products", "product-list", "catalog", &[]),
        ("GET /v1/products/search?q=tea", "product-search", "catalog", &[]),
        ("GET /v1/products/7", "product", "catalog", &[("id", "7")]),
        ("HEAD /v1/products/7", "product", "catalog", &[("id", "7")]),
        ("DELETE /v1/products/7", "product", "catalog", &[("id", "7")]),
        ("PUT /v1/products/7/price", "product-price", "volatile", &[("id", "7")]),
        ("GET /v1/categories", "category-list", "reference", &[]),
        ("GET /v1/categories/tea", "category", "reference", &[("slug", "tea")]),
        ("GET /v1/images/7.png", "image", "images", &[("file", "7.png")]),
        ("GET /v1/reports/sales", "sales-report", "report", &[]),
        ("GET /v1/cart", "cart", "personal", &[]),
        ("GET /v1/account", "account", "personal", &[]),
        ("GET /v1/session", "session", "personal", &[]),
        ("POST /v1/login", "login", "never", &[]),
        ("GET /v1/stats", "stats", "never", &[]),
        ("GET /healthz", "health", "never", &[]),
        ("GET /elsewhere", "_unmatched", "_defaults", &[]),
        ("POST /v1/reports/sales", "_unmatched", "_defaults", &[]),
    ] {
        let matched = route(&shop, request);
        assert_eq!((&*matched.rules.route, &*matched.rules.class), (name, class), "{request}");
        let seen: Vec<_> = matched.params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(seen, params, "{request}");
        assert!(!matched.suspicious_path);
    }
}

#[test]
fn the_shops_rules_are_laid_over_one_another() {
    let shop = example("shop-api.json");
    let product = route(&shop, "GET /v1/products/7");
    let rules = &product.rules;
    assert_eq!(rules.kind, Kind::Catalog);
    assert_eq!(rules.ttl, Ttl::Fixed(Seconds::saturating(60)));
    assert_eq!(rules.jitter_percent, 10);
    assert_eq!(rules.etag, EtagRule::Strong, "from the kind");
    assert_eq!(rules.key.query, QueryRule::None, "the route's over the defaults'");
    assert!(rules.key.sort_query, "from the defaults");
    assert_eq!(rules.key.accept_language.as_deref(), Some(&["en", "de", "fr"].map(String::from)[..]));
    assert_eq!(rules.identity.session_cookies, ["session"]);
    let tags: Vec<_> = rules.tags.templates.iter().map(|tag| tag.expand(&product.params).unwrap()).collect();
    assert_eq!(tags, ["product:7"]);
    let invalid: Vec<_> = rules.invalidate.tags.iter().map(|tag| tag.expand(&product.params).unwrap()).collect();
    assert_eq!(invalid, ["product:7", "product-lists", "categories"]);

    let cart = route(&shop, "GET /v1/cart").rules;
    assert_eq!((cart.kind, cart.ttl, cart.etag), (Kind::Personal, Ttl::Never, EtagRule::Strong));
    assert!(cart.client.cache_control.as_ref().unwrap().no_cache);
}

#[test]
fn the_default_leaves_everything_to_the_origin() {
    let policy = example("default.json");
    let rules = route(&policy, "GET /anything").rules;
    assert_eq!(rules.ttl, Ttl::Respect { floor: None, ceiling: None, absent: None });
    assert_eq!((rules.heuristic, rules.etag), (None, EtagRule::Origin));
    assert_eq!(rules.identity.authorization, AuthorizationRule::Rfc9111);
    assert_eq!(rules.client.cache_control, None);
    assert_eq!(rules.client.remove, Vec::<String>::new());
}

#[test]
fn fingerprinted_assets_are_immutable() {
    let policy = example("static-assets.json");
    let told = route(&policy, "GET /assets/js/app.3f9a1c.js").rules.client.cache_control.clone().unwrap();
    assert!(told.immutable);
    assert_eq!(told.browser_ttl, Some(Seconds::saturating(365 * 86_400)));
    assert_eq!(&*route(&policy, "GET /sw.js").rules.route, "service-worker");
    assert_eq!(&*route(&policy, "GET /").rules.route, "pages");
}
