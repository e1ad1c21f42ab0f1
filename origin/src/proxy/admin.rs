//! The admin listener: health, readiness, metrics. It only reads, and has nothing secret; whom it listens to is up to its address.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::serve::Stopping;

/// Connections at a time: a few scrapers and health checks.
const CONNECTIONS_MAX: usize = 64;

/// Whoever asks says what within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The text of `/metrics`.
pub(super) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until everything is to end: while the proxy is stopping, it says so.
pub(super) async fn serve(listener: TcpListener, metrics: Option<Metrics>, mut stopping: Stopping) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = stopping.overdue() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin listener was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else { continue };
        let (metrics, stopping) = (metrics.clone(), stopping.clone());
        tasks.spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, metrics.as_ref(), &stopping);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: Option<&Metrics>, stopping: &Stopping) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match (request.uri().path(), metrics) {
        ("/health", _) => text(StatusCode::OK, "ok\n"),
        ("/ready", _) if stopping.is_stopping() => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        ("/ready", _) => text(StatusCode::OK, "ready\n"),
        ("/metrics", Some(metrics)) => {
            let mut response = text(StatusCode::OK, metrics());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there is /health, /ready and /metrics\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
