//! Refreshes in the background (stale-while-revalidate, RFC 5861 3): a bounded number of tasks, each bounded in time and bytes.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use larder_core::exchange::{Answer, Refresh, RefreshStep};
use larder_core::fields::ResponseHead;
use tower_service::Service;
use tracing::Instrument;

use crate::body::BoxError;
use crate::cache::Cache;
use crate::effects;
use crate::head::{self, Form};
use crate::upstream;

/// Begins a refresh; where there are too many already, the stale response stays for now.
pub(crate) fn begin<S, B, R>(cache: &Arc<Cache>, inner: S, form: Form, refresh: Box<Refresh>)
where
    S: Service<Request<B>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Default + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let room = cache.refreshes.clone().try_acquire_owned();
    let (Ok(runtime), Ok(permit)) = (tokio::runtime::Handle::try_current(), room) else {
        return finish(cache, refresh, None);
    };
    let cache = cache.clone();
    let span = tracing::debug_span!(target: "larder", "refresh", path = refresh.request.path());
    let task = async move {
        run(&cache, inner, form, refresh).await;
        drop(permit);
    };
    runtime.spawn(task.instrument(span));
}

async fn run<S, B, R>(cache: &Arc<Cache>, inner: S, form: Form, mut refresh: Box<Refresh>)
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Default,
    R: http_body::Body<Data = Bytes>,
{
    let (call, _) = cache.step(|inner, _, _| refresh.lookup(&inner.worker));
    if let Some(call) = call {
        let answer = cache.call(&call).await;
        let (step, effects) = cache.step(|inner, now, out| {
            let worker = inner.worker_for(refresh.policy());
            refresh.on_lookup(now, answer, worker, out)
        });
        effects::carry_out(cache, effects);
        if step == RefreshStep::Done {
            return;
        }
    }
    let answer = match head::request(&refresh.request, form, B::default()) {
        Some(request) => {
            let answer = ask(cache, inner, request, refresh.body_bytes_max());
            tokio::time::timeout(cache.settings.refresh_timeout, answer).await.ok().flatten()
        }
        None => None,
    };
    finish(cache, refresh, answer);
}

/// The whole response, where there is one that is worth having.
async fn ask<S, B, R>(
    cache: &Arc<Cache>,
    inner: S,
    request: Request<B>,
    bytes_max: u64,
) -> Option<(ResponseHead, Bytes)>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes>,
{
    let response = upstream::ask(inner, request, cache.settings.timeout).await.ok()?;
    let (mut parts, body) = response.into_parts();
    let bodiless = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.size_hint().exact().filter(|_| !bodiless);
    let head = head::response_head(&mut parts, length, bodiless || body.is_end_stream(), cache.now());
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(chunk) = frame.ok()?.into_data() {
            whole.extend_from_slice(&chunk);
        }
        if whole.len() as u64 > bytes_max {
            // One byte too many says as much as all of them.
            break;
        }
    }
    Some((head, whole.freeze()))
}

fn finish(cache: &Arc<Cache>, refresh: Box<Refresh>, answer: Option<(ResponseHead, Bytes)>) {
    let ((), effects) = cache.step(|inner, now, out| {
        let answer = match &answer {
            Some((head, body)) => Answer::Response(head.clone(), body),
            None => Answer::Failed,
        };
        let worker = inner.worker_for(refresh.policy());
        refresh.finish(now, answer, worker, out);
    });
    effects::carry_out(cache, effects);
}
