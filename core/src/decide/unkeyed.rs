//! Input that origins are known to answer by, but that no key carries: the raw material of cache poisoning.
//!
//! A response to such a request is not stored unless the key covers the field. Reading from the cache stays allowed:
//! what is stored came from clean requests. An error that follows an odd request is never stored, whatever the policy
//! says (CPDoS): the next, ordinary request might not have got it.

use crate::field::hop;
use crate::fields::{Name, RequestHead};

/// Fields by which clients pretend another host, scheme, path or method.
const PRETENDING: [&str; 25] = [
    "forwarded",
    "front-end-https",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-path",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-host-override",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-original-forwarded-host",
    "x-proxy-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-scheme",
    "x-url-scheme",
];

/// A single value longer than this is odd: origins answer 400 or 431 to such.
const VALUE_BYTES_MAX: usize = 4096;
/// So is a head longer than this.
const HEAD_BYTES_MAX: usize = 12 * 1024;

/// The field of a request that its response may depend on though the key does not cover it.
pub fn unkeyed(request: &RequestHead, covers: &[String]) -> Option<Name> {
    request
        .fields
        .iter()
        .find(|line| PRETENDING.contains(&line.name.as_str()) && !covers.iter().any(|name| line.name == *name))
        .map(|line| line.name.clone())
}

/// Whether an error in answer to this request may be the request's own fault.
pub fn is_odd(request: &RequestHead) -> bool {
    let odd_name = |name: &str| {
        matches!(name, "range" | "if-range" | "expect" | "upgrade" | "content-encoding" | "transfer-encoding")
            || PRETENDING.contains(&name)
    };
    request.fields.bytes() + request.target.len() > HEAD_BYTES_MAX
        || request.fields.iter().any(|line| {
            odd_name(&line.name)
                || line.value.len() > VALUE_BYTES_MAX
                || !hop::is_clean(&line.value)
                || line.value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
        })
}

/// Whether an error is about how a resource was asked for, or by whom, rather than about the resource (RFC 9110 15.5, RFC 6585):
/// a value that a server refuses, of whatever field, provokes it. Those that the method and the target alone decide are not meant.
pub const fn is_about_the_request(status: u16) -> bool {
    matches!(status, 400..=403 | 406..=408 | 411..=413 | 415..=417 | 421 | 422 | 425 | 426 | 428 | 429 | 431)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn request(name: &str, value: &str) -> RequestHead {
        let fields = Fields::from_pairs([(name.to_owned(), value.as_bytes().to_vec())]);
        RequestHead { method: "GET".into(), target: "/".into(), fields, ..RequestHead::default() }
    }

    #[test]
    fn pretended_hosts_are_unkeyed_unless_the_key_covers_them() {
        let head = request("x-forwarded-host", "evil.example");
        assert_eq!(unkeyed(&head, &[]).as_deref(), Some("x-forwarded-host"));
        assert_eq!(unkeyed(&head, &["x-forwarded-host".into()]), None);
        assert_eq!(unkeyed(&request("accept", "*/*"), &[]), None);
    }

    #[test]
    fn requests_that_provoke_errors_are_odd() {
        for (name, value) in [("x", "a\u{7}b"), ("range", "bytes=x"), ("x-big", &"a".repeat(5000)), ("expect", "1")] {
            assert!(is_odd(&request(name, value)), "{name}");
        }
        assert!(!is_odd(&request("user-agent", "curl\t8")));
    }
}
