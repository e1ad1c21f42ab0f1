//! The data plane: what workers ask, and what Envoy streams. HTTP/1.1 and h2c on one listener, hyper without a framework.
//!
//! Nothing here decides: a request is read within limits, understood, handed to the desk, and answered. Every answer carries the
//! marker, so that no proxy's own error is taken for a node's word.

mod answer;
pub(crate) mod messages;
pub(crate) mod serving;

pub(crate) use answer::{Pieces, status};

use std::convert::Infallible;
use std::sync::Arc;

use hyper::service::service_fn;
use tokio::net::TcpListener;

use crate::listener;
use crate::shared::Shared;

/// Serves until the node is to stop, and then for as long as requests may take to end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let connections_max = shared.limits.connections_max;
    let service = {
        let shared = shared.clone();
        service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(messages::answer(&shared, request).await) }
        })
    };
    listener::serve(listener, &shared, connections_max, service).await;
}
