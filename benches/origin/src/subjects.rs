//! The subjects: the handler by itself, in Larder's layer, and in those of its peers, each with its store in memory and otherwise
//! as its documentation sets it up.

use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::error_handling::HandleErrorLayer;
use bytes::Bytes;
use clap::ValueEnum;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_cache::{MokaCache, MokaManager};
use http_cache_tower_server::ServerCacheLayer;
use larder_origin::CacheLayer;
use tower::util::MapResponseLayer;
use tower::{BoxError, ServiceBuilder};
use tower_http_cache::backend::memory::InMemoryBackend;

use crate::handler::Handler;

/// What Larder does by default: what the handler's own fields say.
const POLICY: &str = include_str!("../../../policies/default.json");
const ENTRIES_MAX: u64 = 10_000;
const TTL: Duration = Duration::from_secs(3600);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// larder-origin
    Larder,
    /// No cache
    Bare,
    /// The crate of this name
    TowerHttpCache,
    /// The crate of this name
    HttpCacheTowerServer,
}

/// Larder's layer.
pub fn larder() -> Result<CacheLayer> {
    Ok(CacheLayer::builder().policy(POLICY).build()?)
}

/// The layer of tower-http-cache.
pub fn tower_http_cache() -> tower_http_cache::layer::CacheLayer<InMemoryBackend> {
    tower_http_cache::layer::CacheLayer::builder(InMemoryBackend::new(ENTRIES_MAX)).ttl(TTL).build()
}

/// The layer of http-cache-tower-server.
pub fn http_cache_tower_server() -> ServerCacheLayer<MokaManager> {
    ServerCacheLayer::new(MokaManager::new(MokaCache::new(ENTRIES_MAX)))
}

/// An axum application: these documents, and the subject's layer around them.
pub fn app(subject: Subject, documents: &[(&str, Handler)]) -> Result<Router> {
    let routes =
        documents.iter().fold(Router::new(), |router, (path, handler)| router.route_service(path, handler.clone()));
    Ok(match subject {
        Subject::Bare => routes,
        Subject::Larder => routes.layer(larder()?),
        Subject::TowerHttpCache => routes.layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(failed))
                .layer(tower_http_cache())
                // It asks for bodies that are `Sync`, which axum's are not.
                .layer(MapResponseLayer::new(|response: Response<axum::body::Body>| response.map(Shared::new))),
        ),
        Subject::HttpCacheTowerServer => {
            routes.layer(ServiceBuilder::new().layer(HandleErrorLayer::new(failed)).layer(http_cache_tower_server()))
        }
    })
}

async fn failed(error: BoxError) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// A body that is `Sync`.
struct Shared(Mutex<axum::body::Body>);

impl Shared {
    fn new(body: axum::body::Body) -> Self {
        Self(Mutex::new(body))
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::pin::Pin::new(body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).size_hint()
    }
}
