//! What the proxy says itself: why a request is not sent on, or why there is no answer to it.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version, request};
use http_body::Body;

use super::served::Content;
use crate::proxy::body::UpstreamBody;
use crate::proxy::target::BadTarget;
use crate::proxy::upstream::UpstreamError;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Not repeated by TRACE (RFC 9110 9.3.8).
static SECRETS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A response of the proxy's own.
#[derive(Debug)]
pub(super) enum Refusal<'a> {
    /// CONNECT: there is nothing here to tunnel to.
    Connect,
    Target(BadTarget),
    TooLong,
    /// A transfer coding other than chunked.
    Coding,
    Expectation,
    MaxForwards,
    TraceWithBody,
    /// TRACE that ends here.
    Traced(Box<request::Parts>),
    /// OPTIONS that ends here, or is about no resource.
    Options,
    /// No origin answered.
    Upstream(&'a UpstreamError),
    /// The service in between failed.
    Service,
}

impl Refusal<'_> {
    /// Whether nothing that follows on the connection can be trusted to be a request of its own.
    fn ends_connection(&self) -> bool {
        match self {
            Self::Connect
            | Self::Target(_)
            | Self::TooLong
            | Self::Coding
            | Self::MaxForwards
            | Self::TraceWithBody => true,
            Self::Upstream(error) => matches!(error, UpstreamError::Request(_)),
            _ => false,
        }
    }

    pub(super) fn response<B: Body<Data = Bytes>>(self) -> Response<Content<B>> {
        let (status, text) = match &self {
            Self::Connect => (StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not for a gateway".to_owned()),
            Self::Target(bad) => (StatusCode::BAD_REQUEST, bad.as_str().to_owned()),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than allowed".to_owned()),
            Self::Coding => (StatusCode::NOT_IMPLEMENTED, "chunked is the only transfer coding here".to_owned()),
            Self::Expectation => (StatusCode::EXPECTATION_FAILED, "only 100-continue can be expected here".to_owned()),
            Self::MaxForwards => (StatusCode::BAD_REQUEST, "Max-Forwards is a number".to_owned()),
            Self::TraceWithBody => (StatusCode::BAD_REQUEST, "a TRACE request has no body".to_owned()),
            Self::Traced(parts) => return traced(parts),
            Self::Options => (StatusCode::NO_CONTENT, String::new()),
            // What went wrong is named, its details are for the log.
            Self::Upstream(error) => (error.status(), error.name().replace('_', " ")),
            Self::Service => (StatusCode::INTERNAL_SERVER_ERROR, "something failed here".to_owned()),
        };
        let content = if text.is_empty() { None } else { Some(Bytes::from(text + "\n")) };
        let mut response = Response::new(Content::Text(content));
        *response.status_mut() = status;
        let fields = response.headers_mut();
        if status != StatusCode::NO_CONTENT {
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.ends_connection() {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match self {
            Self::Upstream(error) => {
                if let Ok(value) = HeaderValue::from_str(&format!("larder; error={}", error.name())) {
                    fields.insert(PROXY_STATUS, value);
                }
            }
            Self::Connect => {
                let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
                fields.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            _ => {}
        }
        response
    }
}

/// The layer's answer where the proxy's upstream had none: that which the proxy would give, for the layer to say more in.
pub(crate) fn of_layer(error: &UpstreamError) -> Response<Bytes> {
    Refusal::Upstream(error).response::<UpstreamBody>().map(|content| match content {
        Content::Text(text) => text.unwrap_or_default(),
        _ => Bytes::new(),
    })
}

/// The request as it was received (RFC 9110 9.3.8).
fn traced<B: Body<Data = Bytes>>(parts: &request::Parts) -> Response<Content<B>> {
    let version = if parts.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut text = format!("{} {} {version}\r\n", parts.method, parts.uri).into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| !SECRETS.contains(name)) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    let mut response = Response::new(Content::Text(Some(text.into())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
