//! Paths: the templates of routes, and the segments of requests.
//!
//! Decides which paths could be read differently by a proxy, Larder and an origin ([`Path::suspicious`]): a request
//! with such a path must not use the cache, or it could fill or read another class's entries. Segments are compared
//! percent-decoded, so that `/v1/%61ccount` is never matched by less than what the origin will answer it with.

use std::borrow::Cow;
use std::fmt;

use super::errors::Problem;
use super::spanned::Quoted;
use super::template::is_param_name;

/// Longest template.
const TEXT_BYTES_MAX: usize = 1024;
/// Most segments in a template.
pub(crate) const SEGMENTS_MAX: usize = 32;

/// A route's path: `/v1/products/{id}`, `/assets/{*rest}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// These bytes, percent-decoded.
    Literal(Vec<u8>),
    /// Any one segment.
    Param(String),
    /// Any number of segments, none included; the last one only.
    Rest(String),
}

impl PathTemplate {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |message: &str| Err(Problem::new(message).found(Quoted(text).to_string()));
        if !text.starts_with('/') {
            return Err(Problem::default().nearest(text.starts_with(char::is_alphanumeric).then(|| format!("/{text}"))));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(Problem::expected(format!("at most {TEXT_BYTES_MAX} characters")));
        }
        if text.contains(['?', '#']) {
            return wrong("a path has no query and no fragment (see key.query)");
        }
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let inner = text.strip_prefix('/').unwrap_or_default();
        if inner.is_empty() {
            return Ok(Self { text: text.to_owned(), segments });
        }
        for part in inner.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return wrong("nothing can follow `{*...}`");
            }
            let braced = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
            let segment = match braced {
                Some(name) => {
                    let (name, rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
                    if !is_param_name(name) {
                        let expected = "a parameter's name in the braces: letters, digits and `_`";
                        return Err(Problem::expected(expected).found(Quoted(name).to_string()));
                    }
                    if names.contains(&name) {
                        return wrong("two parameters of the same name");
                    }
                    names.push(name);
                    if rest { Segment::Rest(name.to_owned()) } else { Segment::Param(name.to_owned()) }
                }
                None if part.contains(['{', '}']) => {
                    return wrong("a parameter is a whole segment: `/{name}/` or `/{*name}` at the end");
                }
                None if part.contains('*') => {
                    return Err(Problem::new("`*` is no wildcard in a path")
                        .nearest((part == "*").then(|| format!("{}{{*rest}}", text.trim_end_matches('*')))));
                }
                None if part.starts_with(':') => {
                    return Err(Problem::new("parameters are written in braces")
                        .nearest(Some(text.replace(part, &format!("{{{}}}", part.trim_start_matches(':'))))));
                }
                None => Segment::Literal(decoded(part.as_bytes()).into_owned()),
            };
            segments.push(segment);
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(Problem::expected(format!("at most {SEGMENTS_MAX} segments")));
        }
        if text.ends_with('/') {
            return Err(Problem::new("a trailing slash makes no difference: a route without it matches both")
                .nearest(Some(text.trim_end_matches('/')).filter(|t| !t.is_empty())));
        }
        // What a request must not have cannot be matched either.
        let plain = text.replace(['{', '}', '*'], "");
        if Path::split(&plain, 0).suspicious {
            return wrong(
                "no request with such a path is ever cached (empty or dot segments, `;`, needless or odd encodings)",
            );
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of the parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A request's path, split.
pub(crate) struct Path<'a> {
    raw: &'a str,
    /// The first segments, as many as were asked for, percent-decoded, with where each begins in `raw`.
    segments: Vec<(usize, Cow<'a, [u8]>)>,
    /// Whether there are more segments.
    pub more: bool,
    /// Whether somebody on the way could read the path differently.
    pub suspicious: bool,
}

impl<'a> Path<'a> {
    /// Splits a path without its query into up to `most` segments. One trailing slash is ignored.
    pub fn split(raw: &'a str, most: usize) -> Self {
        let mut path = Self { raw, segments: Vec::with_capacity(most.min(8)), more: false, suspicious: is_odd(raw) };
        let Some(inner) = raw.strip_prefix('/') else { return path };
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return path;
        }
        let mut at = 1;
        for part in inner.as_bytes().split(|byte| *byte == b'/') {
            if path.segments.len() == most {
                path.more = true;
                break;
            }
            path.segments.push((at, decoded(part)));
            at += part.len() + 1;
        }
        path
    }

    /// Number of segments that were split off.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// A segment, percent-decoded.
    pub fn segment(&self, index: usize) -> Option<&[u8]> {
        self.segments.get(index).map(|(_, segment)| segment.as_ref())
    }

    /// A segment as received.
    pub fn raw_segment(&self, index: usize) -> &'a str {
        self.raw_rest(index).split('/').next().unwrap_or_default()
    }

    /// The path from a segment on, as received.
    pub fn raw_rest(&self, index: usize) -> &'a str {
        let at = self.segments.get(index).map_or(self.raw.len(), |(at, _)| *at);
        self.raw.get(at..).unwrap_or_default()
    }
}

/// Whether `byte` is unreserved (RFC 3986 2.3): encoding it changes nothing (6.2.2.2), so nobody does it in good faith.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `text` percent-decoded once; what is no proper encoding stays as it is.
pub(crate) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        match encoded_byte(rest) {
            Some(plain) => {
                out.push(plain);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

/// The byte that a `%XX` at the beginning of `text` stands for.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let hex = |digit: u8| (digit as char).to_digit(16);
    match text {
        [b'%', high, low, ..] => u8::try_from(hex(*high)? << 4 | hex(*low)?).ok(),
        _ => None,
    }
}

/// Whether a path could be read differently by somebody on the way: no leading slash, empty or dot segments, path parameters
/// (`;`), backslashes, controls, blanks, fragments; encodings of these and of slashes, needless ones (of unreserved
/// characters), double ones, broken ones, and those of what is no UTF-8.
fn is_odd(raw: &str) -> bool {
    if !raw.starts_with('/') {
        return true;
    }
    let (mut before, mut dotted, mut encoded) = (0, false, false);
    for byte in raw.bytes() {
        let odd_byte = byte <= b' ' || matches!(byte, b'\\' | b';' | b'#' | 0x7f);
        // Only the very last segment may be empty: a trailing slash.
        if odd_byte || (before == b'/' && byte == b'/') {
            return true;
        }
        dotted |= before == b'/' && byte == b'.';
        encoded |= byte == b'%';
        before = byte;
    }
    if dotted && raw.split('/').any(|segment| matches!(segment, "." | "..")) {
        return true;
    }
    encoded && (has_odd_encoding(raw.as_bytes()) || std::str::from_utf8(&decoded(raw.as_bytes())).is_err())
}

fn has_odd_encoding(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        rest = rest.get(at..).unwrap_or_default();
        let Some(plain) = encoded_byte(rest) else { return true };
        rest = rest.get(3..).unwrap_or_default();
        let digits = rest.iter().take(2).filter(|b| b.is_ascii_hexdigit()).count();
        let twice = plain == b'%' && digits == 2;
        if twice || plain < b' ' || is_unreserved(plain) || matches!(plain, b'/' | b'\\' | b';' | 0x7f) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn odd_paths_are_told_from_plain_ones() {
        for plain in [
            "/",
            "/a",
            "/a/",
            "/a/b.json",
            "/a%20b",
            "/caf%C3%A9",
            "/café",
            "/a:b@c,d+e=f!$&'()*",
            "/a%3Ab",
            "/a%40b",
            "/.well-known/x",
            "/...",
            "/a..b",
            "/100%25",
            "/a%3Fb",
            "/~user",
            "/%25zz",
            "/a%2Cb",
        ] {
            assert!(!Path::split(plain, 8).suspicious, "{plain}");
        }
        for odd in [
            "",
            "*",
            "a",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/a;b",
            "/a;",
            "/a\\b",
            "/a b",
            "/a\tb",
            "/a\u{7f}",
            "/a#b",
            "/%2f",
            "/%2F",
            "/%5c",
            "/%2e%2e",
            "/.%2e",
            "/%61",
            "/%7E",
            "/%3b",
            "/%00",
            "/%0a",
            "/%7f",
            "/%",
            "/%4",
            "/%zz",
            "/a%2",
            "/%252f",
            "/%2561",
            "/%c0%af",
            "/%ff",
            "/%80",
            "http://a/b",
        ] {
            assert!(Path::split(odd, 8).suspicious, "{odd}");
        }
    }

    #[test]
    fn segments_are_decoded_and_kept_raw() {
        let path = Path::split("/v1/a%40b/c%20d/e/", 3);
        assert_eq!((path.len(), path.more), (3, true));
        assert_eq!(path.segment(1), Some(&b"a@b"[..]));
        assert_eq!(path.raw_segment(1), "a%40b");
        assert_eq!(path.raw_rest(2), "c%20d/e/");
        assert_eq!(path.raw_rest(3), "");
        assert_eq!(Path::split("/", 3).len(), 0);
        assert_eq!(Path::split("/a/", 3).len(), 1);
    }

    #[test]
    fn templates_are_parsed() {
        let template = PathTemplate::parse("/v1/{shop}/caf%C3%A9/{*rest}").unwrap();
        assert_eq!(
            template.segments(),
            [
                Segment::Literal(b"v1".to_vec()),
                Segment::Param("shop".into()),
                Segment::Literal("café".into()),
                Segment::Rest("rest".into())
            ]
        );
        assert_eq!(template.params().collect::<Vec<_>>(), ["shop", "rest"]);
        assert!(PathTemplate::parse("/").unwrap().segments().is_empty());
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "", "v1", "/a/", "/a//b", "/a?b", "/a#b", "/{a", "/a}", "/{}", "/{a}b", "/x{a}", "/{*a}/b", "/{a}/{a}",
            "/*", "/a/*", "/:id", "/a b", "/..", "/a/./b", "/%2f", "/%61", "/a;b", "/{a-b}", "/{**a}", "/\u{0}",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
        assert_eq!(PathTemplate::parse("/a/*").unwrap_err().nearest.as_deref(), Some("/a/{*rest}"));
        assert_eq!(PathTemplate::parse("/a/:id").unwrap_err().nearest.as_deref(), Some("/a/{id}"));
        assert!(PathTemplate::parse(&"/a".repeat(33)).is_err());
    }
}
