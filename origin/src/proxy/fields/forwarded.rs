//! Who asked, by which scheme and for which host: `Forwarded` (RFC 7239) and the older `X-Forwarded-*` that most applications read.
//!
//! A client can send these itself, so they are replaced, unless the sender is one whose word counts: then they are added to.

use std::net::IpAddr;

use http::HeaderValue;
use http::header::{self, HeaderMap, HeaderName};
use http::uri::{Authority, Scheme};

use super::hop::listed;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Said about the client by others, in ways that applications believe; gone where the sender's word does not count.
static CLAIMS: [HeaderName; 7] = [
    header::FORWARDED,
    FOR,
    PROTO,
    X_HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether what the sender says about its client counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Word {
    Counts,
    DoesNot,
}

/// The scheme that the client used, where somebody whose word counts took it in.
pub(in crate::proxy) fn scheme(fields: &HeaderMap, word: Word) -> Option<Scheme> {
    if word == Word::DoesNot {
        return None;
    }
    match listed(fields, &PROTO).next()? {
        text if text.eq_ignore_ascii_case("https") => Some(Scheme::HTTPS),
        text if text.eq_ignore_ascii_case("http") => Some(Scheme::HTTP),
        _ => None,
    }
}

/// Takes out what the sender says about its client, where its word does not count.
pub(in crate::proxy) fn disbelieve(fields: &mut HeaderMap, word: Word) {
    if word == Word::DoesNot {
        for name in &CLAIMS {
            fields.remove(name);
        }
    }
}

/// Who asked: travels with a request to where it is sent on. A cache in between has no use for it; told as fields, it would be
/// input that no key covers.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Sender {
    pub(in crate::proxy) peer: IpAddr,
    pub(in crate::proxy) scheme: Scheme,
}

/// Says who asked, and for which host.
pub(in crate::proxy) fn say(fields: &mut HeaderMap, Sender { peer, scheme }: &Sender, host: Option<&Authority>) {
    let peer = peer.to_canonical();
    let host = host.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let quoted = match peer {
        IpAddr::V4(peer) => peer.to_string(),
        IpAddr::V6(peer) => format!("\"[{peer}]\""),
    };
    let mut member = format!("for={quoted};proto={scheme}");
    // A host that needs no quoting but for a port's colon; anything else is not repeated.
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok())
        && !host.contains(['"', '\\'])
    {
        member.push_str(&format!(";host=\"{host}\""));
    }
    append(fields, header::FORWARDED, &member);
    append(fields, FOR, &peer.to_string());
    if !fields.contains_key(PROTO)
        && let Ok(value) = HeaderValue::from_str(scheme.as_str())
    {
        fields.insert(PROTO, value);
    }
    if !fields.contains_key(X_HOST)
        && let Some(host) = host
    {
        fields.insert(X_HOST, host);
    }
}

/// Adds a member to a list, on one line: many applications read the first line only.
fn append(fields: &mut HeaderMap, name: HeaderName, member: &str) {
    let before: Vec<&str> = listed_whole(fields, &name).collect();
    let all = if before.is_empty() { member.to_owned() } else { format!("{}, {member}", before.join(", ")) };
    if let Ok(value) = HeaderValue::from_str(&all) {
        fields.insert(name, value);
    }
}

fn listed_whole<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    fields.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(word: Word, peer: &str, before: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut fields = HeaderMap::new();
        for (name, value) in before {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        disbelieve(&mut fields, word);
        let sender = Sender { peer: peer.parse().expect("an address"), scheme: Scheme::HTTPS };
        say(&mut fields, &sender, Some(&Authority::from_static("shop.example:8080")));
        let mut all: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        all.sort();
        all
    }

    #[test]
    fn a_clients_own_word_is_replaced() {
        let claims = [
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let all = said(Word::DoesNot, "192.0.2.1", &claims);
        let expected = [
            "forwarded: for=192.0.2.1;proto=https;host=\"shop.example:8080\"",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: shop.example:8080",
            "x-forwarded-proto: https",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_trusted_word_is_added_to() {
        let claims = [
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let all = said(Word::Counts, "::1", &claims);
        let expected = [
            "forwarded: for=1.2.3.4, for=\"[::1]\";proto=https;host=\"shop.example:8080\"",
            "x-forwarded-for: 1.2.3.4, 5.6.7.8, ::1",
            "x-forwarded-host: shop.example:8080",
            "x-forwarded-proto: http",
            "x-real-ip: 1.2.3.4",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_scheme_is_believed_of_those_whose_word_counts() {
        let mut fields = HeaderMap::new();
        fields.insert(PROTO, HeaderValue::from_static("HTTPS, http"));
        assert_eq!(scheme(&fields, Word::Counts), Some(Scheme::HTTPS));
        assert_eq!(scheme(&fields, Word::DoesNot), None);
        fields.insert(PROTO, HeaderValue::from_static("gopher"));
        assert_eq!(scheme(&fields, Word::Counts), None);
    }
}
