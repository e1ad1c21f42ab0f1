//! The pieces that most field values are made of (RFC 9110 5.6): tokens, optional whitespace, comma lists.
//!
//! Knows no field by name. Works on raw bytes and copies nothing.

/// `value` without the whitespace (RFC 9110 5.6.3: space, tab) around it.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `byte` may stand in a token (RFC 9110 5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether `value` is a token.
pub(crate) fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| is_token_byte(*byte))
}

/// `value` as a lower-case token; `None` where it is not one.
pub(crate) fn lower_token(value: &[u8]) -> Option<String> {
    is_token(value).then(|| value.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect())
}

/// The trimmed, non-empty members of a comma list. Commas inside quoted strings do not part members; an unterminated
/// quoted string runs to the end of the value.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(value), escapes: true, separator: b',' }.filter(|member| !member.is_empty())
}

/// As [`members`], with empty members kept, since an unknown field may not be a list at all.
pub(crate) fn members_and_gaps(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(value), escapes: true, separator: b',' }
}

/// As [`members`], for entity tags: a backslash inside the quotes is an ordinary byte there (RFC 9110 8.8.3).
pub(crate) fn entity_tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(value), escapes: false, separator: b',' }.filter(|member| !member.is_empty())
}

/// The trimmed parts of a member that semicolons part: its value first, then its parameters.
pub(crate) fn parameters(member: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(member), escapes: true, separator: b';' }
}

/// Whether a quoted string in `value` is left open.
pub(crate) fn leaves_quote_open(value: &[u8]) -> bool {
    let mut quotes = Quotes { escapes: true, ..Quotes::default() };
    for byte in value {
        quotes.step(*byte);
    }
    quotes.inside
}

/// The text of a quoted string, unescaped; `None` where `value` is not exactly one.
pub(crate) fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = value else { return None };
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => text.push(*bytes.next()?),
            _ => text.push(*byte),
        }
    }
    Some(text)
}

struct Members<'a> {
    rest: Option<&'a [u8]>,
    escapes: bool,
    separator: u8,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut quotes = Quotes { escapes: self.escapes, ..Quotes::default() };
        let end = rest.iter().position(|byte| quotes.step(*byte) && *byte == self.separator);
        let (member, tail) = match end.and_then(|at| rest.split_at_checked(at)) {
            Some((member, [_separator, tail @ ..])) => (member, Some(tail)),
            _ => (rest, None),
        };
        self.rest = tail;
        Some(trim(member))
    }
}

/// Follows quoted strings byte by byte.
#[derive(Default)]
struct Quotes {
    inside: bool,
    escaped: bool,
    escapes: bool,
}

impl Quotes {
    /// Takes the next byte in; whether it stands outside of quoted strings.
    fn step(&mut self, byte: u8) -> bool {
        match (self.inside, byte) {
            (true, _) if self.escaped => self.escaped = false,
            (true, b'\\') if self.escapes => self.escaped = true,
            (_, b'"') => self.inside = !self.inside,
            (false, _) => return true,
            (true, _) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn texts<'a>(members: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        members.map(|member| String::from_utf8_lossy(member).into_owned()).collect()
    }

    #[test]
    fn members_are_parted_by_commas_outside_of_quotes() {
        for (value, want) in [
            ("a, b ,c", vec!["a", "b", "c"]),
            (",a,, \t,b,", vec!["a", "b"]),
            (r#"a="1, 2", b"#, vec![r#"a="1, 2""#, "b"]),
            (r#"a="1\", 2", b"#, vec![r#"a="1\", 2""#, "b"]),
            (r#"a="1, b"#, vec![r#"a="1, b"#]),
            ("", vec![]),
        ] {
            assert_eq!(texts(members(value.as_bytes())), want, "{value}");
        }
        assert_eq!(texts(members_and_gaps(b"a,, b")), ["a", "", "b"]);
        assert_eq!(texts(entity_tags(br#""a\", "b,c""#)), [r#""a\""#, r#""b,c""#]);
        assert_eq!(texts(parameters(br#"br; q=0.5 ;x="a;b""#)), ["br", "q=0.5", r#"x="a;b""#]);
    }

    #[test]
    fn quoted_strings_are_taken_apart() {
        for (value, want) in [
            (r#""abc""#, Some("abc")),
            (r#""a\"b\\""#, Some(r#"a"b\"#)),
            (r#""""#, Some("")),
            (r#"""#, None),
            (r#""a"b""#, None),
            (r#""a\""#, None),
            ("abc", None),
        ] {
            assert_eq!(unquote(value.as_bytes()).as_deref(), want.map(str::as_bytes), "{value}");
        }
        assert!(leaves_quote_open(br#"a="b, c"#) && leaves_quote_open(br#""\""#) && !leaves_quote_open(br#"a="b""#));
    }

    #[test]
    fn members_lose_no_byte_but_commas_and_whitespace() {
        hostile::each(2_000, |value| {
            let solid = |bytes: &[u8]| bytes.iter().filter(|b| !matches!(b, b',' | b' ' | b'\t')).count();
            assert_eq!(solid(value), members(value).map(solid).sum::<usize>());
        });
    }
}
