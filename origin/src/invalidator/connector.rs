//! Connections to admin planes: which URLs are taken, and TLS where the crate was built with it.

use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;

use super::errors::BuildError;

#[cfg(feature = "invalidator-tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "invalidator-tls"))]
pub(super) type Connector = HttpConnector;

/// Connects within `timeout`. `authority` are the PEM certificates of who signs the admin planes' own, in place of the system's.
#[cfg(feature = "invalidator-tls")]
pub(super) fn connector(timeout: Duration, authority: Option<&[u8]>) -> Result<Connector, BuildError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let bad = |why: String| BuildError::Tls(why);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = match authority {
        None => builder
            .with_provider_and_native_roots(provider)
            .map_err(|error| bad(format!("the system's certificates cannot be used: {error}")))?,
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| bad(format!("no PEM certificate: {error}")))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("there is no PEM certificate".to_owned()));
            }
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(error.to_string()))?;
            builder.with_tls_config(config.with_root_certificates(roots).with_no_client_auth())
        }
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(plain(timeout)))
}

/// Connects within `timeout`.
#[cfg(not(feature = "invalidator-tls"))]
pub(super) fn connector(timeout: Duration, _authority: Option<&[u8]>) -> Result<Connector, BuildError> {
    Ok(plain(timeout))
}

fn plain(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(timeout));
    connector
}

/// The URL of an admin plane, without a slash at its end.
pub(super) fn admin_url(text: &str) -> Result<String, BuildError> {
    let bad = |why: &str| BuildError::Node { url: text.to_owned(), why: why.to_owned() };
    let uri: Uri = text.trim().parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "invalidator-tls") => {}
        Some("https") => return Err(bad("https needs the feature invalidator-tls of larder-origin")),
        _ => return Err(bad("write http://host:port")),
    }
    if uri.query().is_some() {
        return Err(bad("it has a query"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad("it has a user; give the token apart"));
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_admin_planes() {
        let url = |text: &str| admin_url(text).map_err(|error| error.to_string());
        assert_eq!(url("http://127.0.0.1:9902/"), Ok("http://127.0.0.1:9902".to_owned()));
        assert_eq!(url("http://mesh/larder/"), Ok("http://mesh/larder".to_owned()));
        for (bad, why) in [
            ("127.0.0.1:9902", "write http"),
            ("ftp://h", "write http"),
            ("http://h/?a", "query"),
            ("http://u:p@h/", "user"),
            ("http://", ""),
            ("", ""),
        ] {
            assert!(url(bad).is_err_and(|error| error.contains(why)), "{bad}");
        }
        assert_eq!(url("https://h").is_ok(), cfg!(feature = "invalidator-tls"));
    }
}
