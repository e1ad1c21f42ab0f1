//! Fields that belong to one connection (RFC 9110 7.6.1) and bytes that belong into no field.
//!
//! Such fields are neither stored nor taken over from a 304.

use super::syntax::{is_token, lower_token, members};
use crate::fields::{Field, Fields};

/// Takes out `Connection`, what it nominates, and the fields that are of the connection by definition.
///
/// RFC 9110 7.6.1 forbids nominating fields meant for all recipients. A sender that does so all the same would have
/// us forget, say, `Cache-Control: no-store` or `Vary`: nominations of fields that caching, identity or the meaning
/// of the content depend on have no effect.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    let nominated = nominated(fields);
    fields.retain(|line| !HOP_BY_HOP.contains(&line.name.as_str()) && !nominated.iter().any(|name| line.name == *name));
}

/// Lower-case names that `Connection` rightly nominates.
pub(crate) fn nominated(fields: &Fields) -> Vec<String> {
    let names = fields.all("connection").flat_map(members).filter_map(lower_token);
    names.filter(|name| !is_end_to_end(name)).collect()
}

/// Whether the field named (lower case) is of the connection by definition.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

/// Whether `value` can stand in a field (RFC 9110 5.5: no CR, LF or NUL).
pub fn is_clean(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'))
}

/// Whether a line can stand in a head: its name is a token (RFC 9110 5.1), its value clean.
pub(crate) fn is_line(line: &Field) -> bool {
    is_token(line.name.as_bytes()) && is_clean(&line.value)
}

/// `Proxy-Status` (RFC 9209) is not among them: it is meant for the client.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_end_to_end(name: &str) -> bool {
    const NAMES: [&str; 22] = [
        "age",
        "authorization",
        "cache-control",
        "cache-groups",
        "cache-group-invalidation",
        "cache-tag",
        "clear-site-data",
        "cookie",
        "date",
        "etag",
        "expires",
        "host",
        "last-modified",
        "location",
        "no-vary-search",
        "pragma",
        "range",
        "set-cookie",
        "surrogate-control",
        "surrogate-key",
        "vary",
        "www-authenticate",
    ];
    const PREFIXES: [&str; 3] = ["content-", "if-", "access-control-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("-cache-control")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn stripped(lines: &[(&str, &str)]) -> Vec<String> {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        strip_hop_by_hop(&mut fields);
        fields.iter().map(|line| line.name.to_string()).collect()
    }

    #[test]
    fn connection_takes_what_it_nominates_along() {
        assert_eq!(stripped(&[("Connection", "a, B"), ("a", "1"), ("b", "2"), ("c", "3")]), ["c"]);
        assert_eq!(stripped(&[("Connection", "a"), ("Connection", "close,b"), ("a", "1"), ("b", "2")]), [""; 0]);
    }

    #[test]
    fn fields_of_the_connection_go_without_being_nominated() {
        for name in HOP_BY_HOP {
            assert_eq!(stripped(&[(name, "x"), ("x-kept", "1")]), ["x-kept"], "{name}");
        }
        assert_eq!(stripped(&[("proxy-status", "a")]), ["proxy-status"]);
    }

    #[test]
    fn fields_that_safety_depends_on_cannot_be_nominated_away() {
        for name in ["Cache-Control", "Vary", "Set-Cookie", "Content-Encoding", "CDN-Cache-Control", "If-None-Match"] {
            assert_eq!(stripped(&[("connection", name), (name, "x")]), [name.to_ascii_lowercase()], "{name}");
        }
    }

    #[test]
    fn stripping_twice_is_stripping_once_for_any_bytes() {
        hostile::each_fields(&["connection", "a", "vary", "te", "gzip", "de", "br"], 3_000, |fields| {
            let mut once = fields.clone();
            strip_hop_by_hop(&mut once);
            let mut twice = once.clone();
            strip_hop_by_hop(&mut twice);
            assert_eq!(once, twice);
            assert_eq!(once.all("vary").count(), fields.all("vary").count());
        });
    }

    #[test]
    fn values_with_line_breaks_or_nul_are_not_clean() {
        assert!(is_clean(b"a \t\xff\x01") && is_clean(b""));
        for value in [b"a\rb".as_slice(), b"\n", b"a\0"] {
            assert!(!is_clean(value));
        }
    }
}
