//! A new connection to an origin: name, TCP, TLS, HTTP.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::error::UpstreamError;
use super::outgoing::Outgoing;
use crate::proxy::counts::{Open, Side};
use crate::proxy::limits::{Limits, ms};
use crate::proxy::origin::Origin;
use crate::proxy::tls::{OriginTls, is_tls};

/// Which versions of HTTP an origin is spoken to by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// By TLS, what the origin prefers of HTTP/2 and HTTP/1.1; in clear text HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, in clear text, too, where the origin is known to speak it (RFC 9113 3.3).
    Http2,
}

/// A stalled HTTP/2 connection is noticed after this and the same again.
const H2_PING: Duration = Duration::from_secs(20);

/// Peers that are gone without a word are noticed by the system.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What a connection of HTTP/2 may have on its way to the proxy: 4 MiB, 1 MiB for a response.
const H2_WINDOWS: (u32, u32) = (4 << 20, 1 << 20);

/// Connects to one origin.
#[derive(Debug)]
pub(super) struct Dialer {
    origin: Origin,
    protocol: Protocol,
    uri: Uri,
    name: Option<ServerName<'static>>,
    tls: Option<OriginTls>,
    connector: HttpConnector<Resolver>,
    timeout: Duration,
    head_bytes_max: usize,
    fields_max: usize,
}

/// A connection that requests can be sent on.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Requests,
    /// One request that changes the protocol: HTTP/1.1 only.
    Tunnel,
}

impl Dialer {
    pub(super) fn new(
        origin: Origin,
        protocol: Protocol,
        tls: Option<OriginTls>,
        limits: &Limits,
    ) -> Result<Self, http::Error> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(TCP_KEEPALIVE));
        let name = ServerName::try_from(origin.server_name().to_owned()).ok();
        Ok(Self {
            uri: origin.uri()?,
            name,
            tls,
            connector,
            protocol,
            timeout: ms(limits.connect_timeout_ms),
            head_bytes_max: limits.head_bytes(),
            fields_max: limits.fields_max as usize,
            origin,
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a connection may turn out to be of HTTP/2, or is known to be.
    pub(super) fn may_be_http2(&self) -> bool {
        match self.protocol {
            Protocol::Auto => self.origin.is_tls(),
            Protocol::Http1 => false,
            Protocol::Http2 => true,
        }
    }

    /// Whether the origin can be asked to change the protocol, which is of HTTP/1.1.
    pub(super) fn can_upgrade(&self) -> bool {
        self.protocol != Protocol::Http2
    }

    /// Connects, within the time limit.
    pub(super) async fn dial(&self, purpose: Purpose) -> Result<Connection, UpstreamError> {
        tokio::time::timeout(self.timeout, self.connected(purpose)).await.unwrap_or(Err(UpstreamError::ConnectTimedOut))
    }

    async fn connected(&self, purpose: Purpose) -> Result<Connection, UpstreamError> {
        let stream = self.tcp().await?;
        let (Some(tls), true) = (&self.tls, self.origin.is_tls()) else {
            let http2 = self.protocol == Protocol::Http2 && purpose == Purpose::Requests;
            return self.speak(TokioIo::new(stream), http2, purpose).await;
        };
        let config = if purpose == Purpose::Tunnel { &tls.http1 } else { &tls.any };
        let Some(name) = self.name.clone() else {
            return Err(UpstreamError::Tls(io::Error::other(
                "the origin's host is no name that a certificate can have",
            )));
        };
        let stream = TlsConnector::from(config.clone()).connect(name, stream).await.map_err(|error| {
            if is_tls(&error) || error.kind() == io::ErrorKind::UnexpectedEof {
                UpstreamError::Tls(error)
            } else {
                UpstreamError::Unreachable(error)
            }
        })?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if self.protocol == Protocol::Http2 && purpose == Purpose::Requests && !http2 {
            return Err(UpstreamError::Tls(io::Error::other("the origin does not speak HTTP/2")));
        }
        self.speak(TokioIo::new(stream), http2, purpose).await
    }

    async fn tcp(&self) -> Result<TcpStream, UpstreamError> {
        let mut connector = self.connector.clone();
        // `HttpConnector` is always ready.
        match connector.call(self.uri.clone()).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(error) => Err(connect_error(&error)),
        }
    }

    async fn speak<T>(&self, io: T, http2: bool, purpose: Purpose) -> Result<Connection, UpstreamError>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let open = Open::new(Side::Origin);
        if http2 {
            let handshake = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(H2_PING)
                .keep_alive_timeout(H2_PING)
                .initial_connection_window_size(H2_WINDOWS.0)
                .initial_stream_window_size(H2_WINDOWS.1)
                .max_header_list_size(u32::try_from(self.head_bytes_max).unwrap_or(u32::MAX))
                .handshake(io);
            let (sender, connection) = handshake.await.map_err(UpstreamError::Nonsense)?;
            tokio::spawn(async move {
                // Whoever has a request on it hears of its end.
                let _ = connection.await;
                drop(open);
            });
            return Ok(Connection::Http2(sender));
        }
        let handshake = http1::Builder::new()
            .max_buf_size(self.head_bytes_max)
            .max_header_size(self.head_bytes_max)
            .max_headers(self.fields_max)
            .handshake(io);
        let (sender, connection) = handshake.await.map_err(UpstreamError::Nonsense)?;
        tokio::spawn(async move {
            let _ = match purpose {
                Purpose::Requests => connection.await,
                Purpose::Tunnel => connection.with_upgrades().await,
            };
            drop(open);
        });
        Ok(Connection::Http1(sender))
    }
}

fn connect_error(error: &(dyn Error + 'static)) -> UpstreamError {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(Unresolved(kind, text)) = error.downcast_ref() {
            return UpstreamError::Unresolved(io::Error::new(*kind, text.clone()));
        }
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.get_ref().is_none()
        {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => UpstreamError::Refused,
                io::ErrorKind::TimedOut => UpstreamError::ConnectTimedOut,
                kind => UpstreamError::Unreachable(kind.into()),
            };
        }
        source = error.source();
    }
    UpstreamError::Unreachable(io::Error::other(error.to_string()))
}

/// The system's resolver, its errors told apart from those of connecting.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
struct Unresolved(io::ErrorKind, String);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, Unresolved>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolved = self.0.call(name);
        Box::pin(async move { resolved.await.map_err(unresolved) })
    }
}

fn unresolved(error: io::Error) -> Unresolved {
    Unresolved(error.kind(), error.to_string())
}
