//! What a 304 does to the stored response (RFC 9111 4.3.4, 3.2).
//!
//! Decides whether it is about the stored response, and which fields it updates. A new age and lifetime follow from
//! the updated fields and are computed by callers. So does what the policy strips: a 304 may carry, for one,
//! `Set-Cookie`.

use crate::field::etag::EntityTag;
use crate::field::{date, hop};
use crate::fields::Fields;
use crate::time::Timestamp;

/// Whether a 304 to our own conditional request is about the stored response: its validators, where it has any, are
/// the stored ones. Otherwise it must update nothing, and the whole has to be asked for.
///
/// RFC 9111 4.3.4 compares a strong tag in the 304 with strong ones only. Here a stored weak tag matches as well:
/// servers that weaken the tag of what they compress (nginx) still send the strong one in a 304, and the only tag
/// asked about was ours. The stored tag stays as it is (see [`update`]), so nothing becomes strong by this.
pub fn selects(
    new304: &Fields,
    stored_etag: Option<&EntityTag>,
    stored_last_modified: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    if let Some(value) = new304.first("etag") {
        return match (EntityTag::parse(value), stored_etag) {
            (Some(new), Some(stored)) => new.weak_eq(stored),
            _ => false,
        };
    }
    match new304.first("last-modified") {
        Some(value) => stored_last_modified.is_some() && date::parse(value, now) == stored_last_modified,
        // Many origins send a bare 304. The request had one validator to be about.
        None => true,
    }
}

/// Updates the stored fields by a 304's (RFC 9111 3.2): a field in it replaces all stored lines of that name, a field
/// not in it stays.
///
/// Never taken over: fields of the connection, what describes the stored bytes themselves, and the entity tag, which
/// [`selects`] found equal or which is weaker than the stored one. A stored `Age` never stays: it was the old
/// response's.
pub fn update(stored: &mut Fields, new: &Fields) {
    let nominated = hop::nominated(new);
    let taken = |name: &str| {
        !hop::is_hop_by_hop(name)
            && !name.starts_with("x-larder-")
            && !OF_THE_BYTES.contains(&name)
            && !nominated.iter().any(|other| other == name)
    };
    stored.retain(|line| line.name != "age" && !(taken(&line.name) && new.has(&line.name)));
    for line in new.iter().filter(|line| taken(&line.name) && hop::is_clean(&line.value)) {
        stored.push(line.name.clone(), line.value.clone());
    }
}

/// RFC 9111 3.2 excepts Content-Length by name, and what the cache's own processing depends on: how the stored bytes
/// are coded, which part they are, and what they hash to.
const OF_THE_BYTES: [&str; 9] = [
    "content-digest",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "repr-digest",
    "x-content-digest",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// 2026-01-01 00:00:00.
    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
    const LM: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
    const OTHER: &str = "Thu, 02 Jan 2020 00:00:00 GMT";

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        fields
    }

    fn sorted(fields: &Fields) -> Vec<String> {
        let mut lines: Vec<_> =
            fields.iter().map(|line| format!("{}: {}", line.name, String::from_utf8_lossy(&line.value))).collect();
        lines.sort();
        lines
    }

    #[test]
    fn rfc_9111_4_3_4_validators_identify_the_stored_response() {
        for (lines, etag, last_modified, want) in [
            (&[][..], Some(r#""a""#), None, true),
            (&[], None, Some(LM), true),
            (&[("etag", r#""a""#)], Some(r#""a""#), None, true),
            (&[("etag", r#""b""#)], Some(r#""a""#), None, false),
            (&[("etag", r#"W/"a""#)], Some(r#"W/"a""#), None, true),
            (&[("etag", r#"W/"a""#)], Some(r#""a""#), None, true),
            (&[("etag", r#""a""#)], Some(r#"W/"a""#), None, true),
            (&[("etag", r#""a""#)], None, Some(LM), false),
            (&[("etag", "")], Some(r#""a""#), None, false),
            (&[("etag", r#""a""#), ("last-modified", OTHER)], Some(r#""a""#), Some(LM), true),
            (&[("last-modified", LM)], None, Some(LM), true),
            (&[("last-modified", "Wednesday, 01-Jan-20 00:00:00 GMT")], None, Some(LM), true),
            (&[("last-modified", OTHER)], None, Some(LM), false),
            (&[("last-modified", LM)], Some(r#""a""#), None, false),
            (&[("last-modified", "nonsense")], None, None, false),
        ] {
            let tag = etag.and_then(|text| EntityTag::parse(text.as_bytes()));
            let modified = last_modified.and_then(|text: &str| date::parse(text.as_bytes(), NOW));
            assert_eq!(
                selects(&fields(lines), tag.as_ref(), modified, NOW),
                want,
                "{lines:?} {etag:?} {last_modified:?}"
            );
        }
    }

    #[test]
    fn rfc_9111_3_2_fields_in_the_304_replace_all_stored_lines_of_their_name() {
        let mut stored = fields(&[("a", "1"), ("b", "1"), ("b", "2"), ("c", "1"), ("age", "7"), ("date", "then")]);
        update(&mut stored, &fields(&[("b", "3"), ("b", "4"), ("d", "5"), ("date", "now")]));
        assert_eq!(sorted(&stored), ["a: 1", "b: 3", "b: 4", "c: 1", "d: 5", "date: now"]);
    }

    #[test]
    fn fields_are_updated_or_kept_by_name() {
        for name in
            ["test-header", "cache-control", "content-type", "content-location", "content-foo", "expires", "vary"]
        {
            let mut stored = fields(&[(name, "old")]);
            update(&mut stored, &fields(&[(name, "new")]));
            assert_eq!(sorted(&stored), [format!("{name}: new")]);
        }
        for name in OF_THE_BYTES {
            let mut stored = fields(&[(name, "old")]);
            update(&mut stored, &fields(&[(name, "new")]));
            assert_eq!(sorted(&stored), [format!("{name}: old")]);
            let mut without = Fields::new();
            update(&mut without, &fields(&[(name, "new")]));
            assert!(without.is_empty(), "{name}");
        }
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "proxy-authenticate"] {
            let mut stored = Fields::new();
            update(&mut stored, &fields(&[(name, "x")]));
            assert!(stored.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_the_304s_connection_nominates_is_not_taken_over() {
        let mut stored = fields(&[("a", "old"), ("cache-control", "old")]);
        let new = fields(&[("connection", "a, cache-control"), ("a", "new"), ("cache-control", "new")]);
        update(&mut stored, &new);
        assert_eq!(sorted(&stored), ["a: old", "cache-control: new"]);
    }

    #[test]
    fn updating_is_idempotent_and_keeps_the_bytes_described_for_any_fields() {
        let names =
            ["a", "age", "connection", "content-encoding", "content-length", "etag", "vary", "de", "gzip", "date"];
        for seed in 0..4_000 {
            let mut rng = hostile::Rng::new(seed);
            let before = rng.fields(&names);
            let new = rng.fields(&names);
            let mut once = before.clone();
            update(&mut once, &new);
            let mut twice = once.clone();
            update(&mut twice, &new);
            assert_eq!(sorted(&once.clone()), sorted(&twice));
            for name in OF_THE_BYTES {
                assert!(once.all(name).eq(before.all(name)), "{name}");
            }
            // What the 304 does not name is as it was; what it names and may update is the 304's.
            for line in before.iter().filter(|line| !new.has(&line.name) && line.name != "age") {
                assert!(once.all(&line.name).eq(before.all(&line.name)), "{}", line.name);
            }
            let clean = new.all("vary").filter(|value| hop::is_clean(value));
            assert!(!new.has("vary") || once.all("vary").eq(clean));
            assert!(new.iter().filter(|line| !hop::is_clean(&line.value)).all(|line| {
                before.all(&line.name).any(|value| value == line.value) || !once.iter().any(|kept| kept == line)
            }));
        }
    }
}
