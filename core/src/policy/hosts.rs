//! Hosts: the patterns of routes, and which of a policy's patterns a request's host matches.
//!
//! A look-up costs a few hash probes per label of the host, however many hosts a policy names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::errors::Problem;
use super::hash::Fnv;

/// Longest host that is looked at (a name in DNS has at most 253 bytes); longer ones match routes for any host only.
const HOST_BYTES_MAX: usize = 255;

/// A route's host: `api.example.com`, `api.example.com:8443`, `*.example.com` (one or more labels, as in Envoy).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern {
    /// Lower case; without `*.` and port.
    name: String,
    wildcard: bool,
    /// `None` is any port.
    port: Option<u16>,
}

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let bare = bare.map(|rest| rest.split('/').next().unwrap_or_default().to_owned());
            Problem::default().nearest(bare.filter(|host| Self::parse(host).is_ok()))
        };
        if text == "*" {
            return Err(Problem::new("a route for any host has no \"host\" at all"));
        }
        let (name, port) = split_port(text).ok_or_else(wrong)?;
        let (name, wildcard) = name.strip_prefix("*.").map_or((name, false), |name| (name, true));
        let is_address = name.starts_with('[');
        let fits = if is_address {
            let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
            !wildcard && inner.is_some_and(|n| n.parse::<std::net::Ipv6Addr>().is_ok())
        } else {
            let label = |l: &str| {
                (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            };
            name.len() <= HOST_BYTES_MAX - 2 && name.split('.').all(label)
        };
        if !fits {
            return Err(wrong());
        }
        Ok(Self { name: name.to_ascii_lowercase(), wildcard, port })
    }

    /// Whether a request matches, one by one; [`HostTable`] does the same for all patterns at once.
    #[cfg(test)]
    pub(crate) fn matches(&self, authority: &str, scheme: &str) -> bool {
        let Some((host, port)) = split_request(authority, scheme) else { return false };
        let name = match self.wildcard {
            true => host.strip_suffix(self.name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            false => *host == *self.name,
        };
        name && self.port.is_none_or(|p| Some(p) == port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Number of a host pattern within a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostId(u32);

impl HostId {
    /// Any host.
    pub const ANY: Self = Self(0);
}

/// All host patterns of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTable {
    exact: HashMap<String, Ports, Fnv>,
    wildcard: HashMap<String, Ports, Fnv>,
    count: u32,
}

#[derive(Clone, Debug, Default)]
struct Ports {
    any: Option<HostId>,
    by_port: BTreeMap<u16, HostId>,
}

impl HostTable {
    /// The number of `pattern`, a new one where it has none.
    pub fn add(&mut self, pattern: &HostPattern) -> HostId {
        let table = if pattern.wildcard { &mut self.wildcard } else { &mut self.exact };
        let ports = table.entry(pattern.name.clone()).or_default();
        let slot = match pattern.port {
            None => ports.any.get_or_insert(HostId(self.count + 1)),
            Some(port) => ports.by_port.entry(port).or_insert(HostId(self.count + 1)),
        };
        self.count = self.count.max(slot.0);
        *slot
    }

    /// The numbers of all patterns that match whatever `pattern` matches, [`HostId::ANY`] and its own included.
    pub fn covering(&self, pattern: &HostPattern) -> Vec<HostId> {
        let mut found = vec![HostId::ANY];
        let mut take = |ports: Option<&Ports>| {
            let Some(ports) = ports else { return };
            found.extend(ports.any);
            found.extend(pattern.port.and_then(|port| ports.by_port.get(&port)));
        };
        match pattern.wildcard {
            true => take(self.wildcard.get(&pattern.name)),
            false => take(self.exact.get(&pattern.name)),
        }
        let mut rest = pattern.name.as_str();
        while let Some((_, suffix)) = rest.split_once('.') {
            take(self.wildcard.get(suffix));
            rest = suffix;
        }
        found
    }

    /// The numbers of all patterns that a request's host matches, [`HostId::ANY`] included. Adds one to `steps` a look-up.
    pub fn matching(&self, authority: &str, scheme: &str, steps: &mut usize) -> Cow<'static, [HostId]> {
        const ANY: &[HostId] = &[HostId::ANY];
        if self.count == 0 {
            return ANY.into();
        }
        let Some((host, port)) = split_request(authority, scheme) else { return ANY.into() };
        let mut found = ANY.to_vec();
        let mut take = |ports: Option<&Ports>| {
            *steps += 1;
            let Some(ports) = ports else { return };
            found.extend(ports.any);
            found.extend(port.and_then(|port| ports.by_port.get(&port)));
        };
        take(self.exact.get(host.as_ref()));
        if !self.wildcard.is_empty() {
            let mut rest = host.as_ref();
            while let Some((label, suffix)) = rest.split_once('.') {
                if !label.is_empty() || rest.len() < host.len() {
                    take(self.wildcard.get(suffix));
                }
                rest = suffix;
            }
        }
        found.into()
    }
}

/// A host and its port, where one is given. IPv6 addresses keep their brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match text.rfind(':') {
        Some(at) if !text.get(at..)?.contains(']') => (text.get(..at)?, text.get(at + 1..)),
        _ => (text, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok().filter(|p| *p > 0)?),
        Some(_) => return None,
    };
    Some((name, port))
}

/// A request's host, lower case and without a dot at its end, and its port, given or the scheme's own.
fn split_request<'a>(authority: &'a str, scheme: &str) -> Option<(Cow<'a, str>, Option<u16>)> {
    let (host, port) = split_port(authority)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return None;
    }
    let own = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let upper = host.bytes().any(|b| b.is_ascii_uppercase());
    let host = if upper { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) };
    Some((host, port.or(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const PATTERNS: [&str; 7] = [
        "api.example.com",
        "api.example.com:8443",
        "*.example.com",
        "*.example.com:8443",
        "[::1]",
        "[::1]:80",
        "*.a.example.com",
    ];

    #[test]
    fn the_table_agrees_with_the_patterns_one_by_one() {
        let patterns: Vec<_> = PATTERNS.iter().map(|p| HostPattern::parse(p).unwrap()).collect();
        let mut table = HostTable::default();
        let ids: Vec<_> = patterns.iter().map(|p| table.add(p)).collect();
        assert_eq!(ids, patterns.iter().map(|p| table.add(p)).collect::<Vec<_>>(), "the same pattern, the same number");
        for (scheme, host, want) in [
            ("https", "api.example.com", vec![0, 2]),
            ("https", "API.Example.COM", vec![0, 2]),
            ("https", "api.example.com.", vec![0, 2]),
            ("https", "api.example.com:443", vec![0, 2]),
            ("https", "api.example.com:8443", vec![0, 1, 2, 3]),
            ("http", "x.a.example.com", vec![2, 6]),
            ("http", "a.example.com", vec![2]),
            ("http", "example.com", vec![]),
            ("http", ".example.com", vec![]),
            ("http", "notexample.com", vec![]),
            ("http", "[::1]", vec![4, 5]),
            ("https", "[::1]", vec![4]),
            ("https", "[::1]:80", vec![4, 5]),
            ("https", "", vec![]),
            ("https", ":80", vec![]),
            ("https", "api.example.com:x", vec![]),
            ("https", "api.example.com:99999", vec![]),
        ] {
            let by_pattern: Vec<_> = (0..patterns.len()).filter(|i| patterns[*i].matches(host, scheme)).collect();
            assert_eq!(by_pattern, want, "{scheme} {host}");
            let mut found = table.matching(host, scheme, &mut 0).into_owned();
            found.sort();
            let want: Vec<_> = [HostId::ANY].into_iter().chain(want.into_iter().map(|i| ids[i])).collect();
            assert_eq!(found, want, "{scheme} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            ".",
            "a..b",
            "a b",
            "http://a",
            "a/b",
            "a:0",
            "a:99999",
            "a:b",
            "*a.b",
            "a.*",
            "*.*.b",
            "[::1",
            "[x]",
            "*.[::1]",
            "a@b",
            "é.example",
            "a.",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(HostPattern::parse("https://a.b/c").unwrap_err().nearest.as_deref(), Some("a.b"));
        assert_eq!(HostPattern::parse("A.b:80").unwrap().to_string(), "a.b:80");
    }

    #[test]
    fn a_long_host_costs_little() {
        let mut table = HostTable::default();
        table.add(&HostPattern::parse("*.example.com").unwrap());
        let mut steps = 0;
        table.matching(&"a.".repeat(40_000), "http", &mut steps);
        assert_eq!(steps, 0);
    }
}
