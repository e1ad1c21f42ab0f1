//! The conditional request that validates a stored response (RFC 9111 4.3.1).
//!
//! The client's own conditions do not reach the origin then: they are evaluated against the outcome (`preconditions`,
//! `range`). Otherwise a 304 or 206 could come back that is about the client's copy and not about ours.

use crate::field::etag::EntityTag;
use crate::field::hop::is_clean;
use crate::fields::Fields;

/// Takes the client's conditions and ranges out of a request and puts the stored response's validators in. Without a
/// validator an unconditional request for the whole is left.
pub fn make_conditional(request: &mut Fields, etag: Option<&EntityTag>, last_modified: Option<&[u8]>) {
    request.retain(|line| !CONDITIONS.contains(&line.name.as_str()));
    // RFC 9111 4.3.1: the entity tag MUST be sent where there is one, the date SHOULD go along for older origins.
    if let Some(etag) = etag.map(EntityTag::to_bytes).filter(|value| is_clean(value)) {
        request.add("if-none-match", etag);
    }
    if let Some(last_modified) = last_modified.filter(|value| !value.is_empty() && is_clean(value)) {
        request.add("if-modified-since", last_modified);
    }
}

const CONDITIONS: [&str; 6] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn made(lines: &[(&str, &str)], etag: Option<&str>, last_modified: Option<&str>) -> Vec<String> {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        let etag = etag.and_then(|text| EntityTag::parse(text.as_bytes()));
        make_conditional(&mut fields, etag.as_ref(), last_modified.map(str::as_bytes));
        fields.iter().map(|line| format!("{}: {}", line.name, String::from_utf8_lossy(&line.value))).collect()
    }

    #[test]
    fn the_stored_validators_replace_the_clients_conditions() {
        let client =
            CONDITIONS.iter().map(|name| (*name, "client")).chain([("accept", "text/html")]).collect::<Vec<_>>();
        let lm = "Thu, 01 Jan 2026 00:00:00 GMT";
        for (etag, last_modified, want) in [
            (None, None, &["accept: text/html"][..]),
            (Some(r#""a""#), None, &["accept: text/html", r#"if-none-match: "a""#]),
            (Some(r#"W/"a""#), None, &["accept: text/html", r#"if-none-match: W/"a""#]),
            (Some("a"), None, &["accept: text/html", r#"if-none-match: "a""#]),
            (None, Some(lm), &["accept: text/html", "if-modified-since: Thu, 01 Jan 2026 00:00:00 GMT"]),
            (
                Some(r#""a""#),
                Some(lm),
                &["accept: text/html", r#"if-none-match: "a""#, "if-modified-since: Thu, 01 Jan 2026 00:00:00 GMT"],
            ),
            (None, Some("a\r\nb: c"), &["accept: text/html"]),
            (None, Some(""), &["accept: text/html"]),
        ] {
            assert_eq!(made(&client, etag, last_modified), want, "{etag:?} {last_modified:?}");
        }
    }

    #[test]
    fn what_is_sent_is_clean_for_any_stored_bytes() {
        hostile::each(3_000, |value| {
            let mut request = Fields::new();
            make_conditional(&mut request, EntityTag::parse(value).as_ref(), Some(value));
            assert!(request.iter().all(|line| is_clean(&line.value)));
        });
    }
}
