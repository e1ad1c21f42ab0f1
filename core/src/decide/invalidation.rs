//! What a successful unsafe request invalidates (RFC 9111 4.4).
//!
//! Names URLs only. What else goes by a policy's rules or by cache groups is for callers.

use crate::field::hop::is_clean;
use crate::fields::{RequestHead, ResponseHead};

/// A URL whose stored responses are to be invalidated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UrlKey {
    /// The request's scheme.
    pub scheme: String,
    /// The request's authority, as received.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

/// Whether a method may change state. RFC 9110 9.2.1 calls four methods safe; one that is not known may do anything.
pub fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// The request's own URL, and those that `Location` and `Content-Location` name where they have the same origin. None
/// where the method is safe or the response an error.
pub fn targets(request: &RequestHead, response: &ResponseHead) -> Vec<UrlKey> {
    // RFC 9111 4.4: "a non-error response is one with a 2xx (Successful) or 3xx (Redirection) status code".
    if !is_unsafe(&request.method) || !(200..400).contains(&response.status) {
        return Vec::new();
    }
    let mut targets = vec![request.target.clone()];
    for name in ["location", "content-location"] {
        for value in response.fields.all(name) {
            if let Some(target) = resolve(request, value).filter(|target| !targets.contains(target)) {
                targets.push(target);
            }
        }
    }
    let key = |target| UrlKey { scheme: request.scheme.clone(), authority: request.authority.clone(), target };
    targets.into_iter().map(key).collect()
}

/// Whether a response says that it is the content of the URL that was asked for: its `Content-Location` is that URL.
pub fn is_content_of_target(request: &RequestHead, response: &ResponseHead) -> bool {
    let mut lines = response.fields.all("content-location");
    match (lines.next(), lines.next()) {
        (Some(only), None) if !only.trim_ascii().is_empty() => {
            resolve(request, only).as_deref() == Some(request.target.as_str())
        }
        _ => false,
    }
}

/// Path and query that a reference means (RFC 3986 5.2); `None` where it is not of the request's origin or cannot be
/// read. Only the same origin: otherwise anyone could have anyone's entries thrown out.
fn resolve(request: &RequestHead, reference: &[u8]) -> Option<String> {
    let reference = std::str::from_utf8(reference).ok().filter(|text| is_clean(text.as_bytes()))?.trim_ascii();
    let reference = reference.split('#').next().unwrap_or_default();
    let reference = match scheme_of(reference) {
        Some((scheme, rest)) => {
            let same_scheme = scheme.eq_ignore_ascii_case(&request.scheme);
            (same_scheme && rest.starts_with("//")).then_some(rest)?
        }
        None => reference,
    };
    match reference.strip_prefix("//") {
        Some(rest) => resolve_absolute(request, rest),
        None => Some(resolve_relative(request, reference)),
    }
}

/// What follows `//`.
fn resolve_absolute(request: &RequestHead, rest: &str) -> Option<String> {
    let (authority, target) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    let named = without_default_port(&request.scheme, authority);
    if !named.eq_ignore_ascii_case(without_default_port(&request.scheme, &request.authority)) {
        return None;
    }
    let (path, query) = parted(target);
    Some(target_of(if path.is_empty() { "/" } else { path }, query))
}

fn resolve_relative(request: &RequestHead, reference: &str) -> String {
    let base = request.path();
    match parted(reference) {
        ("", None) => request.target.clone(),
        ("", query) => joined(base, query),
        (path, query) if path.starts_with('/') => target_of(path, query),
        (path, query) => {
            let folder = base.rfind('/').and_then(|at| base.get(..=at)).unwrap_or("/");
            target_of(&format!("{folder}{path}"), query)
        }
    }
}

/// RFC 3986 3.1: scheme and what follows its colon; `None` for a relative reference.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(fits))
        .then_some((scheme, rest))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(default).or_else(|| authority.strip_suffix(':')).unwrap_or(authority)
}

fn parted(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

fn target_of(path: &str, query: Option<&str>) -> String {
    joined(&without_dot_segments(path), query)
}

fn joined(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// RFC 3986 5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    use crate::fields::Fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn head(method: &str, target: &str) -> RequestHead {
        RequestHead {
            method: method.into(),
            scheme: "https".into(),
            authority: "Shop.example".into(),
            target: target.into(),
            ..RequestHead::default()
        }
    }

    fn invalidated(method: &str, status: u16, lines: &[(&str, &str)]) -> Vec<String> {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        let response = ResponseHead { status, fields, ..ResponseHead::default() };
        targets(&head(method, "/v1/products/7?x=1"), &response).into_iter().map(|url| url.target).collect()
    }

    #[test]
    fn unknown_methods_are_unsafe() {
        for (method, want) in [
            ("GET", false),
            ("HEAD", false),
            ("OPTIONS", false),
            ("TRACE", false),
            ("POST", true),
            ("PUT", true),
            ("PATCH", true),
            ("DELETE", true),
            ("M-SEARCH", true),
            ("get", true),
            ("", true),
        ] {
            assert_eq!(is_unsafe(method), want, "{method}");
        }
    }

    #[test]
    fn successful_unsafe_requests_invalidate_their_own_url() {
        let own = "/v1/products/7?x=1";
        for (method, status, want) in [
            ("POST", 200, &[own][..]),
            ("PUT", 204, &[own]),
            ("M-SEARCH", 303, &[own]),
            ("POST", 100, &[]),
            ("POST", 404, &[]),
            ("POST", 500, &[]),
            ("GET", 200, &[]),
        ] {
            assert_eq!(invalidated(method, status, &[]), want, "{method} {status}");
        }
    }

    #[test]
    fn rfc_3986_5_2_references_are_resolved_within_the_origin() {
        let own = "/v1/products/7?x=1";
        for (reference, want) in [
            ("https://shop.example/a", Some("/a")),
            ("HTTPS://SHOP.EXAMPLE:443/a?b#c", Some("/a?b")),
            ("https://shop.example", Some("/")),
            ("https://shop.example?q", Some("/?q")),
            ("//shop.example/a/../b", Some("/b")),
            ("/a/./b/../c", Some("/a/c")),
            ("/../../a", Some("/a")),
            ("/a/..", Some("/")),
            ("/a/.", Some("/a/")),
            ("/a//b", Some("/a//b")),
            ("8", Some("/v1/products/8")),
            ("./8?y", Some("/v1/products/8?y")),
            ("../users/1", Some("/v1/users/1")),
            ("../../../../x", Some("/x")),
            ("?y=2", Some("/v1/products/7?y=2")),
            ("#there", None),
            ("", None),
            (" /a ", Some("/a")),
            // Not of the same origin, or not to be read.
            ("http://shop.example/a", None),
            ("https://other.example/a", None),
            ("https://shop.example:8443/a", None),
            ("https://user@shop.example/a", None),
            ("https://shop.example.evil/a", None),
            ("https:/a", None),
            ("mailto:a@b", None),
            ("//", None),
            ("/a\r\nb", None),
        ] {
            let want: Vec<&str> = [own].into_iter().chain(want).collect();
            assert_eq!(invalidated("POST", 201, &[("location", reference)]), want, "{reference}");
            assert_eq!(invalidated("POST", 201, &[("content-location", reference)]), want, "{reference}");
        }
        let both = [("location", "/a"), ("content-location", "/b"), ("location", "/a")];
        assert_eq!(invalidated("DELETE", 200, &both), [own, "/a", "/b"]);
    }

    #[test]
    fn a_response_may_say_that_it_is_the_content_of_its_url() {
        for (lines, want) in [
            (&["/v1/products/7?x=1"][..], true),
            (&["https://shop.example/v1/products/7?x=1"], true),
            (&["?x=1"], true),
            (&["/v1/products/7"], false),
            (&["https://other.example/v1/products/7?x=1"], false),
            (&["/v1/products/7?x=1", "/v1/products/7?x=1"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("content-location", *line));
            let response = ResponseHead { status: 200, fields, ..ResponseHead::default() };
            assert_eq!(is_content_of_target(&head("POST", "/v1/products/7?x=1"), &response), want, "{lines:?}");
        }
    }

    #[test]
    fn keys_carry_the_requests_own_scheme_and_authority() {
        let mut fields = Fields::new();
        fields.add("location", "https://shop.EXAMPLE:443/a");
        let urls = targets(&head("POST", "/b"), &ResponseHead { status: 200, fields, ..ResponseHead::default() });
        assert!(urls.iter().all(|url| url.scheme == "https" && url.authority == "Shop.example"), "{urls:?}");
    }

    #[test]
    fn targets_begin_with_a_slash_for_any_bytes() {
        hostile::each_fields(&["location", "content-location"], 4_000, |fields| {
            let response = ResponseHead { status: 200, fields: fields.clone(), ..ResponseHead::default() };
            for url in targets(&head("POST", "/a/b?c"), &response) {
                assert!(url.target.starts_with('/') && is_clean(url.target.as_bytes()), "{url:?}");
            }
        });
    }
}
