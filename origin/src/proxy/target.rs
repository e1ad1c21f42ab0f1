//! What a request is for: one scheme, one authority, one path (RFC 9110 7.1, RFC 9112 3, RFC 9113 8.3.1).
//!
//! Requests name their target in several places, and whoever reads another place than the cache does is fooled. From here on all
//! places say the same: the URI is absolute, and `Host` is its authority.

use http::header::{self, HeaderMap};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri, Version};

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTarget {
    NoHost,
    SeveralHosts,
    BadHost,
    BadForm,
}

impl BadTarget {
    /// What the client is told.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NoHost => "the request names no host",
            Self::SeveralHosts => "the request names several hosts",
            Self::BadHost => "the request's host is none",
            Self::BadForm => "the request's target is neither a path nor a URL",
        }
    }
}

/// Makes the URI absolute and `Host` agree with it.
///
/// `scheme` is how the client came; what its URI says about that is not believed. `default` is the authority of requests that
/// may do without one (HTTP/1.0).
pub(super) fn settle(
    uri: &mut Uri,
    fields: &mut HeaderMap,
    version: Version,
    scheme: &Scheme,
    default: &Authority,
) -> Result<(), BadTarget> {
    let host = host(fields, version)?;
    let authority = match (uri.authority(), host) {
        // RFC 9113 8.3.1: a request whose two names differ is malformed.
        (Some(named), Some(host)) if version == Version::HTTP_2 && !same(named, &host) => {
            return Err(BadTarget::SeveralHosts);
        }
        // RFC 9112 3.2.2: an absolute target wins over Host.
        (Some(named), _) => named.clone(),
        (None, Some(host)) => host,
        (None, None) if version < Version::HTTP_11 => default.clone(),
        (None, None) => return Err(BadTarget::NoHost),
    };
    if !is_host_and_port(&authority) {
        return Err(BadTarget::BadHost);
    }
    let path = match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        Some(path) if path.as_str().starts_with('?') && uri.scheme().is_some() => {
            format!("/{path}").parse().map_err(|_| BadTarget::BadForm)?
        }
        None if uri.scheme().is_some() => PathAndQuery::from_static("/"),
        _ => return Err(BadTarget::BadForm),
    };
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| BadTarget::BadHost)?;
    let absolute = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path).build();
    *uri = absolute.map_err(|_| BadTarget::BadForm)?;
    fields.insert(header::HOST, value);
    Ok(())
}

/// The one `Host` of a request. HTTP/1.1 must have it, even beside an absolute target (RFC 9112 3.2).
fn host(fields: &HeaderMap, version: Version) -> Result<Option<Authority>, BadTarget> {
    let mut lines = fields.get_all(header::HOST).iter();
    let Some(line) = lines.next() else {
        return if version == Version::HTTP_11 { Err(BadTarget::NoHost) } else { Ok(None) };
    };
    if lines.next().is_some() {
        return Err(BadTarget::SeveralHosts);
    }
    let authority = Authority::try_from(line.as_bytes()).map_err(|_| BadTarget::BadHost)?;
    Ok(Some(authority))
}

/// Whether an authority is a host, and a port where there is one; [`Authority`] takes more than that.
pub(super) fn is_host_and_port(authority: &Authority) -> bool {
    let host = authority.host();
    let Some(rest) = authority.as_str().strip_prefix(host) else { return false };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    port && !host.is_empty()
}

fn same(a: &Authority, b: &Authority) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(version: Version, target: &str, hosts: &[&'static str]) -> Result<String, BadTarget> {
        let mut uri: Uri = target.parse().expect(target);
        let mut fields = HeaderMap::new();
        for host in hosts {
            fields.append(header::HOST, HeaderValue::from_static(host));
        }
        let default = Authority::from_static("origin:3000");
        settle(&mut uri, &mut fields, version, &Scheme::HTTP, &default)?;
        assert_eq!(fields[header::HOST].to_str().ok(), uri.authority().map(Authority::as_str));
        assert_eq!(fields.len(), 1);
        Ok(uri.to_string())
    }

    #[test]
    fn every_form_comes_to_one() {
        for (version, target, hosts, uri) in [
            (Version::HTTP_11, "/a?b", &["h"][..], "http://h/a?b"),
            (Version::HTTP_11, "/a", &["h:81"], "http://h:81/a"),
            (Version::HTTP_11, "http://other/a", &["h"], "http://other/a"),
            (Version::HTTP_11, "https://other/a", &["h"], "http://other/a"),
            (Version::HTTP_11, "http://other", &["h"], "http://other/"),
            (Version::HTTP_10, "/a", &[], "http://origin:3000/a"),
            (Version::HTTP_10, "/a", &["h"], "http://h/a"),
            (Version::HTTP_2, "http://h/a", &["H"], "http://h/a"),
            (Version::HTTP_2, "http://h/a", &[], "http://h/a"),
            (Version::HTTP_2, "/a", &["h"], "http://h/a"),
        ] {
            assert_eq!(settled(version, target, hosts).as_deref(), Ok(uri), "{target} {hosts:?}");
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        for (version, target, hosts, why) in [
            (Version::HTTP_11, "/a", &[][..], BadTarget::NoHost),
            (Version::HTTP_11, "http://h/a", &[], BadTarget::NoHost),
            (Version::HTTP_2, "/a", &[], BadTarget::NoHost),
            (Version::HTTP_11, "/a", &["h", "h"], BadTarget::SeveralHosts),
            (Version::HTTP_2, "http://h/a", &["other"], BadTarget::SeveralHosts),
            (Version::HTTP_11, "/a", &[""], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["h/b"], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["u@h"], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["h, i"], BadTarget::BadHost),
            (Version::HTTP_11, "http://u@h/a", &["h"], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["h:99999"], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["h:"], BadTarget::BadHost),
            (Version::HTTP_11, "/a", &["[::1]x"], BadTarget::BadHost),
            (Version::HTTP_11, "h:80", &["h"], BadTarget::BadForm),
            (Version::HTTP_11, "*", &["h"], BadTarget::BadForm),
        ] {
            assert_eq!(settled(version, target, hosts), Err(why), "{target} {hosts:?}");
        }
    }
}
