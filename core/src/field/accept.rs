//! `Accept-Encoding`, `Accept-Language` and the canonical form of any request field (RFC 9110 12.5, RFC 9111 4.1).
//!
//! What is chosen here is what takes part in the key and what is forwarded. Looks at no response, but for
//! [`prefers_language`], which compares with the language of one.

use std::cmp::Reverse;

use super::syntax::{members, members_and_gaps, parameters, trim};

/// The codings out of `supported` that the client takes, in the order of `supported`, as an `Accept-Encoding` value;
/// `identity` where it takes none, or says nothing.
pub fn choose_encodings<'a>(values: impl Iterator<Item = &'a [u8]>, supported: &[String]) -> String {
    let wanted = weighted(values);
    let taken = |coding: &&String| {
        let named = wanted.iter().filter(|want| same_coding(want.name, coding)).map(|want| want.weight).max();
        let star = wanted.iter().filter(|want| want.name == "*").map(|want| want.weight).max();
        named.or(star).is_some_and(|weight| weight > 0)
    };
    let chosen: Vec<&str> = supported.iter().filter(taken).map(String::as_str).collect();
    if chosen.is_empty() { "identity".to_owned() } else { chosen.join(", ") }
}

/// The language out of `supported` that suits the client best, spelled as in `supported`; the first one where none
/// does.
///
/// Lookup as in RFC 4647 3.4: ranges by weight, each cut from its end until it names a supported language. Where that
/// finds nothing, a supported language that a range is the beginning of (`de` for `de-AT`), then the default.
pub fn choose_language<'a>(values: impl Iterator<Item = &'a [u8]>, supported: &[String]) -> String {
    let mut wanted = weighted(values);
    let refused: Vec<&str> = wanted.extract_if(.., |want| want.weight == 0).map(|want| want.name).collect();
    wanted.sort_by_key(|want| Reverse(want.weight));
    let offered: Vec<&String> =
        supported.iter().filter(|language| !refused.iter().any(|name| name.eq_ignore_ascii_case(language))).collect();
    let ranges = || wanted.iter().map(|want| want.name).filter(|range| *range != "*");
    let exact = |range: &str| offered.iter().find(|language| language.eq_ignore_ascii_case(range)).copied();
    let within = |range: &str| offered.iter().find(|language| is_within(language, range)).copied();
    let default = || offered.first().copied().or(supported.first());
    ranges()
        .find_map(|range| lookup_steps(range).find_map(exact))
        .or_else(|| ranges().find_map(within))
        .or_else(default)
        .cloned()
        .unwrap_or_default()
}

/// Whether `language` (a response's `Content-Language`) is the very one that the client likes best, so that no other
/// variant could suit it better. One that a member refuses (RFC 9110 12.4.2: "a value of 0 means 'not acceptable'") is
/// liked by none, whatever other members say of it: [`choose_language`] does not choose it either.
pub fn prefers_language<'a>(values: impl Iterator<Item = &'a [u8]>, language: &[u8]) -> bool {
    let wanted = weighted(values);
    let best = wanted.iter().map(|want| want.weight).max().unwrap_or_default();
    let mut liked = wanted.iter().filter(|want| want.weight == best && best > 0);
    let language = trim(language);
    let is_it = |want: &Weighted<'_>| want.name.as_bytes().eq_ignore_ascii_case(language);
    let refused = wanted.iter().any(|want| want.weight == 0 && is_it(want));
    matches!((liked.next(), liked.next()), (Some(only), None) if is_it(only) && !refused)
}

/// The canonical form of a request field, for comparison by `Vary` (RFC 9111 4.1): lines combined, whitespace around
/// commas left out. Negotiation fields are also lower case with their members in order of weight, since in them
/// neither case nor place means anything. Fields that are no lists are only trimmed.
pub fn canonical<'a>(name: &str, values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    match name {
        "accept-encoding" | "accept-language" => negotiation(values),
        // Trimmed again: an empty line leaves a separator with nothing behind it.
        "cookie" => trim(&joined(values.map(trim), b"; ")).to_vec(),
        "authorization" | "proxy-authorization" | "user-agent" | "referer" | "origin" | "host" => {
            trim(&joined(values.map(trim), b", ")).to_vec()
        }
        _ => joined(values.flat_map(members_and_gaps), b","),
    }
}

/// A member of a negotiation field.
struct Weighted<'a> {
    name: &'a str,
    /// 0 to 1000.
    weight: u16,
}

/// The members in order. One that is malformed is left out: nothing is known of what it wants.
fn weighted<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<Weighted<'a>> {
    let read = |member: &'a [u8]| {
        let mut parts = parameters(member);
        let name = std::str::from_utf8(parts.next()?).ok().filter(|name| is_range(name))?;
        let mut weight = 1000;
        for part in parts {
            if let [b'q' | b'Q', b'=', digits @ ..] = part {
                weight = qvalue(digits)?;
            }
        }
        Some(Weighted { name, weight })
    };
    values.flat_map(members).filter_map(read).collect()
}

/// Codings and language ranges: letters, digits, `-`, `_`, `*`, `.`.
fn is_range(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'.'))
}

/// RFC 9110 12.4.2, in thousandths.
fn qvalue(digits: &[u8]) -> Option<u16> {
    let (whole, fraction) = match digits {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut thousandths = fraction.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    for _ in fraction.len()..3 {
        thousandths *= 10;
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// RFC 9110 8.4.1: "x-gzip" is "gzip", "x-compress" is "compress".
fn same_coding(wanted: &str, coding: &str) -> bool {
    let alias = |plain: &str| coding.eq_ignore_ascii_case(plain) && wanted.eq_ignore_ascii_case(&format!("x-{plain}"));
    wanted.eq_ignore_ascii_case(coding) || alias("gzip") || alias("compress")
}

/// The range, and the range without its last subtags, one after the other; a single letter goes with what follows it.
fn lookup_steps(range: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(range), |range| {
        let (shorter, _) = range.rsplit_once('-')?;
        match shorter.rsplit_once('-') {
            Some((rest, single)) if single.len() == 1 => Some(rest),
            _ => Some(shorter),
        }
    })
}

/// Basic filtering, RFC 4647 3.3.1.
fn is_within(language: &str, range: &str) -> bool {
    language
        .split_at_checked(range.len())
        .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(range) && (rest.is_empty() || rest.starts_with('-')))
}

fn negotiation<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let lower = |want: Weighted<'_>| (Reverse(want.weight), want.name.to_ascii_lowercase());
    let mut wanted: Vec<_> = weighted(values).into_iter().map(lower).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let text = |(weight, name)| match weight {
        Reverse(1000) => name,
        Reverse(weight) => format!("{name};q=0.{weight:03}"),
    };
    wanted.into_iter().map(text).collect::<Vec<_>>().join(",").into_bytes()
}

fn joined<'a>(parts: impl Iterator<Item = &'a [u8]>, separator: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, part) in parts.enumerate() {
        if index > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn lines<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        lines.iter().map(|line| line.as_bytes())
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn encodings_are_what_both_sides_know_in_our_order() {
        for (values, want) in [
            (&["gzip, deflate, br, zstd"][..], "br, gzip"),
            (&["gzip"], "gzip"),
            (&["GZIP;q=1.0"], "gzip"),
            (&["X-gzip"], "gzip"),
            (&["gzip", "br"], "br, gzip"),
            (&["br;q=0, gzip"], "gzip"),
            (&["br;q=0.001"], "br"),
            (&["*"], "br, gzip"),
            (&["*, br;q=0"], "gzip"),
            (&["*;q=0"], "identity"),
            (&["gzip;q=2"], "identity"),
            (&["gzip;q=0.0001"], "identity"),
            (&["gzip;q="], "identity"),
            (&["identity"], "identity"),
            (&["deflate"], "identity"),
            (&[""], "identity"),
            (&[], "identity"),
            (&["gz\"ip, br"], "identity"),
        ] {
            assert_eq!(choose_encodings(lines(values), &list(&["br", "gzip"])), want, "{values:?}");
        }
    }

    #[test]
    fn languages_are_looked_up_by_weight() {
        for (values, want) in [
            (&["de"][..], "de"),
            (&["DE-at"], "de"),
            (&["de-Latn-AT-x-foo"], "de"),
            (&["fr, de;q=0.5"], "de"),
            (&["fr-CA, de"], "fr-CA"),
            (&["fr;q=0.5, de;q=0.9"], "de"),
            (&["es, fr"], "fr-CA"),
            (&["es"], "en"),
            (&["*"], "en"),
            (&["es, *;q=0.1"], "en"),
            (&["en;q=0, *"], "de"),
            (&["en;q=0, de;q=0, fr-CA;q=0"], "en"),
            // Of what is said of one language, the refusal counts.
            (&["de, fr-CA;q=0.5, de;q=0"], "fr-CA"),
            (&["d"], "en"),
            (&["de;q=nonsense"], "en"),
            (&[""], "en"),
            (&[], "en"),
        ] {
            assert_eq!(choose_language(lines(values), &list(&["en", "de", "fr-CA"])), want, "{values:?}");
        }
        assert_eq!(choose_language(lines(&["de"]), &[]), "");
    }

    #[test]
    fn the_one_language_liked_best_is_preferred() {
        for (value, language, want) in [
            ("fr;q=0.5, de;q=1.0", "de", true),
            ("fr;q=0.5, de;q=1.0", "DE", true),
            ("fr;q=0.5, de;q=1.0", "fr", false),
            ("en, de", "de", false),
            ("de-AT", "de", false),
            ("de;q=0", "de", false),
            ("de;q=0, DE", "de", false),
            ("de, fr;q=0", "de", true),
            ("", "", false),
            ("de", "de, en", false),
        ] {
            assert_eq!(prefers_language(lines(&[value]), language.as_bytes()), want, "{value} {language}");
        }
    }

    #[test]
    fn canonical_forms_are_equal_where_fields_mean_the_same() {
        for (name, left, right, same) in [
            ("foo", &["1, 2"][..], &["1", "2"][..], true),
            ("foo", &["1,2"], &[" 1, 2 "], true),
            ("foo", &["1,2"], &["2,1"], false),
            ("foo", &["a"], &["A"], false),
            ("foo", &["1,,2"], &["1,2"], false),
            ("foo", &["\"1, 2\""], &["\"1,2\""], false),
            ("accept-language", &["en, de"], &["de, en"], true),
            ("accept-language", &["en, de"], &["eN, De"], true),
            ("accept-language", &["en, de"], &[" en ,   de"], true),
            ("accept-language", &["en, de;q=0.8"], &["en;q=1.000, de; q=0.80"], true),
            ("accept-language", &["en, de;q=0.8"], &["de, en;q=0.8"], false),
            ("accept-language", &["en"], &["en, de"], false),
            ("accept-encoding", &["gzip, br"], &["br", "GZIP"], true),
            ("accept-encoding", &["gzip"], &["gzip;q=0"], false),
            ("cookie", &["a=1, 2"], &["a=1,2"], false),
            ("cookie", &["a=1; b=2"], &["a=1", "b=2"], true),
            ("authorization", &["Basic a,b"], &["Basic a, b"], false),
        ] {
            let equal = canonical(name, lines(left)) == canonical(name, lines(right));
            assert_eq!(equal, same, "{name}: {left:?} {right:?}");
        }
    }

    #[test]
    fn canonical_forms_are_canonical_for_any_bytes() {
        let supported = list(&["br", "gzip"]);
        hostile::each(4_000, |value| {
            for name in ["foo", "cookie", "accept-language"] {
                let once = canonical(name, [value].into_iter());
                assert_eq!(canonical(name, [once.as_slice()].into_iter()), once, "{name}");
            }
            let chosen = choose_encodings([value].into_iter(), &supported);
            assert_eq!(choose_encodings([chosen.as_bytes()].into_iter(), &supported), chosen);
            assert!(supported.contains(&choose_language([value].into_iter(), &supported)));
        });
    }
}
