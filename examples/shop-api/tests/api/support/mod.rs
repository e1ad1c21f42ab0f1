//! A shop in a temporary file, and requests to its router. Every reply is checked against the OpenAPI document.

pub mod contract;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use shop_api::{App, CacheSettings, Settings};
use tower::ServiceExt;

/// An open shop with 60 products and a report without delay.
pub struct Shop {
    pub app: App,
}

pub async fn shop() -> Shop {
    let settings = Settings { db: None, seed_products: 60, report_delay: Duration::ZERO, cache: None };
    Shop { app: App::open(&settings).await.unwrap() }
}

/// The same with a cache.
pub async fn cached(cache: CacheSettings) -> Shop {
    cached_at(None, cache).await
}

/// The same on a database of one's own.
pub async fn cached_at(db: Option<PathBuf>, cache: CacheSettings) -> Shop {
    let settings = Settings { db, seed_products: 60, report_delay: Duration::ZERO, cache: Some(cache) };
    Shop { app: App::open(&settings).await.unwrap() }
}

/// Asks again and again until the answer is yes.
pub async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ask().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        let _ = tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
    }
}

/// An answer, read to the end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The one value of a header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        assert!(self.headers.get_all(name).iter().count() <= 1, "{name} is there more than once");
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The status and the code of an error.
    pub fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["code"].as_str().unwrap().to_owned())
    }
}

impl Shop {
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub async fn get_with(&self, path: &str, header: &str, value: &str) -> Reply {
        self.send("GET", path, &[(header, value)], "").await
    }

    /// Sends JSON.
    pub async fn write(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send(method, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    /// Sends JSON as the user with this token.
    pub async fn write_as(&self, token: &str, method: &str, path: &str, body: Value) -> Reply {
        let authorization = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        self.send(method, path, &headers, &body.to_string()).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Reply {
        self.get_with(path, "authorization", &format!("Bearer {token}")).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let reply = self.ask(method, path, headers, body).await;
        contract::check(method, path, &reply);
        reply
    }

    /// As [`Shop::send`], for answers that the API itself does not have.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "shop.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.app.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// A product that can be added.
pub fn draft(sku: &str) -> Value {
    json!({
        "sku": sku,
        "category": "lamps",
        "price_cents": 1234,
        "stock": 5,
        "texts": {
            "en": { "name": "Test lamp", "description": "Shines." },
            "de": { "name": "Testlampe", "description": "Leuchtet." },
        },
    })
}

/// The values of one field of a page's items.
pub fn field<'a>(page: &'a Value, name: &str) -> Vec<&'a Value> {
    page["items"].as_array().unwrap().iter().map(|item| &item[name]).collect()
}
