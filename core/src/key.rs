//! The cache key and the URL that purges speak of.
//!
//! A key is made of length-prefixed parts, so that no delimiter inside a part can make two requests collide. What a
//! rule leaves out of the key is left out of the forwarded request, too: what is forwarded is what was keyed. The one
//! exception is `No-Vary-Search`, where the origin itself says that a parameter does not matter.

use std::borrow::{Borrow, Cow};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::field::no_vary_search::NoVarySearch;
use crate::field::{accept, cookie};
use crate::fields::RequestHead;
use crate::policy::rules::{KeyRules, QueryRule, UserPart};

/// A primary cache key. Equal keys are equal byte for byte; hashing is left to the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The encoded parts.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes over bytes that [`Key::as_bytes`] gave before.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// What the key is known by in the cluster: half of its SHA-256 and more, as text without spaces. Names say nothing of the key.
    pub fn name(&self) -> String {
        let digest = Sha256::digest(&self.0);
        URL_SAFE_NO_PAD.encode(digest.get(..24).unwrap_or_default())
    }

    /// The URL that a request's key begins with.
    pub fn url(&self) -> String {
        let mut parts = Reader(self.0.get(1..).unwrap_or_default());
        let mut part = |kind| parts.next(kind);
        let (scheme, authority, path) = (part(SCHEME), part(AUTHORITY), part(PATH));
        url(scheme.unwrap_or_default(), authority.unwrap_or_default(), path.unwrap_or_default(), part(QUERY))
    }

    /// Whether this is the URL that a request's key begins with: [`Key::url`], without making it.
    pub fn is_of(&self, url: &str) -> bool {
        let mut parts = Reader(self.0.get(1..).unwrap_or_default());
        let mut part = |kind| parts.next(kind);
        let (scheme, authority, path) = (part(SCHEME), part(AUTHORITY), part(PATH));
        let rest = url.strip_prefix(scheme.unwrap_or_default()).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.and_then(|rest| rest.strip_prefix(authority.unwrap_or_default()));
        let rest = rest.and_then(|rest| rest.strip_prefix(path.unwrap_or_default()));
        match part(QUERY) {
            Some(query) => rest.and_then(|rest| rest.strip_prefix('?')) == Some(query),
            None => rest == Some(""),
        }
    }

    /// The key under which parts (206) of the responses to this one are kept: a place of their own, so that no look-up for
    /// a whole response can come upon a part. Keys of requests begin with their version, which is never zero.
    pub fn of_parts(&self) -> Self {
        Self(std::iter::once(0).chain(self.0.iter().copied()).collect())
    }
}

/// Hashes and compares as its bytes do.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A key together with what the forwarded request must look like to deserve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The primary key.
    pub key: Key,
    /// What it is known by in the cluster, once somebody has asked.
    name: OnceLock<String>,
    /// How much of the key is that of the path alone.
    path_bytes: usize,
    /// How much of the key is that of the URL.
    url_bytes: usize,
    /// Target to forward, where the key left something out.
    pub forward_target: Option<String>,
    /// Fields to forward in normalised form (name, value).
    pub forward_fields: Vec<(String, Vec<u8>)>,
    /// Request field names that take part in the key, lower case.
    pub covers: Vec<String>,
    /// Whether the key tells users apart by something this request carries.
    pub names_user: bool,
}

impl Keyed {
    /// The key of the path alone, under which `No-Vary-Search` is remembered.
    pub fn path_key(&self) -> &[u8] {
        self.key.0.get(..self.path_bytes).unwrap_or_default()
    }

    /// What of the key stands for the URL: the same bytes, the same [`Keyed::url`].
    pub fn url_part(&self) -> &[u8] {
        self.key.0.get(..self.url_bytes).unwrap_or_default()
    }

    /// What the key is known by in the cluster: [`Key::name`], hashed once.
    pub fn name(&self) -> &str {
        self.name.get_or_init(|| self.key.name())
    }

    /// The URL without what the key leaves out, as purges name it: what the key begins with.
    pub fn url(&self) -> String {
        self.key.url()
    }
}

const VERSION: u8 = 1;

/// Kinds of parts.
const SCHEME: u8 = b's';
const AUTHORITY: u8 = b'a';
const PATH: u8 = b'p';
const QUERY: u8 = b'q';

/// Keys up to this length take no memory until they are whole; most are shorter.
const SHORT: usize = 192;

/// A key that is being put together.
struct Parts {
    short: [u8; SHORT],
    /// Bytes in `short`, while `long` is empty.
    length: usize,
    long: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        let mut parts = Self { short: [0; SHORT], length: 0, long: Vec::new() };
        parts.extend(&[VERSION]);
        parts
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { self.short.get(..self.length).unwrap_or_default() } else { &self.long }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.short.get_mut(self.length..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            _ => {
                if self.long.is_empty() {
                    self.long.reserve(2 * end);
                    self.long.extend_from_slice(self.short.get(..self.length).unwrap_or_default());
                }
                self.long.extend_from_slice(bytes);
            }
        }
    }

    fn push(&mut self, kind: u8, part: &[u8]) {
        let [a, b, c, d] = (part.len() as u32).to_le_bytes();
        self.extend(&[kind, a, b, c, d]);
        self.extend(part);
    }

    fn push_named(&mut self, kind: u8, name: &str, value: Option<&[u8]>) {
        self.push(kind, name.as_bytes());
        match value {
            Some(value) => self.push(b'=', value),
            None => self.push(b'-', b""), // absent differs from empty
        }
    }

    fn key(&self) -> Key {
        Key(Arc::from(self.bytes()))
    }
}

/// The parts of a key, in order.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next part as text, where it is of this kind.
    fn next(&mut self, kind: u8) -> Option<&'a str> {
        let (length, rest) = self.0.strip_prefix(&[kind])?.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        std::str::from_utf8(part).ok()
    }
}

/// Builds the key of a request. `no_vary_search` is what the origin last said about this path.
pub fn keyed(rules: &KeyRules, head: &RequestHead, no_vary_search: Option<&NoVarySearch>) -> Keyed {
    let scheme = lower(&head.scheme);
    let authority = canonical(&scheme, &head.authority);
    let kept_query = head.query().and_then(|query| kept_query(rules, query));
    let forward_target = forwarded_target(head, kept_query.as_deref());
    let keyed_query: Option<Cow<'_, str>> = match (&kept_query, no_vary_search) {
        // What some read as `&` may hide a parameter that matters behind one that does not.
        (Some(query), Some(rule)) if !query.contains([';', '?']) => {
            Some(rule.apply(query)).filter(|left| !left.is_empty()).map(Cow::Owned)
        }
        (query, _) => query.as_deref().map(Cow::Borrowed),
    };

    let mut parts = Parts::new();
    parts.push(SCHEME, scheme.as_bytes());
    parts.push(AUTHORITY, authority.as_bytes());
    parts.push(PATH, head.path().as_bytes());
    let path_bytes = parts.bytes().len();
    if let Some(query) = &keyed_query {
        parts.push(QUERY, query.as_bytes());
    }
    let url_bytes = parts.bytes().len();

    let mut covers = Vec::new();
    let mut forward_fields = Vec::new();
    if let Some(codings) = &rules.accept_encoding {
        let chosen = accept::choose_encodings(head.fields.all("accept-encoding"), codings);
        parts.push_named(b'h', "accept-encoding", Some(chosen.as_bytes()));
        forward_fields.push(("accept-encoding".to_owned(), chosen.into_bytes()));
        covers.push("accept-encoding".to_owned());
    }
    if let Some(languages) = &rules.accept_language {
        let chosen = accept::choose_language(head.fields.all("accept-language"), languages);
        parts.push_named(b'h', "accept-language", Some(chosen.as_bytes()));
        forward_fields.push(("accept-language".to_owned(), chosen.into_bytes()));
        covers.push("accept-language".to_owned());
    }
    for name in &rules.headers {
        let value = head.fields.has(name).then(|| accept::canonical(name, head.fields.all(name)));
        parts.push_named(b'h', name, value.as_deref());
        covers.push(name.clone());
    }
    if let Some(proto) = pretended_scheme(&scheme, head) {
        parts.push_named(b'f', FORWARDED_PROTO, Some(&proto));
    }
    if !rules.cookies.is_empty() || !rules.user.is_empty() {
        push_cookies_and_user(rules, head, &mut parts);
    }

    Keyed {
        key: parts.key(),
        name: OnceLock::new(),
        path_bytes,
        url_bytes,
        forward_target,
        forward_fields,
        covers,
        names_user: names_user(rules, head),
    }
}

const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// What a request says of its scheme to the application, where that is another one than the key has. A proxy in front sends it
/// with each request, so it is told apart and not refused.
fn pretended_scheme(scheme: &str, head: &RequestHead) -> Option<Vec<u8>> {
    let mut lines = head.fields.all(FORWARDED_PROTO);
    let first = lines.next()?;
    let agrees = first.eq_ignore_ascii_case(scheme.as_bytes()) && lines.next().is_none();
    if agrees { None } else { head.fields.joined(FORWARDED_PROTO) }
}

fn push_cookies_and_user(rules: &KeyRules, head: &RequestHead, parts: &mut Parts) {
    for name in &rules.cookies {
        parts.push_named(b'c', name, cookie::values(&head.fields, name).as_deref());
    }
    for part in &rules.user {
        // A credential never stands in a key as such: keys are logged and listed.
        let digest = user_value(part, head).map(|value| Sha256::digest(&value));
        let name = match part {
            UserPart::Authorization => "authorization",
            UserPart::Cookie(name) | UserPart::Header(name) => name,
        };
        parts.push_named(b'u', name, digest.as_ref().map(|digest| digest.as_slice()));
    }
}

/// Whether a key tells users apart by something this request carries.
pub fn names_user(rules: &KeyRules, head: &RequestHead) -> bool {
    rules.user.iter().any(|part| user_value(part, head).is_some())
}

/// The value of a user part in this request.
fn user_value(part: &UserPart, head: &RequestHead) -> Option<Vec<u8>> {
    match part {
        UserPart::Authorization => head.fields.joined("authorization"),
        UserPart::Header(name) => head.fields.joined(name),
        UserPart::Cookie(name) => cookie::values(&head.fields, name),
    }
}

/// Host in lower case, without the scheme's default port.
pub fn canonical_authority(scheme: &str, authority: &str) -> String {
    canonical(scheme, authority).into_owned()
}

fn canonical<'a>(scheme: &str, authority: &'a str) -> Cow<'a, str> {
    let default = if scheme == "https" { ":443" } else { ":80" };
    lower(authority.strip_suffix(default).unwrap_or(authority))
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_ascii_lowercase()) }
}

/// A URL as entries carry it: scheme and host in lower case, no default port, no fragment, a path.
///
/// # Errors
/// What is wrong with it.
pub fn canonical_url(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("{text:?} is not a URL to purge: {why}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad("write http://host/path or https://host/path");
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return bad("write http:// or https://");
    }
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.is_empty() {
        return bad("it has no host");
    }
    if rest.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return bad("it has spaces or control characters");
    }
    let authority = canonical_authority(&scheme, authority);
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(format!("{scheme}://{authority}{slash}{target}"))
}

/// An absolute URL from canonical parts.
pub fn url(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> String {
    // Kept with each entry: in memory of just that length.
    match query {
        Some(query) => [scheme, "://", authority, path, "?", query].concat(),
        None => [scheme, "://", authority, path].concat(),
    }
}

fn kept_query<'a>(rules: &KeyRules, query: &'a str) -> Option<Cow<'a, str>> {
    let name_of = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    let listed = |list: &[String], name: &str| list.iter().any(|p| cookie::name_matches(p, name.as_bytes()));
    let mut pairs: Vec<&str> = match &rules.query {
        QueryRule::None => return None,
        QueryRule::All if !rules.sort_query => return Some(Cow::Borrowed(query)),
        QueryRule::All => query.split('&').collect(),
        QueryRule::Allow(list) => query.split('&').filter(|pair| listed(list, &name_of(pair))).collect(),
        QueryRule::Deny(list) => query.split('&').filter(|pair| !listed(list, &name_of(pair))).collect(),
    };
    if rules.sort_query {
        pairs.sort_by_key(|pair| name_of(pair)); // stable: repeated names keep their order
    }
    let kept = pairs.join("&");
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}

fn forwarded_target(head: &RequestHead, kept: Option<&str>) -> Option<String> {
    match kept {
        kept if kept == head.query() => None,
        Some(query) => Some(format!("{}?{query}", head.path())),
        None => Some(head.path().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn rules() -> KeyRules {
        KeyRules {
            query: QueryRule::All,
            sort_query: false,
            no_vary_search: true,
            headers: vec![],
            cookies: vec![],
            accept_encoding: None,
            accept_language: None,
            user: vec![],
        }
    }

    fn head(authority: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
        RequestHead {
            method: "GET".into(),
            scheme: "http".into(),
            authority: authority.into(),
            target: target.into(),
            fields: Fields::from_pairs(fields.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()))),
            has_body: false,
        }
    }

    #[test]
    fn host_port_scheme_path_and_query_tell_requests_apart() {
        let base = keyed(&rules(), &head("a.example", "/x?y=1", &[]), None);
        for other in [
            head("b.example", "/x?y=1", &[]),
            head("a.example:8080", "/x?y=1", &[]),
            head("a.example", "/x?y=2", &[]),
            head("a.example", "/x", &[]),
            head("a.example", "/x?", &[]),
            head("a.example", "/X?y=1", &[]),
            RequestHead { scheme: "https".into(), ..head("a.example", "/x?y=1", &[]) },
        ] {
            assert_ne!(base.key, keyed(&rules(), &other, None).key, "{other:?}");
        }
        let same = keyed(&rules(), &head("A.Example:80", "/x?y=1", &[]), None);
        assert_eq!(base.key, same.key, "case and the default port do not matter");
        assert_eq!(base.url(), "http://a.example/x?y=1");
    }

    #[test]
    fn a_part_cannot_run_into_the_next() {
        let rules = KeyRules { headers: vec!["x-a".into(), "x-b".into()], ..rules() };
        let one = keyed(&rules, &head("h", "/", &[("x-a", "1"), ("x-b", "2")]), None);
        let two = keyed(&rules, &head("h", "/", &[("x-a", "1=\x01\0\0\x002h")]), None);
        let empty = keyed(&rules, &head("h", "/", &[("x-a", ""), ("x-b", "")]), None);
        let absent = keyed(&rules, &head("h", "/", &[]), None);
        assert_ne!(one.key, two.key);
        assert_ne!(empty.key, absent.key);
    }

    #[test]
    fn the_url_and_the_path_are_what_the_key_begins_with() {
        let long = format!("/{}", "x".repeat(3 * SHORT));
        let rules = KeyRules { headers: vec!["x-a".into()], ..rules() };
        for target in ["/", "/a?", "/a?b=c", "/ä?q", long.as_str(), &format!("{long}?{long}")] {
            let seen = keyed(&rules, &head("H.example:80", target, &[("x-a", "q")]), None);
            assert_eq!(seen.url(), format!("http://h.example{target}"));
            let path = target.split('?').next().unwrap_or_default();
            let alone = keyed(&rules, &head("h.example", path, &[]), None);
            assert_eq!(seen.path_key(), alone.path_key());
            assert!(
                seen.key.as_bytes().starts_with(seen.path_key()) && seen.key.as_bytes().len() > seen.path_key().len()
            );
        }
    }

    #[test]
    fn what_the_key_leaves_out_is_not_forwarded() {
        let deny = KeyRules { query: QueryRule::Deny(vec!["utm_*".into()]), ..rules() };
        let seen = keyed(&deny, &head("h", "/p?b=2&utm_source=x&a=1", &[]), None);
        assert_eq!(seen.forward_target.as_deref(), Some("/p?b=2&a=1"));
        assert_eq!(seen.key, keyed(&deny, &head("h", "/p?b=2&a=1", &[]), None).key);

        let sorted = KeyRules { sort_query: true, query: QueryRule::Allow(vec!["a".into(), "b".into()]), ..rules() };
        let seen = keyed(&sorted, &head("h", "/p?b=2&a=1&c=3&a=0", &[]), None);
        assert_eq!(seen.forward_target.as_deref(), Some("/p?a=1&a=0&b=2"));

        let none = KeyRules { query: QueryRule::None, ..rules() };
        assert_eq!(keyed(&none, &head("h", "/p?x", &[]), None).forward_target.as_deref(), Some("/p"));
        assert_eq!(keyed(&rules(), &head("h", "/p?x", &[]), None).forward_target, None);
    }

    #[test]
    fn a_scheme_that_is_pretended_to_the_application_is_another_key() {
        let plain = keyed(&rules(), &head("h", "/", &[]), None);
        let agrees = keyed(&rules(), &head("h", "/", &[("x-forwarded-proto", "HTTP")]), None);
        let other = keyed(&rules(), &head("h", "/", &[("x-forwarded-proto", "https")]), None);
        let both =
            keyed(&rules(), &head("h", "/", &[("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")]), None);
        assert_eq!(plain.key, agrees.key);
        assert!(plain.key != other.key && plain.key != both.key && other.key != both.key);
        assert_eq!((other.url(), other.url_part()), (plain.url(), plain.url_part()), "purges speak of both");
    }

    #[test]
    fn what_no_vary_search_leaves_out_hides_no_other_parameter() {
        let rule = NoVarySearch::parse(b"params=(\"utm\")").expect("a rule");
        let key = |target| keyed(&rules(), &head("h", target, &[]), Some(&rule)).key;
        assert_eq!(key("/p?id=1&utm=x"), key("/p?id=1"));
        for cloaked in ["/p?id=1&utm=x;id=2", "/p?id=1&utm=x?id=2"] {
            assert_ne!(key(cloaked), key("/p?id=1"), "{cloaked}");
        }
    }

    #[test]
    fn users_are_told_apart_without_their_credentials_in_the_key() {
        let rules = KeyRules { user: vec![UserPart::Authorization, UserPart::Cookie("sid".into())], ..rules() };
        let alice = keyed(&rules, &head("h", "/", &[("authorization", "Bearer alice-secret")]), None);
        let bob = keyed(&rules, &head("h", "/", &[("cookie", "sid=alice-secret")]), None);
        let nobody = keyed(&rules, &head("h", "/", &[]), None);
        assert!(alice.names_user && bob.names_user && !nobody.names_user);
        assert_ne!(alice.key, bob.key);
        assert!(!alice.key.as_bytes().windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn urls_become_as_entries_carry_them() {
        for (text, want) in [
            ("http://h/a?b", Some("http://h/a?b")),
            ("HTTP://H.Example:80/A", Some("http://h.example/A")),
            ("https://h:443", Some("https://h/")),
            ("https://h:80?q", Some("https://h:80/?q")),
            ("http://h/a#b", Some("http://h/a")),
            ("/a", None),
            ("ftp://h/a", None),
            ("http:///a", None),
            ("http://h/a b", None),
        ] {
            assert_eq!(canonical_url(text).ok().as_deref(), want, "{text}");
        }
    }
}
