//! Putting a proxy together.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_layer::Layer;

use super::admin::{self, Metrics};
use super::counts;
use super::front::{Answers, Front, Settings};
use super::limits::Limits;
use super::origin::Origin;
use super::running::Running;
use super::serve::{self, Stop};
use super::tls::{Certificate, OriginTls, TlsError};
use super::trust::Network;
use super::upstream::{HostField, Protocol, Upstream};

/// Puts a proxy together; [`Builder::serve_with`] starts it.
#[must_use = "a proxy that is not started serves nobody"]
#[derive(Clone)]
pub struct Builder {
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    origins: Vec<Origin>,
    protocol: Protocol,
    origin_ca: Option<PathBuf>,
    host: HostField,
    certificate: Option<Certificate>,
    trusted: Vec<Network>,
    limits: Limits,
    access_log: bool,
    metrics: Option<Metrics>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("listen", &self.listen).field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There is nobody to ask.
    #[error("a proxy needs an origin")]
    NoOrigin,
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An origin's URL cannot be asked for.
    #[error("an origin cannot be asked: {0}")]
    Origin(#[source] http::Error),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            origins: Vec::new(),
            protocol: Protocol::default(),
            origin_ca: None,
            host: HostField::default(),
            certificate: None,
            trusted: Vec::new(),
            limits: Limits::default(),
            access_log: false,
            metrics: None,
        }
    }

    /// Where clients ask. Port 0, which is the default on loopback, takes any; [`Running::address`] says which.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where health, readiness and metrics are asked for; nowhere by default. Who reaches it may ask.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Who is asked. Several take turns; one that cannot be connected to is passed over for `rest_ms`.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Which versions of HTTP origins are spoken to by.
    pub fn origin_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Who signs the origins' certificates: a PEM file. By default whom the system trusts.
    pub fn origin_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.origin_ca = Some(file.into());
        self
    }

    /// Which `Host` origins see; by default the client's.
    pub fn host_field(mut self, host: HostField) -> Self {
        self.host = host;
        self
    }

    /// Clients speak TLS.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Whose `Forwarded` and `X-Forwarded-*` fields are believed and added to. Everybody else's are replaced.
    pub fn trust(mut self, network: Network) -> Self {
        self.trusted.push(network);
        self
    }

    /// What is not gone beyond.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether every request is a tracing event of target `larder::access` when it has ended. Queries and fields are not in it.
    pub fn access_log(mut self, on: bool) -> Self {
        self.access_log = on;
        self
    }

    /// The text of `/metrics`, made anew for each who asks. Without, there is no such page.
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(text));
        self
    }

    /// Starts the proxy with a layer upon its upstream: a cache, or [`tower_layer::Identity`] for none.
    ///
    /// The layer's service is given requests with an absolute URI (scheme, host and path as the client meant them), `Host` set to
    /// the same, and no hop-by-hop fields. It must pass on requests' extensions, where connections are to change the protocol
    /// after an unsafe request. An error that it returns becomes a response: an [`UpstreamError`](super::UpstreamError) one of its own status,
    /// anything else a 500.
    ///
    /// # Errors
    ///
    /// Where an address cannot be listened on, a certificate cannot be read, or there is no origin.
    pub async fn serve_with<L>(self, layer: L) -> Result<Running, StartError>
    where
        L: Layer<Upstream>,
        L::Service: Answers,
    {
        counts::describe();
        let Some(authority) = self.origins.first().map(|origin| origin.to_authority().clone()) else {
            return Err(StartError::NoOrigin);
        };
        let origin_tls = if self.origins.iter().any(Origin::is_tls) {
            Some(OriginTls::new(self.origin_ca.as_deref(), self.protocol != Protocol::Http1)?)
        } else {
            None
        };
        let tls = self.certificate.as_ref().map(Certificate::read).transpose()?;
        let listener = bound(self.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: self.listen, source })?;
        let admin_listener = match self.admin {
            Some(address) => Some((bound(address).await?, address)),
            None => None,
        };
        let upstream = Upstream::new(self.origins, self.protocol, origin_tls, self.host, &self.limits)
            .map_err(StartError::Origin)?;
        let limits = Arc::new(self.limits);
        let settings = Arc::new(Settings {
            limits: limits.clone(),
            trusted: self.trusted,
            authority,
            access_log: self.access_log,
        });
        let front = Front::new(layer.layer(upstream.clone()), upstream, settings);
        let stop = Stop::new();
        let (renew, certificate) = watch::channel(tls);
        let admin = match admin_listener {
            Some((listener, address)) => {
                let source = |source| StartError::Listen { address, source };
                let address = listener.local_addr().map_err(source)?;
                Some((address, tokio::spawn(admin::serve(listener, self.metrics, stop.for_report()))))
            }
            None => None,
        };
        let serving = tokio::spawn(serve::serve(listener, certificate, front, limits.clone(), stop.for_work()));
        Ok(Running::new(address, admin, serving, stop, self.certificate, renew, &limits))
    }
}

async fn bound(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}
