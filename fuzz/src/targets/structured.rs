//! Structured fields (RFC 9651): targeted cache control (RFC 9213), `No-Vary-Search`, cache groups (RFC 9875), `Cache-Status` (RFC 9211),
//! each against what `sfv` makes of the same bytes.

use larder_core::field::cache_control::CacheControl;
use larder_core::field::cache_groups::{groups, invalidations};
use larder_core::field::cache_status::{CacheStatus, read};
use larder_core::field::no_vary_search::NoVarySearch;
use larder_core::fields::Fields;
use sfv::{BareItem, Dictionary, List, ListEntry, Parser};

/// The first line is the field's value, the second a query, the third a word.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let [value, query, word] = [0; 3].map(|_| lines.next().unwrap_or_default());
    targeted(value);
    cache_groups(value);
    no_vary_search(value, &String::from_utf8_lossy(query));
    cache_status(value, &String::from_utf8_lossy(word), query);
}

fn fields(name: &str, value: &[u8]) -> Fields {
    let mut fields = Fields::new();
    fields.add(name, value);
    fields
}

fn targeted(value: &[u8]) {
    let mut fields = fields("cdn-cache-control", value);
    fields.add("cache-control", "max-age=77");
    let read = CacheControl::of_response(&fields, &["cdn-cache-control".to_owned()]);
    let directives = Parser::new(value).parse::<Dictionary>().ok().filter(|read| !read.is_empty());
    // RFC 9213 2.1 (MUST): what is empty or malformed is as if it were not there.
    assert_eq!(read.targeted, directives.is_some());
    let Some(directives) = directives else {
        assert_eq!(read.max_age.map(|age| age.get()), Some(77));
        return;
    };
    let expected = directives.get("max-age").map(|entry| match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Integer(number) => u64::try_from(i64::from(number)).map_or(0, |number| number.min(1 << 31)),
            _ => 0,
        },
        ListEntry::InnerList(_) => 0,
    });
    if !directives.contains_key("s-maxage") {
        assert_eq!(read.max_age.map(|age| u64::from(age.get())), expected);
    }
    let says = |name: &str| {
        let entry = directives.get(name);
        entry.is_some_and(|entry| matches!(entry, ListEntry::Item(item) if item.bare_item == BareItem::Boolean(true)))
    };
    assert!(!says("no-store") || read.no_store);
    assert!(!says("private") || read.private);
    assert!(!read.public || says("public"), "only what is said permits");
}

fn cache_groups(value: &[u8]) {
    let list = Parser::new(value).parse::<List>().ok();
    let strings = list.and_then(|list| {
        let text = |entry: &ListEntry| match entry {
            ListEntry::Item(item) => item.bare_item.as_string().map(|text| text.as_str().to_owned()),
            ListEntry::InnerList(_) => None,
        };
        list.iter().map(text).collect::<Option<Vec<String>>>()
    });
    let expected = strings.unwrap_or_default();
    assert_eq!(groups(&fields("cache-groups", value)), expected);
    assert_eq!(invalidations(&fields("cache-group-invalidation", value)), expected);
}

fn no_vary_search(value: &[u8], query: &str) {
    let Some(rule) = NoVarySearch::parse(value) else { return };
    let once = rule.apply(query);
    assert_eq!(rule.apply(&once), once, "what is canonical stays as it is");
    assert!(once.bytes().all(|byte| byte.is_ascii_graphic()), "it goes into keys and URLs");
    // However a parameter is encoded.
    assert_eq!(rule.apply(&query.replace("%20", "+")), once);
    let doubled = format!("{query}&{query}");
    let _ = rule.apply(&doubled);
    assert_eq!(rule.apply(&format!("&&{query}&")), once, "empty parameters are none");
}

fn cache_status(before: &[u8], word: &str, more: &[u8]) {
    let byte = |at: usize| more.get(at).copied().unwrap_or_default();
    let number = i64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(byte));
    let status = CacheStatus {
        cache: if word.is_empty() { "Larder" } else { word },
        hit: byte(8) & 1 == 1,
        fwd: (byte(8) & 2 == 2).then_some("uri-miss"),
        fwd_status: (byte(8) & 4 == 4).then_some(u16::from_le_bytes([byte(9), byte(10)])),
        stored: byte(8) & 8 == 8,
        collapsed: byte(8) & 16 == 16,
        ttl: (byte(8) & 32 == 32).then_some(number),
        key: (byte(8) & 64 == 64).then(|| word.to_owned()),
        detail: (byte(8) & 128 == 128).then(|| word.to_owned()),
    };
    let mut fields = fields("cache-status", before);
    let others = Parser::new(before).parse::<List>().map_or(0, |list| list.len());
    status.append_to(&mut fields);
    let value = fields.joined("cache-status").unwrap_or_default();
    let list = Parser::new(&value).parse::<List>().expect("what was appended to is a list");
    assert_eq!(list.len(), others + 1, "nobody's word is lost");
    let said = read(&fields);
    let last = said.last().expect("this cache's word comes last");
    if word.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        assert_eq!(last.cache, status.cache);
        assert_eq!(last.detail, status.detail);
    }
    assert_eq!((last.hit, last.stored, last.collapsed), (status.hit, status.stored, status.collapsed));
    assert_eq!(last.ttl, status.ttl.map(|ttl| ttl.clamp(-999_999_999_999_999, 999_999_999_999_999)));
    assert_eq!(last.fwd.as_deref(), status.fwd.filter(|_| !status.hit));
    assert_eq!(last.fwd_status, status.fwd_status.filter(|_| !status.hit));
}
