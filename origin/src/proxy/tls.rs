//! TLS on both sides: by rustls with ring, TLS 1.2 and 1.3, certificates from PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};

use super::BoxError;

/// Protocols by ALPN, the better one first (RFC 9113 3.2).
const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{}: {why}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system's certificates cannot be read.
    #[error("the system has no certificates to trust ({0}); name a file with the origin's")]
    System(String),
    /// rustls does not take what was read.
    #[error("TLS: {0}")]
    Refused(#[source] BoxError),
}

/// The proxy's certificate and key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// A chain, the proxy's own certificate first, and its key: PEM files.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { chain: chain.into(), key: key.into() }
    }

    /// Reads both, and holds them against one another.
    pub(super) fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.chain)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| TlsError::File { file: self.key.clone(), why: format!("no private key: {error}") })?;
        let mut config = versions(ServerConfig::builder_with_provider(provider()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::File { file: self.chain.clone(), why: format!("with its key: {error}") })?;
        config.alpn_protocols = BOTH.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

/// How origins are spoken to by TLS.
#[derive(Clone, Debug)]
pub(super) struct OriginTls {
    /// For pooled connections: HTTP/2 where the origin has it.
    pub(super) any: Arc<ClientConfig>,
    /// For HTTP/1.1 only.
    pub(super) http1: Arc<ClientConfig>,
}

impl OriginTls {
    /// Trusts who signed in `ca`, or else whom the system trusts.
    pub(super) fn new(ca: Option<&Path>, http2: bool) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(file) => {
                for certificate in certificates(file)? {
                    let why = |error: rustls::Error| TlsError::File { file: file.to_owned(), why: error.to_string() };
                    roots.add(certificate).map_err(why)?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                    return Err(TlsError::System(errors.join("; ")));
                }
            }
        }
        let mut http1 = versions(ClientConfig::builder_with_provider(provider()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut any = http1.clone();
        if http2 {
            any.alpn_protocols = BOTH.map(<[u8]>::to_vec).to_vec();
        }
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn versions<S: rustls::ConfigSide>(
    builder: ConfigBuilder<S, rustls::WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, TlsError> {
    builder.with_safe_default_protocol_versions().map_err(|error| TlsError::Refused(error.into()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File { file: file.to_owned(), why };
    let all = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if all.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(all) }
}

/// TLS errors of the handshake come as I/O errors that wrap them.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
