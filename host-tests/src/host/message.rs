//! Header lists, requests and responses as a test writes and reads them.
//!
//! Holds data only. How Envoy changes them on the way is in `codec.rs`.

/// An ordered list of header fields with lower-case names and byte values.
///
/// Pseudo-headers (`:path`, `:status`, …) are ordinary members, as in Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of `name`, if it is present.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// The first value of `name` as text; what is not UTF-8 is replaced by U+FFFD.
    pub fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    /// All values of `name`, in order, as text.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect()
    }

    /// Whether `name` is present.
    pub fn contains(&self, name: &str) -> bool {
        self.bytes(name).is_some()
    }

    /// Adds a field at the end, whatever is there already.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Replaces all values of `name` by one, in the place of the first.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.to_ascii_lowercase();
        match self.0.iter().position(|(n, _)| *n == name) {
            Some(first) => {
                self.0[first].1 = value.as_ref().to_vec();
                let mut at = 0;
                self.0.retain(|(n, _)| {
                    at += 1;
                    *n != name || at - 1 == first
                });
            }
            None => self.0.push((name, value.as_ref().to_vec())),
        }
    }

    /// Removes all values of `name`.
    pub fn remove(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.0.retain(|(n, _)| *n != name);
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn first_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        self.0.iter_mut().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.append(name.as_ref(), value);
        }
        headers
    }
}

/// A client's request, as far as the test wants to send it at once.
///
/// ```
/// use larder_host_tests::host::Request;
/// let request = Request::get("/v1/products?page=2").header("accept-language", "en");
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) open: bool,
    pub(crate) protocol: Protocol,
}

/// The protocol that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, with its framing headers (`transfer-encoding: chunked`, `content-length: 0`).
    Http1,
    /// HTTP/2.
    Http2,
}

impl Request {
    /// A request for `path` at `http://example.com`.
    pub fn new(method: &str, path: &str) -> Self {
        let headers = [(":authority", "example.com"), (":path", path), (":method", method), (":scheme", "http")];
        Self {
            headers: headers.into_iter().collect(),
            body: Vec::new(),
            trailers: None,
            open: false,
            protocol: Protocol::Http1,
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A HEAD.
    pub fn head(path: &str) -> Self {
        Self::new("HEAD", path)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Another host than `example.com`.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.headers.set(":authority", authority);
        self
    }

    /// `https` instead of `http`.
    #[must_use]
    pub fn scheme(mut self, scheme: &str) -> Self {
        self.headers.set(":scheme", scheme);
        self
    }

    /// The body; its `content-length` is added unless one was given.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Trailers after the body.
    #[must_use]
    pub fn trailers<N: AsRef<str>, V: AsRef<[u8]>>(mut self, trailers: impl IntoIterator<Item = (N, V)>) -> Self {
        self.trailers = Some(trailers.into_iter().collect());
        self
    }

    /// Leaves the request unfinished: more comes by [`Host::send_body`](super::Host::send_body).
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Over HTTP/2.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }
}

/// An answer of an origin or of a called cluster.
///
/// ```
/// use larder_host_tests::host::Response;
/// let answer = Response::new(200).header("cache-control", "max-age=60").body("hello");
/// ```
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) length: bool,
}

impl Response {
    /// An answer with this status and no fields.
    pub fn new(status: u16) -> Self {
        let mut headers = Headers::new();
        headers.append(":status", status.to_string());
        Self { headers, body: Vec::new(), trailers: None, length: true }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The body; its `content-length` is added unless one was given or [`chunked`](Self::chunked) is said.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// No `content-length`: the length is not known in advance.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.length = false;
        self
    }

    /// Trailers after the body.
    #[must_use]
    pub fn trailers<N: AsRef<str>, V: AsRef<[u8]>>(mut self, trailers: impl IntoIterator<Item = (N, V)>) -> Self {
        self.trailers = Some(trailers.into_iter().collect());
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        status_of(&self.headers)
    }

    /// The headers with the `content-length` that belongs to the body.
    pub(crate) fn framed(&self) -> Headers {
        let mut headers = self.headers.clone();
        let bodiless = matches!(self.status(), 100..=199 | 204 | 304);
        if self.length && !bodiless && self.trailers.is_none() && !headers.contains("content-length") {
            headers.append("content-length", self.body.len().to_string());
        }
        headers
    }
}

/// The number in `:status`; 0 where there is none.
pub(crate) fn status_of(headers: &Headers) -> u16 {
    headers.text(":status").and_then(|s| s.parse().ok()).unwrap_or(0)
}
