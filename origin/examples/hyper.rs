//! The cache around a plain hyper service, without a framework: HTTP/1.1 and HTTP/2 in clear text.
//!
//! ```sh
//! cargo run -p larder-origin --example hyper       # prints where it listens
//! curl -si http://127.0.0.1:8080/greetings/you     # Cache-Status: Larder-Origin; fwd=uri-miss; stored
//! curl -si http://127.0.0.1:8080/greetings/you     # Cache-Status: Larder-Origin; hit; ttl=57
//! ```

use std::convert::Infallible;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use larder_origin::CacheLayer;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

const POLICY: &str = r#"{
    "version": 1,
    "name": "hyper-example",
    "routes": [{ "name": "greetings", "path": "/greetings/{name}", "class": "catalog", "ttl": "60s" }]
}"#;

/// A request's body: any that has a default, since refreshes in the background have none. hyper's own does not, and is boxed.
type RequestBody = UnsyncBoxBody<Bytes, hyper::Error>;

async fn greet(request: Request<RequestBody>) -> Result<Response<String>, Infallible> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    Ok(Response::new(format!("Hello {name}\n")))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cache = CacheLayer::builder().policy(POLICY).build()?;
    let service = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(BodyExt::boxed_unsync))
        .layer(cache)
        .service_fn(greet);
    let service = TowerToHyperService::new(service);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let stopping = GracefulShutdown::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            stop = tokio::signal::ctrl_c() => break stop?,
        };
        let server = Builder::new(TokioExecutor::new());
        let connection = server.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        let connection = stopping.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    stopping.shutdown().await;
    Ok(())
}
