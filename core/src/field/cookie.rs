//! `Cookie` (RFC 6265 5.4), read leniently: what a server might take for a cookie is one.
//!
//! Knows no cookie by name; policies do.

use super::syntax::trim;
use crate::fields::Fields;

/// The name and value of each cookie, in order of arrival. HTTP/2 may send several lines (RFC 9113 8.2.3).
pub fn cookies(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    let pairs = fields.all("cookie").flat_map(|line| line.split(|byte| *byte == b';')).map(trim);
    pairs.filter(|pair| !pair.is_empty()).map(parted).collect()
}

/// The values of every cookie of this name, joined; `None` where there is none. Servers differ in which of several
/// cookies of one name they take, so a key that holds less than all of them could be shared by requests that are
/// answered differently.
pub fn values(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let named = cookies(fields).into_iter().filter(|(other, _)| *other == name.as_bytes());
    let values: Vec<&[u8]> = named.map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.join(&b';'))
}

/// Whether a cookie's name is meant by a pattern: equal, or beginning with it up to a `*` at its end.
pub fn name_matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

/// Without `=` it is all name, so that a pattern can match it.
fn parted(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|byte| *byte == b'=');
    match equals.and_then(|at| pair.split_at_checked(at)) {
        Some((name, [_equals, value @ ..])) => (trim(name), trim(value)),
        _ => (pair, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn cookies_are_pairs_over_all_lines() {
        for (lines, want) in [
            (&[][..], &[][..]),
            (&["a=1; b=2"], &[("a", "1"), ("b", "2")]),
            (&["a=1", "b=2"], &[("a", "1"), ("b", "2")]),
            (&["a=1;b=2; ;"], &[("a", "1"), ("b", "2")]),
            (&["a = 1"], &[("a", "1")]),
            (&["a=b=c"], &[("a", "b=c")]),
            (&["a"], &[("a", "")]),
            (&["=v"], &[("", "v")]),
            (&["a=\"1,2\""], &[("a", "\"1,2\"")]),
            (&["a=1; a=2"], &[("a", "1"), ("a", "2")]),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("cookie", *line));
            let want: Vec<_> = want.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            assert_eq!(cookies(&fields), want, "{lines:?}");
        }
    }

    #[test]
    fn values_of_one_name_are_taken_together() {
        let mut fields = Fields::new();
        fields.add("cookie", "a=1; b=2; a=3; c");
        fields.add("cookie", "a=4");
        for (name, want) in [("a", Some("1;3;4")), ("b", Some("2")), ("c", Some("")), ("A", None), ("", None)] {
            assert_eq!(values(&fields, name).as_deref(), want.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn patterns_match_whole_names_or_their_beginning() {
        for (pattern, name, want) in [
            ("sid", "sid", true),
            ("sid", "sid2", false),
            ("sid", "SID", false),
            ("_ga*", "_ga", true),
            ("_ga*", "_ga_X1", true),
            ("_ga*", "ga", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*b", "a*b", true),
            ("a*b", "axb", false),
        ] {
            assert_eq!(name_matches(pattern, name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn a_line_with_anything_in_it_has_a_cookie() {
        hostile::each_fields(&["cookie"], 2_000, |fields| {
            let anything = fields.all("cookie").any(|line| line.iter().any(|b| !matches!(b, b' ' | b'\t' | b';')));
            assert_eq!(!cookies(fields).is_empty(), anything);
        });
    }
}
