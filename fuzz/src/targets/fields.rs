//! The other fields: entity tags, `Vary`, negotiation, cookies, tags, fields of one connection. Each written and read again; and what is
//! canonical stays as it is.

use larder_core::decide::vary::VaryKey;
use larder_core::field::accept::{canonical, choose_encodings, choose_language, prefers_language};
use larder_core::field::etag::{EntityTag, TagCondition};
use larder_core::field::hop::{is_clean, strip_hop_by_hop};
use larder_core::field::vary::{Vary, parse};
use larder_core::field::{age, cookie, surrogate};
use larder_core::fields::Fields;

/// An input's lines are those of each field.
pub fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    tags(&lines);
    vary(&lines);
    negotiation(&lines);
    cookies(&lines);
    groups(&lines);
    hop_by_hop(&lines);
    let _ = age::parse(&fields("age", &lines));
}

fn fields(name: &str, lines: &[&[u8]]) -> Fields {
    let mut fields = Fields::new();
    lines.iter().for_each(|line| fields.add(name, *line));
    fields
}

fn tags(lines: &[&[u8]]) {
    for line in lines {
        let Some(tag) = EntityTag::parse(line) else { continue };
        let written = tag.to_bytes();
        assert_eq!(EntityTag::parse(&written).as_ref(), Some(&tag), "written {:?}", String::from_utf8_lossy(&written));
        assert!(is_clean(&written) && tag.weak_eq(&tag) && (tag.weak || tag.strong_eq(&tag)));
        // In a condition it is one tag, this one: or a client's validator would be taken for another's.
        let condition = TagCondition::parse(std::iter::once(&written[..]));
        if !tag.opaque.contains(&b'"') {
            assert_eq!(condition, Some(TagCondition::Tags(vec![tag])));
        }
    }
    let condition = TagCondition::parse(lines.iter().copied());
    assert!(condition.is_some());
}

fn vary(lines: &[&[u8]]) {
    let Vary::Names(names) = parse(&fields("vary", lines)) else { return };
    assert!(names.is_sorted_by(|left, right| left < right));
    assert_eq!(parse(&fields("vary", &[names.join(", ").as_bytes()])), Vary::Names(names.clone()));
    // A request matches what it selected, whatever it says.
    let mut request = Fields::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(line) = lines.get(at + 1) {
            request.add(name, *line);
        }
    }
    assert!(VaryKey::of(&names, &request).matches(&request));
}

fn negotiation(lines: &[&[u8]]) {
    let supported = ["br", "gzip", "zstd"].map(str::to_owned);
    let chosen = choose_encodings(lines.iter().copied(), &supported);
    let again = choose_encodings(std::iter::once(chosen.as_bytes()), &supported);
    assert_eq!(again, chosen, "an origin chooses as was chosen for it");
    let languages = ["de", "en-GB", "fr-CH-1996"].map(str::to_owned);
    let language = choose_language(lines.iter().copied(), &languages);
    assert!(languages.contains(&language));
    assert_eq!(choose_language(std::iter::once(language.as_bytes()), &languages), language);
    for language in &languages {
        if prefers_language(lines.iter().copied(), language.as_bytes()) {
            assert_eq!(&choose_language(lines.iter().copied(), &languages), language);
        }
    }
    for name in ["accept-encoding", "accept-language", "accept", "cookie", "user-agent", "x-list"] {
        let once = canonical(name, lines.iter().copied());
        // Of quotes that are left open nobody can say what they would have held.
        if !lines.iter().any(|line| line.contains(&b'"')) {
            assert_eq!(canonical(name, std::iter::once(&once[..])), once, "{name}");
        }
    }
}

fn cookies(lines: &[&[u8]]) {
    let fields = fields("cookie", lines);
    let cookies = cookie::cookies(&fields);
    for (name, value) in &cookies {
        if let Ok(name) = std::str::from_utf8(name) {
            let values = cookie::values(&fields, name).expect("it is there");
            assert!(values.windows(value.len().max(1)).any(|part| part == *value) || value.is_empty());
        }
        assert!(cookie::name_matches("*", name));
    }
}

fn groups(lines: &[&[u8]]) {
    let names = ["surrogate-key", "cache-tag", "xkey", "x-larder-tags"].map(str::to_owned);
    for name in &names {
        let read = surrogate::tags(&fields(name, lines), [name.as_str()]);
        assert!(read.tags.len() <= 256);
        for tag in &read.tags {
            assert!(!tag.is_empty() && tag.len() <= surrogate::TAG_BYTES_MAX && !tag.contains(char::is_control));
        }
        let written = surrogate::joined(&read.tags);
        let again = surrogate::tags(&fields("x-larder-tags", &[&written]), ["x-larder-tags"]);
        let expected: Vec<&String> = read.tags.iter().filter(|tag| !tag.contains(',')).collect();
        assert_eq!(again.tags.iter().collect::<Vec<_>>(), expected);
    }
}

fn hop_by_hop(lines: &[&[u8]]) {
    let kept = ["cache-control", "vary", "set-cookie", "etag", "authorization", "cookie", "content-type", "age"];
    let mut fields = fields("connection", lines);
    for line in lines {
        if let Ok(name) = std::str::from_utf8(line) {
            fields.add(name.trim(), "x");
        }
    }
    kept.iter().for_each(|name| fields.add(name, "kept"));
    strip_hop_by_hop(&mut fields);
    for name in ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization"] {
        assert!(!fields.has(name), "{name}");
    }
    for name in kept {
        assert!(fields.all(name).any(|value| value == b"kept"), "nobody can have {name} taken out");
    }
    let once = fields.clone();
    strip_hop_by_hop(&mut fields);
    assert_eq!(fields, once);
}
