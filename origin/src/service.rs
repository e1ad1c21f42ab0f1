//! The layer and its service: a request's way from the client to its answer.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request};
use larder_core::exchange::Effect;
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;

use crate::body::{Body, BoxError};
use crate::builder::Builder;
use crate::cache::Cache;
use crate::effects;
use crate::fetch;
use crate::handle::Handle;
use crate::head::{self, Form};
use crate::refresh;
use crate::stream::{Step, Stream};
use crate::upstream::{self, Failed};

/// The shared HTTP cache as a tower layer (RFC 9111). Services made by one layer, and by its clones, share what is stored.
///
/// Responses stream: a miss reaches its client while it is being stored, and so it does everybody who asks for the same
/// meanwhile. A client that leaves costs the others nothing.
///
/// The layer runs on tokio, with time enabled.
///
/// ```no_run
/// # async fn page() -> &'static str { "" }
/// # async fn serve(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
/// let cache = larder_origin::CacheLayer::from_file("policies/shop.json")?;
/// let app = axum::Router::new().route("/", axum::routing::get(page)).layer(cache);
/// # axum::serve(listener, app).await?; Ok(()) }
/// ```
#[derive(Clone)]
pub struct CacheLayer {
    cache: Arc<Cache>,
}

/// What [`CacheLayer`] makes of a service.
///
/// Always ready: the inner service is waited for where it is needed, so that hits come through while it is busy.
#[derive(Clone)]
pub struct CacheService<S> {
    cache: Arc<Cache>,
    inner: S,
}

impl CacheLayer {
    /// A layer to be set up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A layer in memory, under the policy of a file.
    ///
    /// # Errors
    /// The file cannot be read, or the policy is refused: each error names file, line and column.
    pub fn from_file(path: impl AsRef<std::path::Path>) -> Result<Self, crate::BuildError> {
        Self::builder().policy_file(path).build()
    }

    pub(crate) fn new(cache: Cache) -> Self {
        let cache = Arc::new(cache);
        // Where there is no runtime yet, the first request begins it.
        Cache::follow_cluster(&cache);
        Self { cache }
    }

    /// Purges, another policy, counters: what the application does with its cache.
    pub fn handle(&self) -> Handle {
        Handle::new(self.cache.clone())
    }
}

impl std::fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheLayer").finish_non_exhaustive()
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { cache: self.cache.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: http_body::Body + Default + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Cache::follow_cluster(&self.cache);
        let (parts, body) = request.into_parts();
        let head = head::request_head(&parts, !body.is_end_stream(), &self.cache.settings.scheme);
        let (stream, step, effects) = Stream::begin(&self.cache, head);
        carry_out::<S, B, R>(&stream, effects, &self.inner, &parts);
        match step {
            Step::Answer(response) => ResponseFuture(Inner::Ready(Some(response))),
            step => {
                let span =
                    tracing::debug_span!(target: "larder", "cache", method = %parts.method, path = parts.uri.path());
                let answer = run(stream, step, self.inner.clone(), parts, body).instrument(span);
                ResponseFuture(Inner::Running(Box::pin(answer)))
            }
        }
    }
}

/// The answer to come. From the store it is there at once.
pub struct ResponseFuture<E>(Inner<E>);

enum Inner<E> {
    Ready(Option<Response<Body>>),
    Running(Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>),
}

impl<E> std::fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl<E> Unpin for ResponseFuture<E> {}

impl<E> Future for ResponseFuture<E> {
    type Output = Result<Response<Body>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Ready(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled after its end, which futures may answer as they like.
                None => Poll::Pending,
            },
            Inner::Running(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// Carries out effects, with the service at hand for what asks the origin.
fn carry_out<S, B, R>(stream: &Stream, effects: Vec<Effect>, inner: &S, parts: &request::Parts)
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Default + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    if effects.is_empty() {
        return;
    }
    let mut others = Vec::new();
    for effect in effects {
        match effect {
            Effect::Refresh(refresh) => {
                refresh::begin::<S, B, R>(&stream.cache, inner.clone(), Form::of(parts), refresh);
            }
            other => others.push(other),
        }
    }
    effects::carry_out(&stream.cache, others);
}

async fn run<S, B, R>(
    mut stream: Stream,
    mut step: Step,
    inner: S,
    mut parts: request::Parts,
    body: B,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: http_body::Body + Default + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let edits = loop {
        let (next, effects) = match step {
            Step::Answer(response) => return Ok(response),
            Step::Forward(edits) => break edits,
            Step::Wait => {
                let wake = stream.wait().await;
                stream.on_wake(wake)
            }
            Step::Lookup(call) => {
                let answer = stream.lookup(*call).await;
                stream.on_lookup(answer)
            }
        };
        carry_out::<S, B, R>(&stream, effects, &inner, &parts);
        step = next;
    };
    head::edit_request(&mut parts, &edits);
    let request = Request::from_parts(parts, body);
    let answer = if stream.may_fill() {
        // Others may be waiting for this: it goes on should its own client leave.
        let (tell, told) = oneshot::channel();
        let filling = forward(stream, inner, request);
        tokio::spawn(async move { drop(tell.send(filling.await)) }.in_current_span());
        told.await.unwrap_or_else(|_| Ok(gone()))
    } else {
        forward(stream, inner, request).await
    };
    match answer {
        Ok(response) => Ok(response),
        Err(Failed::Error(error)) => Err(error),
        Err(Failed::Panic(panic)) => resume_unwind(panic),
        Err(Failed::TimedOut) => Ok(gone()),
    }
}

async fn forward<S, B, R>(stream: Stream, inner: S, request: Request<B>) -> Result<Response<Body>, Failed<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let method = request.method().clone();
    match upstream::ask(inner, request, stream.cache.settings.timeout).await {
        Ok(response) => Ok(fetch::receive(stream, &method, response).await),
        Err(why) => fetch::failed(stream, why),
    }
}

/// The runtime shuts down, and the task that had the answer with it.
fn gone() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
