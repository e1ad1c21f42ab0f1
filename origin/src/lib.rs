//! Larder at the origin: the shared HTTP cache without an Envoy in front, or behind one that is down.
//!
//! The same policies, the same decisions and the same answers as Larder in Envoy: a tower layer ([`CacheLayer`]), a reverse proxy,
//! and the client by which application code invalidates what it has changed.
//!
//! ```
//! # async fn page() -> &'static str { "" }
//! # fn router() -> Result<axum::Router, larder_origin::BuildError> {
//! # let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/shop-api.json");
//! let cache = larder_origin::CacheLayer::from_file(policy)?;
//! let app = axum::Router::new().route("/", axum::routing::get(page)).layer(cache);
//! # Ok(app) }
//! # router().unwrap();
//! ```
//!
//! Without a framework it is a [`tower_layer::Layer`] around any [`tower_service::Service`] of HTTP:
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use larder_origin::CacheLayer;
//! use tower::{Layer, Service, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder_origin::BoxError> {
//! let policy = r#"{ "version": 1, "name": "hello", "defaults": { "ttl": "60s" } }"#;
//! let cache = CacheLayer::builder().policy(policy).build()?;
//! let hello = service_fn(async |_: Request<Empty<bytes::Bytes>>| Ok::<_, Infallible>(Response::new("Hello".to_owned())));
//! let mut service = cache.layer(hello);
//!
//! let ask = || Request::get("http://example.org/").body(Empty::new());
//! let first = service.call(ask()?).await?;
//! assert_eq!(first.headers()["cache-status"], "Larder-Origin; fwd=uri-miss; stored");
//! # use http_body_util::BodyExt; first.into_body().collect().await?;
//! # while !service.call(ask()?).await?.headers()["cache-status"].to_str()?.contains("hit") {}
//! let second = service.call(ask()?).await?;
//! assert!(second.headers()["cache-status"].to_str()?.starts_with("Larder-Origin; hit; ttl="));
//! # Ok(())
//! # }
//! ```
//!
//! What a policy says is in the repository's README.md; `policies/schema.json` gives editors completion. `docs/origin.md` goes through what
//! there is to do, with the commands for it; `examples/` has both of the above as programs.
//!
//! # What is where
//!
//! | to | there is |
//! |---|---|
//! | answer from a cache, store, revalidate, collapse, refresh in the background | [`CacheLayer`], set up by its [`Builder`] |
//! | purge from the code that has the layer, change the policy, close | [`Handle`] |
//! | purge a cluster and every edge, and lose no purge | [`Invalidator`](invalidator), feature `invalidator` |
//! | purge what somebody else changes in the database | [`changes`], features `sqlite` and `postgres` |
//! | put the layer before an origin in any language | [`proxy`], feature `proxy`; as a command, `larder proxy` |
//! | say why an inner service that is a client itself got no answer | [`OriginFailure`] |
//! | run on another clock | [`Clock`] |
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `cluster` | yes | [`Builder::cluster`]: sharing with nodes over HTTP; hyper's client |
//! | `invalidator` | yes | [`invalidator`]; hyper's client, serde_json |
//! | `metrics` | yes | counters by the [`metrics`](https://docs.rs/metrics) facade |
//! | `store` | | [`Builder::build_with_store`]: a second level in this process; a node, with its memory store |
//! | `disk`, `memcached`, `redis` | | the same with that store |
//! | `invalidator-tls` | | admin planes behind TLS; rustls with ring |
//! | `sqlite`, `postgres` | | [`changes`]; sqlx 0.9, without a choice of TLS |
//! | `proxy` | | [`proxy`]; hyper's server, rustls with ring |
//!
//! With `default-features = false` there is the layer in memory, and neither a client nor a server, TLS, a database or a store of any
//! kind is compiled; `cargo xtask tidy` sees to that.
//!
//! # Behind an edge
//!
//! A Larder edge (Envoy with the plugin) that has a key in common with this layer marks what it forwards: a time, and an HMAC of it.
//! Such a request gets validators and tags, and the edge stores; the layer's `Cache-Status` says `detail=edge`. What comes without a
//! marker, past an edge or because there is none, is stored here: that is the fallback. A marker that is forged, or older than a
//! minute, is none.
//!
//! The keys are in the environment variable `LARDER_EDGE_KEY` ([`EDGE_KEY_VARIABLE`]), or given by [`Builder::edge_keys`]: at least
//! 16 bytes each, several separated by commas. All are believed, so that they can be changed one side at a time. Without one, no marker
//! is believed.
//!
//! # Sharing
//!
//! Alone, a layer keeps what it stores in its own memory, up to [`Builder::memory`] bytes, and purges hold for itself.
//!
//! - [`Builder::cluster`] shares with the nodes (`larder node`) that edges share with: a look-up over HTTP where memory has nothing,
//!   one request to the origin for a cold key of the whole fleet, purges of everybody as soon as the log has them. Name the nodes as
//!   Envoy knows them, so that a key has the same node here.
//! - [`Builder::build_with_store`] opens a store of its own, `disk:/folder`, `redis://host`, `memcached://host`: what is stored outlives the
//!   process, and is shared with whoever has the same Redis.
//!
//! Either fails open: what is slow, dead or talks nonsense costs its time limit ([`Builder::lookup_timeout`]) and a reason in
//! `Cache-Status`. Call [`Handle::close`] at the end of the program, so that what is on its way arrives.
//!
//! # What shows
//!
//! `Cache-Status` (RFC 9211) on every response, under the name [`Builder::cache_name`]. By the `metrics` facade, with the labels
//! `cache` (that name), `policy`, `route` and `class` of the policy:
//!
//! | name | kind | counts |
//! |---|---|---|
//! | `larder_requests_total{outcome}` | counter | requests: `hit`, `cluster_hit`, `collapsed`, `stale`, `stale_error`, `revalidated`, `miss`, `not_stored`, `bypass`, `purge`, `refused` |
//! | `larder_not_modified_total` | counter | 304s to clients |
//! | `larder_not_stored_total{reason}` | counter | responses that were not stored |
//! | `larder_bypass_total{reason}` | counter | requests that did not use the cache |
//! | `larder_cluster_failures_total{reason}` | counter | look-ups at the second level that came to nothing |
//! | `larder_store_bytes_total` | counter, bytes | bodies sent from the store |
//! | `larder_refreshes_total` | counter | refreshes begun in the background |
//! | `larder_refreshes_ahead_total` | counter | the same of what is used often, before it expires (`refresh_ahead`) |
//! | `larder_invalidations_total` | counter | URLs, tags and prefixes invalidated by writes and response fields |
//! | `larder_l1_bytes` | gauge, bytes | memory taken by stored responses; with the label `cache` only |
//!
//! They are handed to the recorder once a second at most, with a request; [`Handle::flush_metrics`] does it now. A layer with a
//! cluster reports the same to its nodes. [`invalidator`](invalidator#what-shows), [`changes`] and [`proxy`](proxy#what-shows) say what they count.
//!
//! `tracing`, by target:
//!
//! | target | has |
//! |---|---|
//! | `larder` | spans `cache` (`method`, `path`; requests that are not answered at once) and `refresh` (`path`), both of level debug; events about the second level, warnings and errors |
//! | `larder::invalidator` | what was purged (debug), what does not get through (warn), what needs somebody (error) |
//! | `larder::changes` | rows handed on (debug), a database that does not answer (warn), rows that make no tag (error) |
//! | `larder::access` | the proxy's access log (info) |
//! | `larder_origin::proxy` | what goes wrong with its connections |
//!
//! Paths are in them, and what purges name; neither requests' queries nor values of fields are.
//!
//! # Limits
//!
//! - The inner service must be [`Clone`]: each request, and each refresh, has one of its own. Request bodies must be [`Default`]
//!   (refreshes have none): box hyper's, as `examples/hyper.rs` does.
//! - It runs on tokio, with time enabled. What asks the origin and may be stored runs in a task of its own, so that a client that leaves
//!   costs those who wait for the same nothing.
//! - Put it outermost. What it sees is what it keys, stores and names in purges: within a router that is nested into another, axum
//!   has cut the prefix off the URI. Layers outside of it do their work for every hit anew.
//! - Background refreshes are sent as the request was that found the response stale: with its fields, but for conditions and ranges, a
//!   copy of its extensions (what a layer outside, for authentication or tracing, has put there), and an empty body.
//! - URLs need a host: a request without `Host` and without an authority in its URI is not named in purges as clients would name it.
//! - HTTP/1.1 requests do not say whether they came over TLS; [`Builder::https`] says it for them.
//! - A body that is longer than the policy's limit, or that nobody finishes, passes and is not stored.
//!
//! # Versions
//!
//! Everything that may grow is `#[non_exhaustive]`, or has private fields and a builder. The public API has types of `http` 1,
//! `http-body` 1, `bytes` 1, `tower-layer` 0.3 and `tower-service` 0.3; with `proxy` of hyper 1 (as errors' sources) and serde 1; with
//! `sqlite` or `postgres` of sqlx 0.9, which [`changes`] exports as `changes::sqlx`. A new major version of one of these is one of ours; a
//! newer Rust is a minor one. Names of metrics and tracing targets, and the details in `Cache-Status`, are part of it; texts of errors are
//! not.
#![cfg_attr(
    not(all(feature = "cluster", feature = "store", feature = "invalidator", feature = "proxy", feature = "sqlite")),
    // This page names what other features bring.
    allow(rustdoc::broken_intra_doc_links)
)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod changes;
#[cfg(feature = "invalidator")]
pub mod invalidator;
#[cfg(feature = "proxy")]
pub mod proxy;

mod body;
mod builder;
mod cache;
mod clock;
mod effects;
mod fetch;
mod handle;
mod head;
mod link;
mod refresh;
mod reply;
mod service;
mod stream;
mod tape;
mod telemetry;
mod upstream;

pub use body::{Body, BodyError, BoxError};
pub use builder::{BuildError, Builder, EDGE_KEY_VARIABLE};
pub use clock::{Clock, SystemClock};
pub use handle::{CloseError, Handle, UrlError};
pub use head::OriginFailure;
#[cfg(feature = "invalidator")]
pub use invalidator::{Invalidator, Purge};
pub use service::{CacheLayer, CacheService, ResponseFuture};
