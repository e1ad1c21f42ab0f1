//! One client's request: held against what a gateway must refuse, made unambiguous, given to the cache (or past it, where it is to
//! change the protocol), and answered whatever comes of it.

mod refusal;
mod served;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;
use tower_service::Service;

use refusal::Refusal;
pub(crate) use refusal::of_layer as answer;
pub(super) use served::Served;
use served::{Content, Record};

use super::BoxError;
use super::body::RequestBody;
use super::counts::{self, Open, Side};
use super::fields::forwarded::{self, Sender, Word};
use super::fields::hop;
use super::limits::{Limits, ms};
use super::serve::{Activity, Stopping};
use super::target;
use super::trust::Network;
use super::tunnel::{self, Tunnel};
use super::upstream::{Upstream, UpstreamError};

/// A service that can stand behind the front: the cache upon the upstream.
pub trait Answers:
    Service<
        Request<RequestBody>,
        Response = Response<<Self as Answers>::Body>,
        Error = <Self as Answers>::Failure,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The responses' bodies.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
    /// Its error.
    type Failure: Into<BoxError>;
}

impl<S, B> Answers for S
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;
    type Failure = S::Error;
}

/// What every request is held against.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) limits: Arc<Limits>,
    pub(super) trusted: Vec<Network>,
    /// The authority of requests that name none, which HTTP/1.0 allows.
    pub(super) authority: Authority,
    pub(super) access_log: bool,
}

/// Answers requests.
#[derive(Clone, Debug)]
pub(super) struct Front<S> {
    service: S,
    /// Past the cache.
    upstream: Upstream,
    settings: Arc<Settings>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    /// How it came: with TLS or without.
    pub(super) scheme: Scheme,
    pub(super) activity: Arc<Activity>,
    pub(super) stopping: Stopping,
}

/// What goes on to the origin, and what comes back by another way.
struct Accepted {
    request: Request<RequestBody>,
    tunnel: Option<(Tunnel, OnUpgrade)>,
}

impl<S: Answers> Front<S> {
    pub(super) fn new(service: S, upstream: Upstream, settings: Arc<Settings>) -> Self {
        Self { service, upstream, settings }
    }

    /// Answers a request. An answer always comes: what fails is told as a response.
    pub(super) fn answer(
        &self,
        client: Client,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Served<S::Body>>, Infallible>> + Send + use<S> {
        let Self { mut service, upstream, settings } = self.clone();
        client.activity.request_came();
        async move {
            let began = Instant::now();
            let open = Open::new(Side::Request);
            let version = request.version();
            let mut record = Record::new(&client, &request, open, settings.access_log);
            let response = match accepted(&settings, &client, request) {
                Ok(Accepted { request, tunnel: None }) => through(&mut service, request).await,
                Ok(Accepted { request, tunnel: Some((tunnel, ours)) }) => {
                    let response = if request.method().is_safe() {
                        past(upstream, request).await
                    } else {
                        through(&mut service, request).await
                    };
                    joined(response, &tunnel, ours, &client, &settings)
                }
                Err(refusal) => refusal.response(),
            };
            counts::answered(began.elapsed());
            record.answered(&response);
            let (mut parts, content) = response.into_parts();
            parts.version = Version::HTTP_11;
            if version >= Version::HTTP_2 {
                parts.headers.remove(header::CONNECTION);
            }
            Ok(Response::from_parts(parts, Served::new(content, record)))
        }
    }
}

/// Through the cache.
async fn through<S: Answers>(service: &mut S, request: Request<RequestBody>) -> Response<Content<S::Body>> {
    if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
        return failed(error.into());
    }
    match service.call(request).await {
        Ok(response) => response.map(|body| Content::Passed(Box::pin(body))),
        Err(error) => failed(error.into()),
    }
}

/// Past the cache.
async fn past<B: Body<Data = Bytes>>(mut upstream: Upstream, request: Request<RequestBody>) -> Response<Content<B>> {
    match upstream.call(request).await {
        Ok(response) => response.map(Content::Upstream),
        Err(error) => failed(error.into()),
    }
}

fn failed<B: Body<Data = Bytes>>(error: BoxError) -> Response<Content<B>> {
    match error.downcast_ref::<UpstreamError>() {
        Some(error) => {
            tracing::debug!(%error, "no answer of the origin");
            Refusal::Upstream(error).response()
        }
        None => {
            tracing::warn!(%error, "the service failed");
            Refusal::Service.response()
        }
    }
}

/// Joins both ends, where the origin has agreed to change the protocol.
fn joined<B: Body<Data = Bytes>>(
    response: Response<Content<B>>,
    tunnel: &Tunnel,
    ours: OnUpgrade,
    client: &Client,
    settings: &Settings,
) -> Response<Content<B>> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let Some(theirs) = tunnel.take() else {
        return Refusal::Upstream(&UpstreamError::SwitchedUnasked).response();
    };
    client.activity.becomes_tunnel();
    let passing = tunnel::pass(
        ours,
        theirs,
        client.activity.clone(),
        ms(settings.limits.tunnel_idle_ms),
        client.stopping.clone(),
    );
    let open = Open::new(Side::Tunnel);
    tokio::spawn(async move {
        passing.await;
        drop(open);
    });
    response.map(|_| Content::Text(None))
}

fn accepted(settings: &Settings, client: &Client, request: Request<Incoming>) -> Result<Accepted, Refusal<'static>> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if hop::is_coded(&parts.headers) {
        return Err(Refusal::Coding);
    }
    let most = settings.limits.body_bytes();
    if let (Some(most), Some(length)) = (most, length(&parts.headers))
        && length > most
    {
        return Err(Refusal::TooLong);
    }
    if parts.headers.get_all(header::EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Refusal::Expectation);
    }
    if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
        return Err(Refusal::Options);
    }
    let word = if settings.trusted.iter().any(|network| network.contains(client.peer.ip())) {
        Word::Counts
    } else {
        Word::DoesNot
    };
    let scheme = forwarded::scheme(&parts.headers, word).unwrap_or_else(|| client.scheme.clone());
    target::settle(&mut parts.uri, &mut parts.headers, parts.version, &scheme, &settings.authority)
        .map_err(Refusal::Target)?;
    if parts.method == Method::TRACE && !body.is_end_stream() {
        return Err(Refusal::TraceWithBody);
    }
    if matches!(parts.method, Method::TRACE | Method::OPTIONS) && !one_less(&mut parts.headers)? {
        return Err(if parts.method == Method::TRACE { Refusal::Traced(Box::new(parts)) } else { Refusal::Options });
    }
    let wish = if parts.version == Version::HTTP_11 { hop::upgrade(&parts.headers) } else { None };
    hop::strip(&mut parts.headers);
    one_cookie_line(&mut parts.headers);
    forwarded::disbelieve(&mut parts.headers, word);
    parts.extensions.insert(Sender { peer: client.peer.ip(), scheme });
    let ours = parts.extensions.remove::<OnUpgrade>();
    let tunnel = wish.zip(ours).map(|(protocol, ours)| (Tunnel::to(protocol), ours));
    if let Some((tunnel, _)) = &tunnel {
        parts.extensions.insert(tunnel.clone());
    }
    let body = RequestBody::of_client(body, most, ms(settings.limits.body_idle_ms));
    Ok(Accepted { request: Request::from_parts(parts, body), tunnel })
}

/// A body's length, as announced. hyper has seen to it that there is one.
fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a request may go further (RFC 9110 7.6.2).
fn one_less(fields: &mut HeaderMap) -> Result<bool, Refusal<'static>> {
    let mut values = fields.get_all(header::MAX_FORWARDS).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(true) };
    let text = value.to_str().map_err(|_| Refusal::MaxForwards)?;
    if more.is_some() || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::MaxForwards);
    }
    let left: u64 = text.parse().unwrap_or(u64::MAX);
    let Some(left) = left.checked_sub(1) else { return Ok(false) };
    fields.insert(header::MAX_FORWARDS, left.into());
    Ok(true)
}

/// HTTP/2 may send cookies one by one; HTTP/1.1, and whoever reads the first line only, may not get them so (RFC 9113 8.2.3).
fn one_cookie_line(fields: &mut HeaderMap) {
    let lines: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    if let Ok(all) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        fields.insert(header::COOKIE, all);
    }
}
