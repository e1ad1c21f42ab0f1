//! Keys for people: their parts, read back from the bytes that they are.

use super::case::Case;
use super::run::Ran;
use super::{StoredKey, text};
use crate::key::Key;

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// What it is: `scheme`, `host`, `path`, `query`, `field accept-language`, `cookie currency`, `user authorization`.
    pub name: String,
    /// Its value; `None` where the request has nothing there. Who a user is stands there as the beginning of a hash.
    pub value: Option<String>,
}

/// What a key is made of; as far as it can be read, should it be none.
pub fn parts(key: &Key) -> Vec<KeyPart> {
    let mut raw = Vec::new();
    let bytes = key.as_bytes();
    // The parts of partial responses are kept under a key with a zero before it.
    let mut rest = bytes.strip_prefix(&[0]).unwrap_or(bytes).get(1..).unwrap_or_default();
    while let Some((kind, after)) = rest.split_first() {
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        let Some((part, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        raw.push((*kind, part));
        rest = after;
    }
    let mut parts = Vec::new();
    let mut raw = raw.into_iter();
    while let Some((kind, part)) = raw.next() {
        let kind = match kind {
            b's' => "scheme",
            b'a' => "host",
            b'p' => "path",
            b'q' => "query",
            b'h' => "field",
            b'c' => "cookie",
            _ => "user",
        };
        let named = matches!(kind, "field" | "cookie" | "user");
        let (name, value) = match named {
            false => (kind.to_owned(), Some(text(part))),
            true => {
                let value = raw.next().filter(|(kind, _)| *kind == b'=').map(|(_, value)| value);
                (
                    format!("{kind} {}", text(part)),
                    value.map(|value| if kind == "user" { hex(value) } else { text(value) }),
                )
            }
        };
        parts.push(KeyPart { name, value });
    }
    parts
}

/// Enough of a hash to tell two apart by eye.
fn hex(digest: &[u8]) -> String {
    let shown: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{shown}...")
}

/// What the response is stored under.
pub(super) fn stored(case: &Case, ran: &Ran) -> StoredKey {
    let keyed = case.keyed_by_response();
    let facts = ran.stored.as_ref().map(|variant| variant.entry.facts());
    StoredKey {
        parts: parts(&keyed.key),
        name: keyed.name().to_owned(),
        url: keyed.url(),
        vary: facts.map(|facts| facts.vary.0.clone()).unwrap_or_default(),
        tags: facts.map(|facts| facts.tags.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::keyed;
    use crate::testing::{get, rules};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_parts_of_a_key_are_read_back() {
        let rules = rules(
            r#""key":{"headers":["x-a","x-b"],"cookies":["c"],"accept_language":["en"],"user":["authorization","cookie:sid"]}"#,
        );
        let request = get("/p?q=1", &[("x-a", ""), ("cookie", "c=1"), ("authorization", "Bearer x")]);
        let key = keyed(&rules.key, &request, None).key;
        let shown = |parts: Vec<KeyPart>| {
            parts
                .into_iter()
                .map(|part| format!("{}={}", part.name, part.value.as_deref().unwrap_or("-")))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(parts(&key)),
            [
                "scheme=http",
                "host=h.example",
                "path=/p",
                "query=q=1",
                "field accept-language=en",
                "field x-a=",
                "field x-b=-",
                "cookie c=1",
                "user authorization=sha256:b937a6fd6074...",
                "user sid=-",
            ]
        );
        assert_eq!(parts(&key), parts(&key.of_parts()));
        assert_eq!(parts(&Key::from_bytes(b"\x01s\xff\xff\xff\xff")), []);
    }
}
