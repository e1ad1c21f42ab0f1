//! A response on its way to the client: counted, and written to the access log when it has ended, however it has.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Client;
use crate::proxy::BoxError;
use crate::proxy::body::UpstreamBody;
use crate::proxy::counts::{self, Open};
use crate::proxy::serve::Activity;

/// Where a response's body comes from.
pub(in crate::proxy) enum Content<B> {
    /// The proxy itself.
    Text(Option<Bytes>),
    /// The cache.
    Passed(Pin<Box<B>>),
    /// The origin, past the cache.
    Upstream(UpstreamBody),
}

/// A response's body.
pub(in crate::proxy) struct Served<B> {
    content: Content<B>,
    record: Record,
}

impl<B> Served<B> {
    pub(super) fn new(content: Content<B>, record: Record) -> Self {
        Self { content, record }
    }
}

impl<B> Body for Served<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.content {
            Content::Text(text) => text.take().map(|text| Ok(Frame::data(text))),
            Content::Passed(body) => ready!(body.as_mut().poll_frame(cx)).map(|frame| frame.map_err(Into::into)),
            Content::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(BoxError::from)),
        };
        match &frame {
            Some(Ok(frame)) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.is_end_stream() {
                    self.record.end = End::Complete;
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a response broke off");
                self.record.end = End::Failed;
            }
            None => self.record.end = End::Complete,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Passed(body) => body.is_end_stream(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Content::Passed(body) => body.size_hint(),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}

impl<B> Drop for Served<B> {
    fn drop(&mut self) {
        // hyper does not ask for the end of a body whose length it knows.
        let is_done = self.record.expected.is_some_and(|expected| expected <= self.record.bytes);
        if self.record.end == End::Aborted && is_done {
            self.record.end = End::Complete;
        }
    }
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With its last byte.
    Complete,
    /// It failed on its way.
    Failed,
    /// The client did not want it any more.
    Aborted,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

/// What is known of a request when it has ended. Dropped without an answer, the client has left before.
pub(super) struct Record {
    began: Instant,
    end: End,
    bytes: u64,
    /// The body's length, where it is known; 0 where there is none.
    expected: Option<u64>,
    status: Option<StatusCode>,
    head_ms: u64,
    is_head: bool,
    line: Option<Line>,
    activity: Arc<Activity>,
    _open: Open,
}

/// What the access log says of the request. Queries, user names and fields are left out: they hold secrets.
struct Line {
    client: String,
    method: Method,
    host: String,
    path: String,
    version: Version,
    cache: String,
}

impl Record {
    pub(super) fn new<B>(client: &Client, request: &Request<B>, open: Open, access_log: bool) -> Self {
        let line = access_log.then(|| Line {
            client: client.peer.ip().to_canonical().to_string(),
            method: request.method().clone(),
            host: host(request),
            path: request.uri().path().to_owned(),
            version: request.version(),
            cache: String::new(),
        });
        Self {
            began: Instant::now(),
            end: End::Aborted,
            bytes: 0,
            expected: None,
            status: None,
            head_ms: 0,
            is_head: request.method() == Method::HEAD,
            line,
            activity: client.activity.clone(),
            _open: open,
        }
    }

    pub(super) fn answered<B>(&mut self, response: &Response<Content<B>>)
    where
        B: Body<Data = Bytes>,
    {
        let status = response.status();
        self.status = Some(status);
        self.head_ms = millis(self.began);
        let bodyless = self.is_head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.expected = match response.body() {
            _ if bodyless => Some(0),
            Content::Text(text) => Some(text.as_ref().map_or(0, |text| text.len() as u64)),
            Content::Passed(body) => body.size_hint().exact(),
            Content::Upstream(body) => body.size_hint().exact(),
        };
        if let Some(line) = &mut self.line {
            line.cache = last(response.headers(), "cache-status");
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.activity.request_ended();
        // nginx's number for it, in want of a standard one: the client left before there was an answer.
        let status = self.status.map_or(499, |status| status.as_u16());
        counts::ended(self.status, self.end.as_str(), self.bytes);
        let Some(line) = &self.line else { return };
        tracing::info!(
            target: "larder::access",
            client = line.client,
            method = line.method.as_str(),
            host = line.host,
            path = line.path,
            version = ?line.version,
            status,
            bytes = self.bytes,
            head_ms = self.head_ms,
            ms = millis(self.began),
            end = self.end.as_str(),
            cache = line.cache,
        );
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn host<B>(request: &Request<B>) -> String {
    let named = request.uri().authority().map(|authority| authority.as_str());
    let field = || request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let all = named.or_else(field).unwrap_or_default();
    all.rsplit('@').next().unwrap_or_default().to_owned()
}

/// The last line of a field, which is the nearest cache's.
fn last(fields: &HeaderMap, name: &str) -> String {
    let line = fields.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    line.unwrap_or_default().to_owned()
}
