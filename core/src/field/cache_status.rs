//! `Cache-Status` (RFC 9211): writes this cache's member of the list, and reads what caches say.
//!
//! Decides nothing: what happened comes in.

use std::fmt::Write as _;

use sfv::{BareItem, List, ListEntry, Parser};

use super::syntax::is_token_byte;
use crate::fields::Fields;

/// What this cache did with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// This cache's name.
    pub cache: &'a str,
    /// Answered from the cache.
    pub hit: bool,
    /// Why the request went forward (RFC 9211 2.2); left out of a hit.
    pub fwd: Option<&'static str>,
    /// The status that the next hop answered with, where it is not the one sent.
    pub fwd_status: Option<u16>,
    /// Whether the response was stored.
    pub stored: bool,
    /// Whether the request was collapsed into another.
    pub collapsed: bool,
    /// Remaining freshness in seconds; negative for a stale response.
    pub ttl: Option<i64>,
    /// The cache key, for debugging.
    pub key: Option<String>,
    /// Anything more.
    pub detail: Option<String>,
}

impl CacheStatus<'_> {
    /// Appends this member after those of caches nearer to the origin, in one line. What is there is dropped where it
    /// is malformed, since nothing appended to it could be read.
    pub fn append_to(&self, fields: &mut Fields) {
        let value = self.appended_to(fields);
        fields.set("cache-status", value);
    }

    /// The value that [`CacheStatus::append_to`] gives the field.
    pub fn appended_to(&self, fields: &Fields) -> Vec<u8> {
        let Some(mut value) = fields.joined("cache-status") else { return self.member().into() };
        let readable = !value.is_empty() && Parser::new(&value).parse::<List>().is_ok_and(|list| !list.is_empty());
        if readable {
            value.extend_from_slice(b", ");
        } else {
            value.clear();
        }
        value.extend_from_slice(self.member().as_bytes());
        value
    }

    fn member(&self) -> String {
        let mut text = String::with_capacity(64);
        push_token_or_string(&mut text, self.cache);
        if self.hit {
            text.push_str("; hit");
        } else if let Some(reason) = self.fwd {
            text.push_str("; fwd=");
            push_token_or_string(&mut text, reason);
        }
        if let Some(status) = self.fwd_status.filter(|_| !self.hit) {
            push_number(&mut text, "fwd-status", status.into());
        }
        if let Some(ttl) = self.ttl {
            // RFC 9651 3.3.1: fifteen digits.
            push_number(&mut text, "ttl", ttl.clamp(-999_999_999_999_999, 999_999_999_999_999));
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(key) = &self.key {
            text.push_str("; key=");
            push_string(&mut text, key);
        }
        if let Some(detail) = &self.detail {
            text.push_str("; detail=");
            push_token_or_string(&mut text, detail);
        }
        text
    }
}

/// What a cache says that it did with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The cache's name.
    pub cache: String,
    /// It answered from what it had.
    pub hit: bool,
    /// Why the request went forward.
    pub fwd: Option<String>,
    /// The status that the next hop answered with.
    pub fwd_status: Option<u16>,
    /// The response was stored.
    pub stored: bool,
    /// The request was collapsed into another.
    pub collapsed: bool,
    /// Remaining freshness in seconds; negative for a stale response.
    pub ttl: Option<i64>,
    /// Anything more.
    pub detail: Option<String>,
}

/// What caches say, the one nearest to the client last. Malformed: nothing (RFC 9651 1.1 has such a field ignored).
pub fn read(fields: &Fields) -> Vec<Said> {
    let Some(value) = fields.joined("cache-status") else { return Vec::new() };
    let Ok(list) = Parser::new(&value).parse::<List>() else { return Vec::new() };
    list.iter().filter_map(said).collect()
}

fn said(entry: &ListEntry) -> Option<Said> {
    let ListEntry::Item(item) = entry else { return None };
    let mut said = Said { cache: text(&item.bare_item)?, ..Said::default() };
    for (name, value) in &item.params {
        let is_true = value.as_boolean() == Some(true);
        let number = || value.as_integer().map(i64::from);
        match name.as_str() {
            "hit" => said.hit = is_true,
            "fwd" => said.fwd = text(value),
            "fwd-status" => said.fwd_status = number().and_then(|status| u16::try_from(status).ok()),
            "stored" => said.stored = is_true,
            "collapsed" => said.collapsed = is_true,
            "ttl" => said.ttl = number(),
            "detail" => said.detail = text(value),
            _ => {}
        }
    }
    Some(said)
}

/// RFC 9211 2: names, and details, are tokens or strings.
fn text(item: &BareItem) -> Option<String> {
    match item {
        BareItem::Token(token) => Some(token.as_str().to_owned()),
        BareItem::String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// At every hit: `write!` takes several times as long.
fn push_number(text: &mut String, name: &str, number: i64) {
    text.push_str("; ");
    text.push_str(name);
    text.push_str(if number < 0 { "=-" } else { "=" });
    let (mut rest, mut digits, mut from) = (number.unsigned_abs(), [0; 20], 20);
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        (rest, from) = (rest / 10, from - 1);
        if rest == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(from).map(|digit| char::from(*digit)));
}

/// RFC 9651 3.3.4: a token begins with a letter or `*`, and may hold `:` and `/`.
fn push_token_or_string(text: &mut String, value: &str) {
    let starts = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    if starts && value.bytes().all(|byte| is_token_byte(byte) || matches!(byte, b':' | b'/')) {
        text.push_str(value);
    } else {
        push_string(text, value);
    }
}

/// RFC 9651 3.3.3: printable ASCII only; other bytes are percent-encoded.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            0x20..=0x7e => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn written(status: &CacheStatus, existing: &[&str]) -> String {
        let mut fields = Fields::new();
        existing.iter().for_each(|line| fields.add("cache-status", *line));
        status.append_to(&mut fields);
        assert_eq!(fields.all("cache-status").count(), 1);
        String::from_utf8(fields.first("cache-status").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn members_are_written_as_rfc_9211_orders_them() {
        let larder = CacheStatus { cache: "Larder", ..CacheStatus::default() };
        let hit = CacheStatus { hit: true, ttl: Some(30), fwd: Some("miss"), fwd_status: Some(200), ..larder.clone() };
        assert_eq!(written(&hit, &[]), "Larder; hit; ttl=30");
        let miss = CacheStatus {
            fwd: Some("uri-miss"),
            fwd_status: Some(304),
            ttl: Some(-5),
            stored: true,
            collapsed: true,
            key: Some("https://ü/\"x\\\"".into()),
            detail: Some("no-store".into()),
            ..larder.clone()
        };
        assert_eq!(
            written(&miss, &[]),
            r#"Larder; fwd=uri-miss; fwd-status=304; ttl=-5; stored; collapsed; key="https://%C3%BC/\"x\\\""; detail=no-store"#
        );
        let odd = CacheStatus { cache: "my cache", detail: Some("two words".into()), ..larder };
        assert_eq!(written(&odd, &[]), r#""my cache"; detail="two words""#);
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 7, 10, -1, -90, 1_234_567_890, 999_999_999_999_999, i64::MAX, i64::MIN] {
            let mut text = String::new();
            push_number(&mut text, "n", number);
            assert_eq!(text, format!("; n={number}"));
        }
    }

    #[test]
    fn members_of_other_caches_stay_in_front_where_they_can_be_read() {
        let hit = CacheStatus { cache: "Larder", hit: true, ..CacheStatus::default() };
        for (existing, want) in [
            (&["Origin; hit"][..], "Origin; hit, Larder; hit"),
            (&["A; fwd=miss", "\"B\"; hit"], "A; fwd=miss, \"B\"; hit, Larder; hit"),
            (&["nonsense;;;"], "Larder; hit"),
            (&["A; hit, "], "Larder; hit"),
            (&[""], "Larder; hit"),
        ] {
            assert_eq!(written(&hit, existing), want, "{existing:?}");
        }
    }

    #[test]
    fn whatever_is_there_the_result_is_a_list_that_ends_with_this_cache() {
        hostile::each_fields(&["cache-status"], 3_000, |fields| {
            let mut fields = fields.clone();
            let text = fields.joined("cache-status").map(|value| String::from_utf8_lossy(&value).into_owned());
            let status = CacheStatus { cache: "Larder", key: text.clone(), detail: text, ..CacheStatus::default() };
            status.append_to(&mut fields);
            let value = fields.joined("cache-status").unwrap();
            let list: List = Parser::new(&value).parse().unwrap();
            let sfv::ListEntry::Item(last) = list.last().unwrap() else { panic!("an item") };
            assert_eq!(last.bare_item.as_token().unwrap().as_str(), "Larder");
        });
    }

    #[test]
    fn what_caches_say_is_read_and_nonsense_is_nothing() {
        let read = |lines: &[&str]| {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("cache-status", *line));
            read(&fields)
        };
        let both =
            read(&["A; hit; ttl=30", r#""my cache"; fwd=uri-miss; fwd-status=200; stored; detail="two words"; odd=1"#]);
        let first = Said { cache: "A".into(), hit: true, ttl: Some(30), ..Said::default() };
        let second = Said {
            cache: "my cache".into(),
            fwd: Some("uri-miss".into()),
            fwd_status: Some(200),
            stored: true,
            detail: Some("two words".into()),
            ..Said::default()
        };
        assert_eq!(both, [first, second]);
        assert_eq!(read(&["A; hit=?0; collapsed; ttl=-5; fwd-status=70000"])[0].ttl, Some(-5));
        assert_eq!(read(&["(a b), 1, A; hit"]).len(), 1);
        assert_eq!(read(&["A; hit,,"]), []);
        assert_eq!(read(&[]), []);
        hostile::each_fields(&["cache-status"], 3_000, |fields| drop(super::read(fields)));
    }
}
