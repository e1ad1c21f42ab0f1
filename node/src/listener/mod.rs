//! Connections to a node, and requests' bodies: taken up to a limit, given up where nothing comes, ended in good order when the node
//! stops. Both planes listen through this.

pub(crate) mod body;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::counts::Turned;
use crate::limits::Limits;
use crate::shared::Shared;

/// A stalled h2 connection is noticed after this and the same again.
const H2_PING: Duration = Duration::from_secs(20);

/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the node is to stop, and then for as long as requests may take to end.
pub(crate) async fn serve<S, B>(listener: TcpListener, shared: &Shared, connections_max: u32, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let builder = Arc::new(builder(&shared.limits));
    let head_timeout = Duration::from_millis(shared.limits.head_timeout_ms);
    let connections = Arc::new(Semaphore::new(connections_max as usize));
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
            // Closed at once: a worker fails over to another node instead of waiting here, an operator sees it.
            shared.counts.turned.add(Turned::Connections);
            continue;
        };
        let (service, builder, watcher) = (service.clone(), builder.clone(), graceful.watcher());
        tasks.spawn(async move {
            let spoke = Arc::new(Notify::new());
            let service = {
                let spoke = spoke.clone();
                service_fn(move |request| {
                    spoke.notify_one();
                    service.call(request)
                })
            };
            tokio::select! {
                // An error here is a connection that broke off or spoke something else: nobody is left to be told.
                _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)) => {}
                () = silent(&spoke, head_timeout) => {}
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

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
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
    builder
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
