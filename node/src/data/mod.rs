//! The data plane: what workers ask, and what Envoy streams. HTTP/1.1 and h2c on one listener, hyper without a framework.
//!
//! Nothing here decides: a request is read within limits, understood, handed to the desk, and answered. Every answer carries the
//! marker, so that no proxy's own error is taken for a node's word.

mod answer;
mod body;
pub(crate) mod messages;
pub(crate) mod serving;

pub(crate) use answer::Pieces;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::counts::Turned;
use crate::shared::Shared;

/// A stalled h2 connection is noticed after this and the same again.
const H2_PING: Duration = Duration::from_secs(20);

/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the node is to stop, and then for as long as requests may take to end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let limits = &shared.limits;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(limits.head_timeout_ms));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING)
        .max_concurrent_streams(limits.requests_max)
        .max_header_list_size(limits.head_bytes_max)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let builder = Arc::new(builder);
    let connections = Arc::new(Semaphore::new(limits.connections_max as usize));
    let graceful = GracefulShutdown::new();
    // Connections end with this task, should it be ended.
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = shared.stopped() => break,
        };
        let Some(stream) = accepted_stream(accepted).await else { continue };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            // Closed at once: whoever connects fails over to another node instead of waiting here.
            shared.counts.turned.add(Turned::Connections);
            continue;
        };
        let (shared, builder, watcher) = (shared.clone(), builder.clone(), graceful.watcher());
        tasks.spawn(async move {
            let spoke = Arc::new(Notify::new());
            let service = service_fn(|request| {
                let shared = shared.clone();
                spoke.notify_one();
                async move { Ok::<_, Infallible>(messages::answer(&shared, request).await) }
            });
            let silent = silent(&spoke, Duration::from_millis(shared.limits.head_timeout_ms));
            tokio::select! {
                // An error here is a connection that broke off or spoke something else: nobody is left to be told.
                _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)) => {}
                () = silent => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    let limit = Duration::from_millis(shared.limits.stop_timeout_ms);
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still being worked on when the node stopped");
    }
}

/// Resolves for a connection that has said nothing for too long. Whether it speaks HTTP/1.1 or HTTP/2 is seen by its first bytes, for
/// which hyper has no limit of its own.
async fn silent(spoke: &Notify, limit: Duration) {
    if tokio::time::timeout(limit, spoke.notified()).await.is_ok() {
        std::future::pending().await
    }
}

async fn accepted_stream(accepted: std::io::Result<(TcpStream, SocketAddr)>) -> Option<TcpStream> {
    match accepted {
        Ok((stream, _)) => {
            // Answers are written at once: nothing to gain from waiting for more.
            let _ = stream.set_nodelay(true);
            Some(stream)
        }
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
