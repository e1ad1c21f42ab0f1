//! Names of fields. The common ones are known and take no memory of their own: a head is copied several times on its way
//! through a cache, and most of it is names that everybody uses.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A field's name, in lower case. Cheap to copy; equal where the text is.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Known(&'static str),
    Other(Arc<str>),
}

/// Known names by their length, which tells most of them apart already.
const KNOWN: [&[&str]; 28] = [
    &[],
    &[],
    &["te"],
    &["age", "via"],
    &["date", "etag", "host", "link", "vary", "from"],
    &["allow", "range"],
    &["accept", "cookie", "expect", "origin", "pragma", "server"],
    &["alt-svc", "expires", "referer", "trailer", "upgrade", "warning"],
    &["if-match", "if-range", "location"],
    &["cache-tag", "forwarded"],
    &["connection", "keep-alive", "set-cookie", "user-agent"],
    &["accept-post", "retry-after", "traceparent"],
    &["accept-patch", "cache-status", "content-type", "x-request-id"],
    &[
        "accept-ranges",
        "authorization",
        "cache-control",
        "content-range",
        "if-none-match",
        "last-modified",
        "x-larder-node",
    ],
    &[
        "accept-charset",
        "content-digest",
        "content-length",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "x-larder-serve",
    ],
    &["accept-encoding", "accept-language", "x-forwarded-for", "x-frame-options"],
    &[
        "content-encoding",
        "content-language",
        "content-location",
        "www-authenticate",
        "x-forwarded-host",
        "x-xss-protection",
    ],
    &["cdn-cache-control", "if-modified-since", "surrogate-control", "transfer-encoding", "x-forwarded-proto"],
    &["proxy-authenticate"],
    &["content-disposition", "if-unmodified-since", "proxy-authorization", "timing-allow-origin"],
    &[],
    &[],
    &["x-content-type-options"],
    &["content-security-policy"],
    &[],
    &["strict-transport-security", "upgrade-insecure-requests"],
    &[],
    &["access-control-allow-origin"],
];

fn known(name: &[u8]) -> Option<&'static str> {
    KNOWN.get(name.len())?.iter().find(|known| known.as_bytes() == name).copied()
}

impl Name {
    /// A name; made lower case where it is not.
    pub fn new(name: &str) -> Self {
        if let Some(known) = known(name.as_bytes()) {
            return Self(Repr::Known(known));
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self::new(&name.to_ascii_lowercase());
        }
        Self(Repr::Other(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Known(name) => name,
            Repr::Other(name) => name,
        }
    }

    /// Bytes of memory that it takes beyond its own.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Known(_) => 0,
            Repr::Other(name) => name.len(),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // One place for each.
            (Repr::Known(one), Repr::Known(other)) => std::ptr::eq(*one, *other),
            (Repr::Other(one), Repr::Other(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, other: &Name) -> bool {
        self == other.as_str()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_known_name_is_where_its_length_says_and_in_lower_case() {
        for (length, names) in KNOWN.iter().enumerate() {
            for name in *names {
                assert_eq!((name.len(), name.to_ascii_lowercase().as_str()), (length, *name));
                assert!(matches!(Name::new(&name.to_ascii_uppercase()).0, Repr::Known(_)), "{name}");
            }
        }
    }

    #[test]
    fn names_are_equal_as_their_text_is() {
        for text in ["ETag", "X-Own", "te", "", "x", "access-control-allow-origin-of-mine"] {
            let (one, other) = (Name::new(text), Name::new(&text.to_ascii_lowercase()));
            assert_eq!(one, other);
            assert_eq!(one.as_str(), text.to_ascii_lowercase());
            assert_ne!(one, Name::new("other"));
        }
        assert_ne!(Name::new("x-own"), Name::new("etag"));
    }
}
