//! The sales report, and the counters that show what requests cost.

use std::time::Duration;

use serde_json::{Value, json};
use shop_api::{App, Settings};
use tokio::time::Instant;

use crate::support::{Shop, shop};

#[tokio::test]
async fn the_sums_of_the_report_agree() {
    let shop = shop().await;
    let report = shop.get("/v1/reports/sales").await.json();
    assert_eq!(report["sales"], 240);
    for part in ["by_category", "by_month"] {
        for sum in ["units", "revenue_cents"] {
            let rows = report[part].as_array().unwrap();
            let total: i64 = rows.iter().map(|row| row[sum].as_i64().unwrap()).sum();
            assert_eq!(report[sum], total, "{part} {sum}");
        }
    }
    let months: Vec<_> = report["by_month"].as_array().unwrap().iter().map(|row| &row["month"]).collect();
    assert_eq!((months.first(), months.len()), (Some(&&json!("2025-01")), 12));
}

#[tokio::test]
async fn the_report_takes_as_long_as_it_is_told_to() {
    let report_delay = Duration::from_millis(80);
    let settings = Settings { db: None, seed_products: 10, report_delay, cache: None };
    let shop = Shop { app: App::open(&settings).await.unwrap() };
    let start = Instant::now();
    shop.get("/v1/reports/sales").await;
    assert!(start.elapsed() >= report_delay);
}

#[tokio::test]
async fn stats_count_queries_and_requests_and_cost_none() {
    let shop = shop().await;
    let stats = async || shop.get("/v1/stats").await.json();
    assert_eq!(stats().await, json!({ "queries": 0, "requests": 0 }), "seeding does not count");
    shop.get("/healthz").await;
    assert_eq!(stats().await, json!({ "queries": 0, "requests": 0 }));

    let costs: [(&str, u64); 8] = [
        ("/v1/products/1", 1),
        ("/v1/products/1/price", 1),
        ("/v1/products", 2),
        ("/v1/products?category=lamps", 3),
        ("/v1/products/search?q=lamp", 2),
        ("/v1/images/1.jpg", 1),
        ("/v1/reports/sales", 3),
        ("/v1/nothing", 0),
    ];
    let (mut queries, mut requests) = (0, 0);
    for (path, cost) in costs {
        shop.get(path).await;
        queries += cost;
        requests += 1;
        assert_eq!(stats().await, json!({ "queries": queries, "requests": requests }), "{path}");
    }
    assert_eq!((shop.app.queries(), shop.app.requests()), (queries, requests));

    shop.get_as("alice-token", "/v1/account").await;
    shop.write("PUT", "/v1/products/1/price", json!({ "cents": 5 })).await;
    let Value::Object(after) = stats().await else { panic!("stats are an object") };
    assert_eq!(after["queries"], queries + 2 + 1);
}

#[tokio::test]
async fn the_api_is_healthy() {
    assert_eq!(shop().await.get("/healthz").await.json(), json!({ "status": "ok" }));
}
