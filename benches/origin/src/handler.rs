//! The handler that all subjects have behind them: three fixed documents with the fields that a JSON API sends.
//! Counts how often it is asked, so that whoever measures hits knows that they were hits.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::Service;

/// The entity tag of every document.
pub const ENTITY_TAG: &str = "\"5f1b2c3d-400\"";

/// One document. Clones count together.
#[derive(Clone, Debug)]
pub struct Handler {
    body: Bytes,
    asked: Arc<AtomicU64>,
}

impl Handler {
    /// A document of so many bytes.
    pub fn of(bytes: usize) -> Self {
        Self { body: vec![b'x'; bytes].into(), asked: Arc::default() }
    }

    /// How often it has been asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(Full::new(self.body.clone()));
        for (name, value) in [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "max-age=3600"),
            (ETAG, ENTITY_TAG),
            (LAST_MODIFIED, "Sun, 22 Nov 2026 19:22:00 GMT"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        ready(Ok(response))
    }
}
