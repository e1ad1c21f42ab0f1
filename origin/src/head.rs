//! Heads of messages as `http` has them and as the core has them. Nothing here looks at what a field says. Replies are `reply`'s.

use std::cell::Cell;

use http::header::{AGE, CACHE_STATUS, CONTENT_LENGTH, DATE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, request, response};
use larder_core::exchange::Edit;
use larder_core::field::date;
use larder_core::fields::{Failure, Fields, RequestHead, ResponseHead, Source};
use larder_core::time::Timestamp;

/// On a response, as an extension: the inner service made it itself, since it got none from its own origin.
///
/// An inner service that is a client of another server (a proxy) says so where it answers 502, 503 or 504 of its own, so that
/// stale responses may stand in (RFC 5861 4) and counters tell why.
///
/// ```
/// use larder_origin::OriginFailure;
///
/// let mut response = http::Response::builder().status(504).body(()).unwrap();
/// response.extensions_mut().insert(OriginFailure::Timeout);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginFailure {
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke off.
    Reset,
    /// Anything else.
    Other,
}

impl OriginFailure {
    pub(crate) const fn for_core(self) -> Failure {
        match self {
            Self::Connect => Failure::Connect,
            Self::Timeout => Failure::Timeout,
            Self::Reset => Failure::Reset,
            Self::Other => Failure::Other,
        }
    }
}

/// What of a request is needed to make another one like it.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// The target names the authority, as HTTP/2 and proxies have it; else `Host` does.
    absolute: bool,
    extensions: http::Extensions,
}

impl Form {
    pub(crate) fn of(parts: &request::Parts) -> Self {
        Self { absolute: parts.uri.authority().is_some(), extensions: parts.extensions.clone() }
    }
}

thread_local! {
    /// The head of a request that is over, where it was not large: the next one is made in its memory.
    static SPARE: Cell<Option<RequestHead>> = const { Cell::new(None) };
}

/// Memory of a request's head that is kept for the next one.
const SPARE_BYTES_MAX: usize = 16 << 10;

pub(crate) fn request_head(parts: &request::Parts, has_body: bool, scheme: &Scheme) -> RequestHead {
    let uri = &parts.uri;
    let host = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let mut head = SPARE.take().unwrap_or_default();
    for (place, text) in [
        (&mut head.method, parts.method.as_str()),
        (&mut head.scheme, uri.scheme().unwrap_or(scheme).as_str()),
        (&mut head.authority, uri.authority().map(Authority::as_str).or_else(host).unwrap_or_default()),
        (&mut head.target, uri.path_and_query().map_or("/", PathAndQuery::as_str)),
    ] {
        place.clear();
        place.push_str(text);
    }
    head.fields = fields(&parts.headers);
    head.fields.remove("host");
    head.has_body = has_body;
    head
}

/// A request's head is not needed any more.
pub(crate) fn spare(mut head: RequestHead) {
    // Their memory is one piece, which whoever has taken a value holds.
    head.fields = Fields::new();
    let texts = [&head.method, &head.scheme, &head.authority, &head.target];
    let bytes = texts.iter().fold(0usize, |sum, text| sum.saturating_add(text.capacity()));
    if bytes <= SPARE_BYTES_MAX {
        SPARE.set(Some(head));
    }
}

fn fields(headers: &HeaderMap) -> Fields {
    Fields::copied(|| headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// A request of the core's own. `None` where `http` cannot carry it.
pub(crate) fn request<B>(head: &RequestHead, form: Form, body: B) -> Option<http::Request<B>> {
    let mut request = http::Request::new(body);
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).ok()?;
    let target: PathAndQuery = head.target.parse().ok()?;
    *request.uri_mut() = if form.absolute {
        Uri::builder()
            .scheme(head.scheme.as_str())
            .authority(head.authority.as_str())
            .path_and_query(target)
            .build()
            .ok()?
    } else {
        request.headers_mut().try_insert(HOST, HeaderValue::from_str(&head.authority).ok()?).ok()?;
        target.into()
    };
    for line in head.fields.iter() {
        add(request.headers_mut(), &line.name, &line.value);
    }
    *request.extensions_mut() = form.extensions;
    Some(request)
}

/// The head of a response as the core sees it, and as whoever sends it would complete it: with its length and date.
pub(crate) fn response_head(
    parts: &mut response::Parts,
    length: Option<u64>,
    ends: bool,
    now: Timestamp,
) -> ResponseHead {
    if let Some(length) = length.filter(|_| !parts.headers.contains_key(CONTENT_LENGTH)) {
        set(&mut parts.headers, CONTENT_LENGTH, HeaderValue::from(length));
    }
    // RFC 9110 6.6.1: an origin with a clock says when; what is stored must not seem new each time it is sent.
    if !parts.headers.contains_key(DATE)
        && let Ok(value) = HeaderValue::from_bytes(date::format(now).as_ref())
    {
        set(&mut parts.headers, DATE, value);
    }
    let failure = parts.extensions.get::<OriginFailure>();
    let source = failure.map_or(Source::Origin, |failure| Source::Failure(failure.for_core()));
    ResponseHead { status: parts.status.as_u16(), fields: fields(&parts.headers), source, ends }
}

/// Carries out changes to a request's head.
pub(crate) fn edit_request(parts: &mut request::Parts, edits: &[Edit]) {
    for edit in edits {
        match edit {
            Edit::Target(target) => {
                // What the core makes of a target that `http` took is one again; should it not be, the old one stays.
                let mut uri = parts.uri.clone().into_parts();
                uri.path_and_query = target.parse().ok().or(uri.path_and_query);
                if let Ok(uri) = Uri::from_parts(uri) {
                    parts.uri = uri;
                }
            }
            edit => edit_line(&mut parts.headers, edit),
        }
    }
}

/// Carries out changes to a response's head.
pub(crate) fn edit_fields(headers: &mut HeaderMap, edits: &[Edit]) {
    edits.iter().for_each(|edit| edit_line(headers, edit));
}

fn edit_line(headers: &mut HeaderMap, edit: &Edit) {
    match edit {
        Edit::Remove(name) => drop(headers.remove(name.as_str())),
        Edit::Set(name, value) => {
            headers.remove(name.as_str());
            add(headers, name, value);
        }
        Edit::Add(name, value) => add(headers, name, value),
        // There is one route.
        Edit::Target(_) | Edit::Route => {}
    }
}

/// What `http` cannot carry (a control character in a value, one field too many) is left out.
pub(crate) fn add(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    // What stands in every reply is known without looking it up.
    let name = match name {
        "age" => Ok(AGE),
        "cache-status" => Ok(CACHE_STATUS),
        name => HeaderName::from_bytes(name.as_bytes()),
    };
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
        append(headers, name, value);
    }
}

pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_append(name, value);
}

pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_insert(name, value);
}
