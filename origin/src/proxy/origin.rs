//! Where an origin is.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use super::target::is_host_and_port;

/// An origin: scheme, host and port, as in `http://127.0.0.1:3000` or `https://api.internal`.
///
/// There is no path: what the client asks for is what the origin is asked for, so that keys, purges and links agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no origin: {why}")]
pub struct OriginError {
    text: String,
    why: &'static str,
}

impl Origin {
    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Host, and port where one was given.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The authority as a `Host` field.
    pub(super) fn host_field(&self) -> &HeaderValue {
        &self.host
    }

    pub(super) fn to_authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn to_scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The host as TLS names it: without the brackets of an IPv6 address.
    pub(super) fn server_name(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// Where to connect to.
    pub(super) fn uri(&self) -> Result<Uri, http::Error> {
        Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query("/").build()
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let wrong = |why| OriginError { text: text.to_owned(), why };
        let uri = text.parse::<Uri>().map_err(|_| wrong("write http://host:port or https://host:port"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(wrong("write http://host:port or https://host:port"));
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(wrong("the scheme is http or https"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("an origin takes no user"));
        }
        if !is_host_and_port(authority) {
            return Err(wrong("there is no such host or port"));
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(wrong("an origin has no path: what clients ask for is what it is asked for"));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("the host is no field value"))?;
        Ok(Self { scheme: scheme.clone(), authority: authority.clone(), host })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for text in ["http://h", "https://h:8443", "http://127.0.0.1:1", "http://[::1]:3000", "http://h/"] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.to_string(), text.trim_end_matches('/'));
        }
        assert_eq!("https://[::1]:1".parse::<Origin>().expect("an origin").server_name(), "::1");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("h:3000", "write http://"),
            ("", "write http://"),
            ("ftp://h", "http or https"),
            ("http://u:p@h", "no user"),
            ("http://h/base", "no path"),
            ("http://h?q", "no path"),
            ("http://h:99999", "no such host or port"),
        ] {
            let error = text.parse::<Origin>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
