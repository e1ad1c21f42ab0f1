//! The inner service asked once, with its errors, panics and silence as outcomes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tower_service::Service;

/// Why there is no response.
pub(crate) enum Failed<E> {
    /// The service's own error.
    Error(E),
    /// It panicked.
    Panic(Box<dyn Any + Send>),
    /// Time ran out.
    TimedOut,
}

/// Waits until the service is ready, and asks it.
pub(crate) async fn ask<S, B, R>(
    mut service: S,
    request: Request<B>,
    timeout: Option<Duration>,
) -> Result<Response<R>, Failed<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    let answer = Unwinding(pin!(async move {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    }));
    let caught = match timeout {
        None => answer.await,
        Some(timeout) => tokio::time::timeout(timeout, answer).await.map_err(|_| Failed::TimedOut)?,
    };
    caught.map_err(Failed::Panic)?.map_err(Failed::Error)
}

/// A future whose panic is its outcome.
struct Unwinding<'a, F>(Pin<&'a mut F>);

impl<F: Future> Future for Unwinding<'_, F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // What panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
