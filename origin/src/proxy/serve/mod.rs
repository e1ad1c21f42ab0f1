//! Clients' connections: accepting them, TLS, HTTP/1.1 and HTTP/2, and letting go of those that do nothing.

mod activity;
mod ending;
mod io;
mod stopping;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) use activity::Activity;
use activity::{Patience, Verdict};
use io::ClientIo;
pub(super) use stopping::{Stop, Stopping};

use super::counts::{self, Open, Side};
use super::front::{Answers, Client, Front};
use super::limits::{Limits, ms};

/// A stalled HTTP/2 connection is noticed after this and the same again.
const H2_PING: Duration = Duration::from_secs(20);

/// What a connection of HTTP/2 may have on its way to the proxy: 4 MiB, 1 MiB for a request.
const H2_WINDOWS: (u32, u32) = (4 << 20, 1 << 20);

/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The certificate in use; another takes effect with the next connection.
pub(super) type Tls = watch::Receiver<Option<Arc<ServerConfig>>>;

/// Accepts connections until the proxy is to stop; then ends with the last of them, or when stopping is overdue.
pub(super) async fn serve<S: Answers>(
    listener: TcpListener,
    tls: Tls,
    front: Front<S>,
    limits: Arc<Limits>,
    mut stopping: Stopping,
) {
    let builder = Arc::new(builder(&limits));
    let connections = Arc::new(Semaphore::new(limits.connections_max as usize));
    // Connections end with this task, should it be ended.
    let mut tasks = JoinSet::new();
    loop {
        let permit = tokio::select! {
            Ok(permit) = connections.clone().acquire_owned() => permit,
            Some(_) = tasks.join_next() => continue,
            () = stopping.stopped() => break,
        };
        let accepted = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted,
                Some(_) = tasks.join_next() => {}
                () = stopping.stopped() => break Err(std::io::ErrorKind::Interrupted.into()),
            }
        };
        if stopping.is_stopping() {
            break;
        }
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let tls = tls.borrow().clone();
        let connection = Connection {
            peer,
            front: front.clone(),
            limits: limits.clone(),
            builder: builder.clone(),
            stopping: stopping.clone(),
        };
        tasks.spawn(async move {
            let _open = Open::new(Side::Client);
            connection.serve(stream, tls).await;
            drop(permit);
        });
    }
    drop(listener);
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = stopping.overdue() => {}
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(ms(limits.head_timeout_ms))
        .max_buf_size(limits.head_bytes())
        .max_headers(limits.fields_max as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING)
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes()).unwrap_or(u32::MAX))
        .initial_connection_window_size(H2_WINDOWS.0)
        .initial_stream_window_size(H2_WINDOWS.1);
    builder
}

/// One client's connection.
struct Connection<S> {
    peer: SocketAddr,
    front: Front<S>,
    limits: Arc<Limits>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stopping: Stopping,
}

impl<S: Answers> Connection<S> {
    async fn serve(mut self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        // Answers are written at once: nothing to gain from waiting for more.
        let _ = stream.set_nodelay(true);
        let activity = Arc::new(Activity::new());
        let Some(tls) = tls else {
            return self.speak(ClientIo::plain(stream, activity.clone()), Scheme::HTTP, activity).await;
        };
        let handshake = TlsAcceptor::from(tls).accept(stream);
        tokio::select! {
            shaken = tokio::time::timeout(ms(self.limits.handshake_timeout_ms), handshake) => match shaken {
                Ok(Ok(stream)) => {
                    self.speak(ClientIo::tls(stream, activity.clone()), Scheme::HTTPS, activity).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, peer = %self.peer, "no TLS with a client");
                    counts::refused("tls");
                }
                Err(_) => counts::refused("tls_timeout"),
            },
            () = self.stopping.overdue() => {}
        }
    }

    async fn speak(mut self, io: ClientIo, scheme: Scheme, activity: Arc<Activity>) {
        let client = Client { peer: self.peer, scheme, activity: activity.clone(), stopping: self.stopping.clone() };
        let front = self.front;
        let service = service_fn(move |request| front.answer(client.clone(), request));
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        // hyper's own time limit for heads begins when it knows which HTTP it reads, which may be never.
        let patience = Patience {
            first: ms(self.limits.head_timeout_ms),
            idle: ms(self.limits.client_idle_ms),
            stuck: ms(self.limits.body_idle_ms),
        };
        let mut overdue = self.stopping.clone();
        let mut is_leaving = false;
        let mut look = tokio::time::Instant::now() + patience.first.min(patience.idle).min(patience.stuck);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        counts::refused(reason(&*error));
                    }
                    return;
                }
                () = self.stopping.stopped(), if !is_leaving => {
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = overdue.overdue() => return,
                () = tokio::time::sleep_until(look) => match activity.verdict(patience) {
                    Verdict::Fine(until) => look = until,
                    Verdict::Stuck => return counts::refused("client_stalled"),
                    Verdict::Idle if is_leaving => return,
                    Verdict::Idle => {
                        is_leaving = true;
                        connection.as_mut().graceful_shutdown();
                        look = tokio::time::Instant::now() + patience.stuck;
                    }
                },
            }
        }
    }
}

/// Why a connection ended badly, as a label.
fn reason(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse_too_large() => "head_too_large",
        Some(error) if error.is_parse() => "bad_request",
        Some(error) if error.is_timeout() => "head_timeout",
        Some(error) if error.is_incomplete_message() => "client_gone",
        Some(_) => "broken",
        None => "io",
    }
}
