//! A reverse proxy around a layer: HTTP/1.1 and HTTP/2 on both sides, TLS, tunnels, limits, a stop in good order.
//!
//! The layer is any [`tower_layer::Layer`]; with Larder's cache it is Larder without an Envoy in front.
//!
//! ```
//! use larder_origin::proxy::Proxy;
//! use tower_layer::Identity;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = Proxy::builder().origin("http://127.0.0.1:3000".parse()?).serve_with(Identity::new()).await?;
//! println!("listening on {}", proxy.address());
//! proxy.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does to messages
//!
//! - Every request has one meaning, or is refused: one host, one length, one target (RFC 9112 3.2, 6.3; RFC 9113 8.3.1). What the
//!   layer sees is what the origin gets.
//! - Hop-by-hop fields end here, on both ways (RFC 9110 7.6.1). `Via` says who passed a message on (7.6.3). `Date` is added where
//!   there is none (6.6.1). `Max-Forwards` counts down for TRACE and OPTIONS (7.6.2); CONNECT is refused.
//! - `Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto`, `-Host` name the client, to the origin; what clients say there is replaced,
//!   unless it comes from a network that is trusted.
//! - `Host` is the client's, or the origin's own ([`HostField`]).
//! - `Expect: 100-continue` goes to an origin of HTTP/1.1, and the client is told to go on when that says so, or says nothing.
//! - Trailers pass; over HTTP/1.1 to whom takes them (`TE: trailers`), as far as `Trailer` names them.
//! - WebSocket and other upgrades of HTTP/1.1 are tunnelled. A safe request that asks for one goes past the layer, since what it
//!   leads to is nothing to store.
//! - Where no origin answers and the layer has nothing better, the client gets a 502 or 504 with `Proxy-Status` (RFC 9209).
//! - A response that breaks off at the origin breaks off at the client: it never looks complete.
//!
//! # What shows
//!
//! By the `metrics` facade, for whichever recorder is installed, beside [what the cache counts](crate#what-shows):
//!
//! | name | kind | says |
//! |---|---|---|
//! | `larder_proxy_requests_total{status, end}` | counter | responses to clients, by status class (`2xx`, `none`) and how they ended |
//! | `larder_proxy_request_seconds` | histogram, seconds | from a request's head to its response's head |
//! | `larder_proxy_response_bytes_total` | counter, bytes | bodies given to clients |
//! | `larder_proxy_requests_in_flight` | gauge | requests that are worked on |
//! | `larder_proxy_connections{side}` | gauge | open connections, to `client`s and to `origin`s |
//! | `larder_proxy_refused_total{reason}` | counter | connections that ended before a request was understood |
//! | `larder_proxy_upstream_requests_total{status}` | counter | responses of origins, by status class |
//! | `larder_proxy_upstream_seconds` | histogram, seconds | from a request to the head of the origin's response |
//! | `larder_proxy_upstream_errors_total{error}` | counter | requests that no origin answered, by [`UpstreamError::name`] |
//! | `larder_proxy_retries_total` | counter | requests sent anew because a kept connection was gone |
//! | `larder_proxy_tunnels` | gauge | connections that have changed the protocol |
//!
//! `tracing` events come under the module's path, `larder_origin::proxy`; the access log, where it is on, under `larder::access`.
//!
//! # What it does not do
//!
//! - Interim responses other than 100 end here: hyper's server cannot send any (so no 103 Early Hints).
//! - Extended CONNECT (WebSocket over HTTP/2) is refused, and so is HTTP/2 by upgrade from HTTP/1.1 (RFC 9113 3.1): clear-text HTTP/2
//!   needs prior knowledge, on both sides.
//! - A client of HTTP/2 that keeps its window shut, but its connection alive, is not let go; what it can hold is bounded by
//!   `streams_max` and the windows.
//! - An origin of HTTP/2 gets one connection; more requests than it takes at a time wait for one another.
//! - A request is sent again only where the first time cannot have counted; trying again after an answer is the client's business.

mod admin;
mod body;
mod builder;
mod counts;
mod fields;
mod front;
mod limits;
mod origin;
mod running;
mod serve;
mod target;
mod tls;
mod trust;
mod tunnel;
mod upstream;

pub use body::{BodyError, RequestBody, UpstreamBody};
pub use builder::{Builder, StartError};
pub use front::Answers;
pub(crate) use front::answer;
pub use limits::Limits;
pub use origin::{Origin, OriginError};
pub use running::{Running, Stopped};
pub use tls::{Certificate, TlsError};
pub use trust::{Network, NetworkError};
pub use upstream::{HostField, Protocol, Upstream, UpstreamError};

/// Any error, as services and bodies have them.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A reverse proxy.
#[derive(Debug)]
#[non_exhaustive]
pub struct Proxy;

impl Proxy {
    /// A proxy on a free port of loopback, without an origin yet.
    pub fn builder() -> Builder {
        Builder::new()
    }
}
