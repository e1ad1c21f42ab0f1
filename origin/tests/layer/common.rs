//! A service under test, whose answers the test writes chunk by chunk, and clients that read as slowly as they like.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty};
use larder_origin::{Body, BoxError, CacheLayer, CacheService};
use tokio::sync::{Notify, mpsc, oneshot};
use tower_layer::Layer;
use tower_service::Service;

#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "for layers that share"))]
pub const POLICY: &str = r#"{ "version": 1, "name": "test", "defaults": { "ttl": "60s", "etag": "origin" } }"#;

/// A layer under a policy's `defaults`.
pub fn layer(defaults: &str) -> CacheLayer {
    let policy = format!(r#"{{ "version": 1, "name": "test", "defaults": {{ {defaults} }} }}"#);
    CacheLayer::builder().policy(policy).build().expect("a layer")
}

/// A service that answers when the test does.
#[derive(Clone, Default)]
pub struct Scripted {
    waiting: Arc<Mutex<VecDeque<Asked>>>,
    calls: Arc<AtomicUsize>,
    more: Arc<Notify>,
}

/// A request at the service.
pub struct Asked {
    pub request: Request<Empty<Bytes>>,
    tell: oneshot::Sender<Response<Written>>,
}

/// The body that goes with an answer, for the test to write on.
pub struct Pen {
    chunks: mpsc::Sender<Result<Frame<Bytes>, BoxError>>,
}

/// A body as the service sends it; the test sees how far it was read.
pub struct Written {
    chunks: mpsc::Receiver<Result<Frame<Bytes>, BoxError>>,
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.chunks.poll_recv(cx)
    }
}

impl Service<Request<Empty<Bytes>>> for Scripted {
    type Response = Response<Written>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Written>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        let (tell, told) = oneshot::channel();
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().expect("the queue").push_back(Asked { request, tell });
        self.more.notify_waiters();
        Box::pin(async move { Ok(told.await.expect("the test answers")) })
    }
}

impl Scripted {
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// The next request, once it is here.
    pub async fn asked(&self) -> Asked {
        let next = async {
            loop {
                let mut more = std::pin::pin!(self.more.notified());
                more.as_mut().enable();
                if let Some(asked) = self.waiting.lock().expect("the queue").pop_front() {
                    return asked;
                }
                more.await;
            }
        };
        // On time that stands still this is over as soon as nothing else moves.
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("a request reaches the service")
    }
}

impl Asked {
    /// Answers with a head; one chunk at a time may lie between the test and the layer.
    pub fn answer(self, status: u16, fields: &[(&str, &str)]) -> Pen {
        let (chunks, read) = mpsc::channel(1);
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        // The client may be gone, and the request with it.
        let _ = self.tell.send(response.body(Written { chunks: read }).expect("a response"));
        Pen { chunks }
    }

    pub fn is_cancelled(&self) -> bool {
        self.tell.is_closed()
    }
}

impl Pen {
    /// Writes a chunk, once there is room. False where nobody reads any more.
    pub async fn write(&self, chunk: impl Into<Bytes>) -> bool {
        self.chunks.send(Ok(Frame::data(chunk.into()))).await.is_ok()
    }

    pub async fn fail(&self) {
        let _ = self.chunks.send(Err("the disk is gone".into())).await;
    }

    pub async fn deserted(&self) {
        self.chunks.closed().await;
    }

    /// Whether the chunk before has been taken.
    pub fn has_room(&self) -> bool {
        self.chunks.capacity() > 0
    }
}

pub type Layered = CacheService<Scripted>;

pub fn service(layer: &CacheLayer) -> (Layered, Scripted) {
    let scripted = Scripted::default();
    (layer.layer(scripted.clone()), scripted)
}

pub fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::builder().uri(format!("http://h.example{path}")).body(Empty::new()).expect("a request")
}

/// Sends a GET in a task.
pub fn send(service: &Layered, path: &str) -> tokio::task::JoinHandle<Response<Body>> {
    let mut service = service.clone();
    let request = get(path);
    tokio::spawn(async move { service.call(request).await.expect("infallible") })
}

/// What the store answers at once, if it does.
pub async fn stored(service: &Layered, path: &str) -> Option<(u16, String)> {
    let mut request = get(path);
    request.headers_mut().insert("cache-control", http::HeaderValue::from_static("only-if-cached"));
    let response = service.clone().call(request).await.expect("infallible");
    let status = response.status().as_u16();
    (status != 504).then_some((status, text(response).await.expect("a stored body")))
}

/// The body to its end.
pub async fn text(response: Response<Body>) -> Result<String, BoxError> {
    let whole = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&whole).into_owned())
}

/// The next chunk.
pub async fn chunk(body: &mut Body) -> Option<Result<Bytes, BoxError>> {
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

pub fn field<'a, B>(response: &'a Response<B>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// Lets all tasks go on until they wait for something.
pub async fn calm() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
