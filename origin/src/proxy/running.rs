//! A proxy that runs, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::limits::{Limits, ms};
use super::serve::Stop;
use super::tls::{Certificate, TlsError};

/// A proxy that runs. Dropped without [`Running::stop`], it ends at once, as if killed.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    admin: Option<(SocketAddr, JoinHandle<()>)>,
    serving: JoinHandle<()>,
    stop: Stop,
    certificate: Option<Certificate>,
    renew: watch::Sender<Option<Arc<ServerConfig>>>,
    stop_timeout: Duration,
}

/// How a proxy stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Everything that was worked on came to its end.
    Clean,
    /// Something was cut off: it took longer than `stop_timeout_ms`.
    Overdue,
}

impl Running {
    pub(super) fn new(
        address: SocketAddr,
        admin: Option<(SocketAddr, JoinHandle<()>)>,
        serving: JoinHandle<()>,
        stop: Stop,
        certificate: Option<Certificate>,
        renew: watch::Sender<Option<Arc<ServerConfig>>>,
        limits: &Limits,
    ) -> Self {
        Self { address, admin, serving, stop, certificate, renew, stop_timeout: ms(limits.stop_timeout_ms) }
    }

    /// Where clients ask.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health, readiness and metrics are asked for.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Reads the certificate and its key anew; new connections get them. Does nothing where clients do not speak TLS.
    ///
    /// # Errors
    ///
    /// Where they cannot be read or do not belong together. The old ones then stay in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        if let Some(certificate) = &self.certificate {
            self.renew.send_replace(Some(certificate.read()?));
        }
        Ok(())
    }

    /// Stops: accepts nothing more, lets go of connections that do nothing, and waits for requests and tunnels to end, for
    /// `stop_timeout_ms` at most. Dropping the future ends at once what is left.
    pub async fn stop(self) -> Stopped {
        let ending = Ending(&self);
        self.stop.stop();
        let stopped = match tokio::time::timeout(self.stop_timeout, self.stop.work_ended()).await {
            Ok(()) => Stopped::Clean,
            Err(_) => Stopped::Overdue,
        };
        drop(ending);
        self.stop.work_ended().await;
        stopped
    }
}

/// Ends everything when dropped.
struct Ending<'a>(&'a Running);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.stop.end();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.end();
        self.serving.abort();
        if let Some((_, admin)) = &self.admin {
            admin.abort();
        }
    }
}
