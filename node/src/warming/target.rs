//! URLs to warm, and where the requests go.

use std::fmt;
use std::str::FromStr;

use hyper::http::uri::{Authority, PathAndQuery};
use larder_core::key::canonical_authority;

/// The longest URL.
const URL_BYTES_MAX: usize = 8192;

/// Why a text is no URL to warm, no site, or nothing to warm through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {why}")]
pub struct TargetError {
    text: String,
    why: &'static str,
}

/// Where all requests are sent: Envoy, or another proxy that has the cache. `http://host[:port]`.
///
/// Over plain HTTP: a listener for what is near. Requests for `https` URLs carry `X-Forwarded-Proto: https`, which such a listener
/// has to trust, so that they have the key of clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    host: String,
    port: u16,
    site: Site,
}

/// A scheme and a host with its port where it is not the scheme's own: `https://api.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    https: bool,
    authority: String,
}

/// A URL to warm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    https: bool,
    authority: String,
    /// Path and query.
    path: String,
}

impl Via {
    /// The site of requests that name none.
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Where to connect.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for Via {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = |why| TargetError { text: text.to_owned(), why };
        let site: Site = text.parse()?;
        if site.https {
            return Err(wrong(
                "is behind TLS: warm through a plain HTTP listener; URLs that begin with https:// are sent with X-Forwarded-Proto",
            ));
        }
        let authority: Authority = site.authority.parse().map_err(|_| wrong("names no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), site })
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.site.fmt(f)
    }
}

impl Site {
    /// A site by its parts.
    pub(super) fn of(https: bool, authority: &str) -> Self {
        Self { https, authority: canonical_authority(scheme(https), authority) }
    }

    /// A URL of this site. `path` begins with a slash.
    pub(super) fn at(&self, path: &str) -> Result<Target, TargetError> {
        format!("{self}{path}").parse()
    }

    /// Whether a URL has this host and port.
    pub(super) fn has(&self, target: &Target) -> bool {
        self.authority == target.authority
    }
}

impl FromStr for Site {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let target: Target = text.parse()?;
        match target.path.as_str() {
            "/" => Ok(Self { https: target.https, authority: target.authority }),
            _ => Err(TargetError { text: text.to_owned(), why: "has a path: write http://host or https://host" }),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", scheme(self.https), self.authority)
    }
}

impl Target {
    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        scheme(self.https)
    }

    /// Host, with the port where it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a reference means that stands in an answer to this URL (RFC 3986 5.2).
    pub(super) fn join(&self, reference: &str) -> Option<Self> {
        let base = url::Url::parse(&self.to_string()).ok()?;
        let mut joined = base.join(reference).ok()?;
        joined.set_fragment(None);
        joined.as_str().parse().ok()
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads a URL. Its path stays as it is written, since that is what the cache's key has.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = |why| TargetError { text: text.chars().take(200).collect(), why };
        if text.len() > URL_BYTES_MAX {
            return Err(wrong("is too long"));
        }
        if !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            return Err(wrong("has blanks or other characters that a URL has percent-encoded"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("is no URL: write http://host/path"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("is neither http:// nor https://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("has a user's name in it"));
        }
        let read: Authority = authority.parse().map_err(|_| wrong("names no host"))?;
        if read.host().is_empty() || (read.as_str() != read.host() && read.port_u16().is_none()) {
            return Err(wrong("names no host, or no port after its colon"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        path.parse::<PathAndQuery>().map_err(|_| wrong("has characters that a URL has percent-encoded"))?;
        Ok(Self { https, authority: canonical_authority(self::scheme(https), authority), path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path)
    }
}

const fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_hosts_have_one_form() {
        for (text, want) in [
            ("http://h/a?b=c", Some("http://h/a?b=c")),
            ("HTTP://H:80", Some("http://h/")),
            ("https://H:443/a//b/../c%2f", Some("https://h/a//b/../c%2f")),
            ("https://h:8443?q#f", Some("https://h:8443/?q")),
            ("http://[::1]:8080/a", Some("http://[::1]:8080/a")),
            ("/a", None),
            ("ftp://h/a", None),
            ("http://", None),
            ("http:///a", None),
            ("http://h:x/", None),
            ("http://h:/", None),
            ("http://h:99999/", None),
            ("http://user@h/", None),
            ("http://h@evil/", None),
            ("http://h/a b", None),
            ("http://h/\r\nx: y", None),
            ("http://h\\@evil/", None),
            ("http://ü/", None),
        ] {
            assert_eq!(text.parse::<Target>().ok().map(|target| target.to_string()).as_deref(), want, "{text}");
        }
        assert!(format!("http://h/{}", "a".repeat(9000)).parse::<Target>().is_err());
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port_over_plain_http() {
        let via: Via = "http://127.0.0.1:10000/".parse().unwrap();
        assert_eq!((via.address(), via.to_string().as_str()), (("127.0.0.1", 10_000), "http://127.0.0.1:10000"));
        let via: Via = "http://[::1]".parse().unwrap();
        assert_eq!(via.address(), ("::1", 80));
        for text in ["https://h", "http://h/path", "h:1", "http://h?q", "http://u:p@h"] {
            assert!(text.parse::<Via>().is_err(), "{text}");
        }
    }

    #[test]
    fn references_are_joined_to_what_they_stand_in() {
        let base: Target = "https://h/a/b?c".parse().unwrap();
        for (reference, want) in [
            ("d", Some("https://h/a/d")),
            ("/d#f", Some("https://h/d")),
            ("//other/d", Some("https://other/d")),
            ("http://h:8080/d", Some("http://h:8080/d")),
            ("javascript:1", None),
            ("http://u:p@h/", None),
        ] {
            assert_eq!(base.join(reference).map(|target| target.to_string()).as_deref(), want, "{reference}");
        }
    }
}
