//! Calls to nodes over HTTP.
//!
//! A key has its node by the ring; where no connection to that is to be had, the next one is asked, and the node is left alone for a
//! while. A node that was reached and did not answer has failed: what it was asked may have been done.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_core::cluster::{Call, CallFailure, MARKER};
use tokio::time::Instant;

use super::ring::Ring;
use crate::builder::BuildError;

/// A longer answer is none of a node's.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A connection is there by then, or the next node is asked.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
/// A node that could not be reached is left alone for so long.
const DOWN_FOR: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    client: Client<HttpConnector, Full<Bytes>>,
    addresses: Vec<String>,
    ring: Ring,
    down_until: Mutex<Vec<Option<Instant>>>,
}

impl Cluster {
    pub(crate) fn new(urls: &[String]) -> Result<Self, BuildError> {
        let addresses = urls.iter().map(|url| address(url)).collect::<Result<Vec<_>, _>>()?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let ring = Ring::new(&addresses);
        let down_until = Mutex::new(vec![None; addresses.len()]);
        Ok(Self { client, addresses, ring, down_until })
    }

    pub(super) async fn ask(&self, call: &Call) -> Result<Bytes, CallFailure> {
        for node in self.order(&call.name) {
            let Some(address) = self.addresses.get(node) else { continue };
            match self.client.request(request(address, call)?).await {
                Ok(response) => {
                    self.note(node, None);
                    let is_node = response.headers().contains_key(MARKER);
                    let limited = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
                    let body = limited.collect().await.map_err(|_| CallFailure::Unreachable)?.to_bytes();
                    return if is_node { Ok(body) } else { Err(CallFailure::Nonsense) };
                }
                Err(error) if error.is_connect() => self.note(node, Some(Instant::now() + DOWN_FOR)),
                Err(_) => return Err(CallFailure::Unreachable),
            }
        }
        Err(CallFailure::Unreachable)
    }

    /// The key's nodes; those that are down come last.
    fn order(&self, name: &str) -> Vec<usize> {
        let now = Instant::now();
        let mut order: Vec<usize> = self.ring.nodes(name).collect();
        let down = self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        order.sort_by_key(|node| down.get(*node).is_some_and(|until| until.is_some_and(|until| until > now)));
        order
    }

    fn note(&self, node: usize, until: Option<Instant>) {
        let mut down = self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = down.get_mut(node) {
            *slot = until;
        }
    }
}

fn request(address: &str, call: &Call) -> Result<Request<Full<Bytes>>, CallFailure> {
    let uri = Uri::builder().scheme("http").authority(address).path_and_query(call.path).build();
    let mut request = Request::new(Full::new(Bytes::from(call.body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.map_err(|_| CallFailure::Unreachable)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.larder"));
    Ok(request)
}

/// `host:port`, from a URL.
fn address(url: &str) -> Result<String, BuildError> {
    let bad = |why: &str| BuildError::Cluster { url: url.to_owned(), why: why.to_owned() };
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
    if uri.scheme_str() != Some("http") {
        return Err(bad("write http://host:port"));
    }
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return Err(bad("it has a path; a node's data plane has none"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    if authority.port_u16().is_none() {
        return Err(bad("it has no port; nodes listen on 9901 where they are not told otherwise"));
    }
    Ok(authority.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_nodes() {
        assert_eq!(address("http://10.0.0.1:9901/").ok().as_deref(), Some("10.0.0.1:9901"));
        for url in ["10.0.0.1:9901", "https://h:1", "http://h", "http://h:1/x", "", "redis://h:1"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
