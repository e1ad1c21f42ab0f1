//! The service in front of which the cache sits: sends a request to an origin, and hands out its response.
//!
//! Here messages are made fit for the next connection: `Via`, framing, the target's form. A request is sent twice only where the
//! first time cannot have counted: nothing of it was written, or it is idempotent, has no body, and was sent on a connection that
//! the origin was about to close (RFC 9110 9.2.2, RFC 9112 9.3.1).

mod dial;
mod error;
mod head;
mod outgoing;
mod pool;

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;
use tower_service::Service;

pub use dial::Protocol;
use dial::{Connection, Dialer, Purpose};
pub use error::UpstreamError;
use outgoing::{Gate, Outgoing, Progress};
use pool::{Pool, Reuse, Taken};

use super::body::{Held, RequestBody, UpstreamBody};
use super::counts;
use super::fields::hop;
use super::limits::{Limits, ms};
use super::origin::Origin;
use super::tls::OriginTls;
use super::tunnel::Tunnel;

/// Connections tried for one request at most.
const ATTEMPTS: usize = 3;

/// Which `Host` the origin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostField {
    /// The client's.
    #[default]
    Client,
    /// The origin's own, from its URL.
    Origin,
}

/// Sends requests to origins: the service that a cache is layered upon.
///
/// It takes requests with an absolute URI (the target as the client named it, not the origin's address) and without hop-by-hop
/// fields. Bodies stream both ways. Dropping the future, or the response's body, ends the request at the origin, too.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pools: Vec<Arc<Pool>>,
    next: AtomicUsize,
    host: HostField,
    response_timeout: Duration,
    continue_timeout: Duration,
    body_idle: Duration,
}

impl Upstream {
    /// Within a tokio runtime.
    pub(super) fn new(
        origins: Vec<Origin>,
        protocol: Protocol,
        tls: Option<OriginTls>,
        host: HostField,
        limits: &Limits,
    ) -> Result<Self, http::Error> {
        let pool = |origin| Ok(Pool::new(Dialer::new(origin, protocol, tls.clone(), limits)?, limits));
        Ok(Self(Arc::new(Shared {
            pools: origins.into_iter().map(pool).collect::<Result<_, http::Error>>()?,
            next: AtomicUsize::new(0),
            host,
            response_timeout: ms(limits.response_timeout_ms),
            continue_timeout: ms(limits.continue_timeout_ms),
            body_idle: ms(limits.body_idle_ms),
        })))
    }
}

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let began = Instant::now();
            let answered = shared.exchange(request).await;
            counts::upstream(began.elapsed(), answered.as_ref().map(Response::status).map_err(UpstreamError::name));
            answered
        })
    }
}

/// One attempt that failed.
struct Failed {
    error: UpstreamError,
    /// The body, where nothing of the request has been written.
    unsent: Option<Outgoing>,
    /// The connection ended without a byte of an answer.
    is_incomplete: bool,
}

impl Shared {
    async fn exchange(&self, request: Request<RequestBody>) -> Result<Response<UpstreamBody>, UpstreamError> {
        let (mut parts, body) = request.into_parts();
        let tunnel = parts.extensions.remove::<Tunnel>();
        let mut body = Outgoing::new(body);
        if let Some(tunnel) = tunnel
            && let Some(pool) = self.up_first().find(|pool| pool.dialer.can_upgrade())
        {
            return self.switch(pool, parts, body, &tunnel).await;
        }
        let mut reuse = Reuse::Allowed;
        for attempt in 1.. {
            let (pool, taken) = self.take(reuse).await?;
            let again = taken.reused && attempt < ATTEMPTS;
            let bodyless = http_body::Body::is_end_stream(&body) && parts.method.is_idempotent();
            let copy = again.then(|| parts.clone());
            match self.send(pool, taken.connection, parts, body).await {
                Ok(response) => return Ok(response),
                Err(Failed { unsent, is_incomplete, error }) => {
                    let Some(copy) = copy else { return Err(error) };
                    body = match unsent {
                        Some(unsent) => unsent.again(),
                        None if is_incomplete && bodyless => Outgoing::new(RequestBody::default()),
                        None => return Err(error),
                    };
                    parts = copy;
                    reuse = Reuse::No;
                    counts::retried();
                }
            }
        }
        Err(UpstreamError::Refused)
    }

    /// A connection to the next origin that can be connected to.
    async fn take(&self, reuse: Reuse) -> Result<(&Arc<Pool>, Taken), UpstreamError> {
        let mut last = UpstreamError::Refused;
        for pool in self.up_first() {
            match pool.take(reuse).await {
                Ok(taken) => return Ok((pool, taken)),
                Err(error) if error.is_connecting() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Origins in turn, those last that could not be connected to lately.
    fn up_first(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let count = self.pools.len().max(1);
        let start = if count > 1 { self.next.fetch_add(1, Ordering::Relaxed) % count } else { 0 };
        let turn = move || self.pools.iter().cycle().skip(start).take(self.pools.len());
        let alone = count == 1;
        turn().filter(move |pool| alone || pool.is_up()).chain(turn().filter(move |pool| !alone && !pool.is_up()))
    }

    async fn send(
        &self,
        pool: &Arc<Pool>,
        connection: Connection,
        parts: Parts,
        body: Outgoing,
    ) -> Result<Response<UpstreamBody>, Failed> {
        let origin = pool.dialer.origin();
        let progress = body.progress();
        match connection {
            Connection::Http1(mut sender) => {
                let (request, gate) = head::http1(parts, body, origin, self.host, None).map_err(unsendable)?;
                let sent = sender.try_send_request(request);
                let response = self.head_in_time(sent, &progress, gate.as_ref()).await?;
                pool.give_back(sender);
                let held = gate.and_then(|gate| gate.closed()).map(|closed| Box::new(closed) as Held);
                self.received(response, held).map_err(no_way_back)
            }
            Connection::Http2(mut sender) => {
                let request = head::http2(parts, body, origin, self.host).map_err(unsendable)?;
                let sent = sender.try_send_request(request);
                let response = self.head_in_time(sent, &progress, None).await?;
                self.received(response, None).map_err(no_way_back)
            }
        }
    }

    /// A request that changes the protocol, on a connection of its own.
    async fn switch(
        &self,
        pool: &Arc<Pool>,
        parts: Parts,
        body: Outgoing,
        tunnel: &Tunnel,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let Connection::Http1(mut sender) = pool.dialer.dial(Purpose::Tunnel).await? else {
            return Err(UpstreamError::SwitchedUnasked);
        };
        let progress = body.progress();
        let (request, gate) = head::http1(parts, body, pool.dialer.origin(), self.host, Some(tunnel.protocol()))
            .map_err(UpstreamError::Unsendable)?;
        let sent = sender.try_send_request(request);
        let mut response =
            self.head_in_time(sent, &progress, gate.as_ref()).await.map_err(|failed: Failed| failed.error)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tunnel.put(hyper::upgrade::on(&mut response));
            let (mut parts, body) = response.into_parts();
            head::switched(&mut parts);
            return Ok(Response::from_parts(parts, UpstreamBody::new(body, self.body_idle, None)));
        }
        let held = gate.and_then(|gate| gate.closed()).map(|closed| Box::new(closed) as Held);
        self.received(response, held)
    }

    /// Waits for the head. The time that the client takes for its body does not count.
    async fn head_in_time(
        &self,
        sent: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>>,
        progress: &Progress,
        gate: Option<&Gate>,
    ) -> Result<Response<Incoming>, Failed> {
        let mut sent = pin!(sent);
        if let Some(gate) = gate {
            if let Ok(answered) = tokio::time::timeout(self.continue_timeout, sent.as_mut()).await {
                return answered.map_err(|error| failed(error, progress));
            }
            gate.open();
        }
        loop {
            let deadline = progress.moved() + self.response_timeout;
            match tokio::time::timeout_at(deadline, sent.as_mut()).await {
                Ok(answered) => return answered.map_err(|error| failed(error, progress)),
                Err(_) if progress.moved() + self.response_timeout > Instant::now() => {}
                Err(_) => return Err(no_way_back(UpstreamError::TimedOut)),
            }
        }
    }

    fn received(
        &self,
        response: Response<Incoming>,
        held: Option<Held>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::SwitchedUnasked);
        }
        if hop::is_coded(response.headers()) {
            return Err(UpstreamError::Coding);
        }
        let (mut parts, body) = response.into_parts();
        head::received(&mut parts);
        Ok(Response::from_parts(parts, UpstreamBody::new(body, self.body_idle, held)))
    }
}

fn no_way_back(error: UpstreamError) -> Failed {
    Failed { error, unsent: None, is_incomplete: false }
}

fn unsendable(error: http::Error) -> Failed {
    no_way_back(UpstreamError::Unsendable(error))
}

fn failed(mut error: TrySendError<Request<Outgoing>>, progress: &Progress) -> Failed {
    let unsent = error.take_message().map(Request::into_body);
    let error = error.into_error();
    let is_incomplete = error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_reset(&error);
    let error = match progress.take_failure() {
        Some(failure) => UpstreamError::Request(failure),
        None if error.is_parse() => UpstreamError::Nonsense(error),
        None => UpstreamError::Closed(error),
    };
    Failed { error, unsent, is_incomplete }
}

/// An origin that closes a connection on which something has just come resets it.
fn is_reset(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        )
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Body;

    use super::*;
    use crate::proxy::BoxError;

    /// What a caching layer asks of the service that it is put upon.
    fn can_be_cached<S, B, R>()
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: std::error::Error + Send + Sync + 'static,
        B: Body + Default + Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
    }

    #[test]
    fn a_cache_can_be_put_upon_it() {
        can_be_cached::<Upstream, RequestBody, UpstreamBody>();
        assert!(RequestBody::default().is_end_stream(), "a request that a cache makes has no body");
    }
}
