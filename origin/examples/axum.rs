//! The cache in an axum application: the two lines are marked.
//!
//! ```sh
//! cargo run -p larder-origin --example axum        # prints where it listens
//! curl -si http://127.0.0.1:8080/time              # Cache-Status: Larder-Origin; fwd=uri-miss; stored
//! curl -si http://127.0.0.1:8080/time              # Cache-Status: Larder-Origin; hit; ttl=10, and the same time
//! curl -si -X POST http://127.0.0.1:8080/time      # purges by tag
//! curl -si http://127.0.0.1:8080/time              # Cache-Status: Larder-Origin; fwd=uri-miss; stored; detail=purged
//! ```

use std::time::SystemTime;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use larder_origin::CacheLayer;

const POLICY: &str = r#"{
    "version": 1,
    "name": "axum-example",
    "routes": [{ "name": "time", "path": "/time", "class": "catalog", "ttl": "10s", "tags": ["time"] }]
}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cache = CacheLayer::builder().policy(POLICY).build()?; // the first; or CacheLayer::from_file("policy.json")
    let handle = cache.handle();
    let change = async move || {
        handle.purge_tag("time");
        StatusCode::NO_CONTENT
    };
    let app = Router::new()
        .route("/time", get(async || httpdate::fmt_http_date(SystemTime::now())).post(change))
        .layer(cache); // the second, and the last of the layers: it sees requests first, as clients sent them

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener =
        tokio::net::TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}
