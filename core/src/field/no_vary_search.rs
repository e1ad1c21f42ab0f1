//! `No-Vary-Search`: which parts of a query do not matter to a response (HTML standard,
//! draft-ietf-httpbis-no-vary-search).
//!
//! Gives the canonical form of a query, for keys; never what is forwarded. A value that cannot be read says nothing:
//! the whole query matters.

use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

/// What a response says about its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVarySearch {
    /// Whether the order of parameters of different names matters.
    order_matters: bool,
    params: Params,
}

/// Which parameters matter. Names are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// All but these.
    AllBut(Vec<Vec<u8>>),
    /// Only these.
    Only(Vec<Vec<u8>>),
}

impl NoVarySearch {
    /// Reads the field's value (lines joined); `None` where it is malformed or changes nothing.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let members: Dictionary = Parser::new(value).parse().ok()?;
        let order_matters = match members.get("key-order") {
            None => true,
            Some(ListEntry::Item(item)) => match item.bare_item {
                BareItem::Boolean(key_order) => !key_order,
                _ => return None,
            },
            Some(ListEntry::InnerList(_)) => return None,
        };
        let params = match (members.get("params"), members.get("except")) {
            (None, None) => Params::AllBut(Vec::new()),
            (Some(ListEntry::InnerList(names)), None) => Params::AllBut(decoded_names(names)?),
            (Some(ListEntry::Item(item)), except) => match (&item.bare_item, except) {
                (BareItem::Boolean(false), None) => Params::AllBut(Vec::new()),
                (BareItem::Boolean(true), None) => Params::Only(Vec::new()),
                (BareItem::Boolean(true), Some(ListEntry::InnerList(names))) => Params::Only(decoded_names(names)?),
                _ => return None,
            },
            // "except" means something beside a true "params" only.
            (_, Some(_)) => return None,
        };
        let read = Self { order_matters, params };
        (read != Self { order_matters: true, params: Params::AllBut(Vec::new()) }).then_some(read)
    }

    /// What is left of `query` (without its `?`) once all that does not matter is taken out: equal for queries that
    /// the response does not tell apart. Written in one way of encoding, whatever way the client chose.
    pub fn apply(&self, query: &str) -> String {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .filter(|(name, _)| match &self.params {
                Params::AllBut(names) => !names.contains(name),
                Params::Only(names) => names.contains(name),
            })
            .collect();
        if !self.order_matters {
            // Stable: parameters of the same name keep their order.
            pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
        }
        let mut text = String::with_capacity(query.len());
        for (name, value) in &pairs {
            if !text.is_empty() {
                text.push('&');
            }
            encode(name, &mut text);
            text.push('=');
            encode(value, &mut text);
        }
        text
    }
}

fn decoded_names(names: &InnerList) -> Option<Vec<Vec<u8>>> {
    let name = |item: &sfv::Item| match &item.bare_item {
        BareItem::String(name) => Some(decode(name.as_str())),
        _ => None,
    };
    names.items.iter().map(name).collect()
}

/// application/x-www-form-urlencoded, as far as bytes: `+` is a space, `%41` is `A`, a lone `%` is itself.
fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return decoded,
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                tail
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}

fn encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => text.push(char::from(*byte)),
            b' ' => text.push('+'),
            _ => {
                text.push('%');
                for digit in [byte >> 4, byte & 15] {
                    text.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_that_say_nothing_or_nonsense_are_none() {
        for value in [
            "",
            "key-order=?0",
            "params=?0",
            "params=()",
            "params=1",
            "params=(a)",
            "params=(\"a\" 1)",
            "params=\"a\"",
            "key-order=1",
            "key-order=(\"a\")",
            "key-order, params=a",
            "except=(\"a\")",
            "params=(\"a\"), except=(\"b\")",
            "params=?0, except=(\"b\")",
            "params, except=b",
            "params, except",
            "unknown",
            "\u{fc}",
            "params=(\"a\"",
        ] {
            assert_eq!(NoVarySearch::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn queries_that_are_not_told_apart_have_one_form() {
        for (value, left, right, same) in [
            ("key-order", "a=1&b=2", "b=2&a=1", true),
            ("key-order", "a=1&a=2", "a=2&a=1", false),
            ("key-order", "a=1&b=2", "a=1&b=3", false),
            ("params", "a=1&b=2", "", true),
            ("params=(\"utm\")", "a=1&utm=x", "a=1", true),
            ("params=(\"utm\")", "utm=x&a=1&utm=y", "a=1", true),
            ("params=(\"utm\")", "a=1&b=2", "b=2&a=1", false),
            ("params=(\"utm\"), key-order", "b=2&utm=x&a=1", "a=1&b=2", true),
            ("params=(\"utm\")", "a=1&UTM=x", "a=1", false),
            ("params=(\"utm\")", "a=1&%75tm=x", "a=1", true),
            ("params=(\"a+b\")", "a%20b=1", "", true),
            ("params=(\"%C3%BC\")", "%c3%bc=1", "ü=2", true),
            ("params, except=(\"id\")", "id=1&x=2", "x=3&id=1", true),
            ("params, except=(\"id\")", "id=1", "id=2", false),
            ("params, except=()", "id=1", "id=2", true),
            ("key-order", "a=%41", "a=A", true),
            ("key-order", "a=b+c", "a=b%20c", true),
            ("key-order", "a", "a=", true),
            ("key-order", "&&a=1&", "a=1", true),
            ("key-order", "a=1=2", "a=1%3D2", true),
            ("key-order", "a=%FF", "a=%FE", false),
            ("key-order", "a=%2", "a=%252", true),
            ("key-order;x=1, params=(\"a\";y=2), unknown=3", "a=1", "", true),
        ] {
            let rule = NoVarySearch::parse(value.as_bytes()).unwrap();
            assert_eq!(rule.apply(left) == rule.apply(right), same, "{value}: {left} {right}");
        }
        assert_eq!(NoVarySearch::parse(b"key-order").unwrap().apply("b=%2f ü&a"), "a=&b=%2F+%C3%BC");
    }

    #[test]
    fn the_canonical_form_is_canonical_for_any_bytes() {
        let rules = ["key-order", "params=(\"a\"), key-order", "params, except=(\"a\" \"de\")"];
        hostile::each(3_000, |value| {
            NoVarySearch::parse(value);
            let query = String::from_utf8_lossy(value);
            for rule in rules {
                let rule = NoVarySearch::parse(rule.as_bytes()).unwrap();
                let once = rule.apply(&query);
                assert_eq!(rule.apply(&once), once);
                assert!(once.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        });
    }
}
