//! How far the value that begins at some byte of a JSON text reaches, for carets.

use std::ops::Range;

/// The bytes of the string, number or word that begins at `at`; a bracket stands for all that it encloses. Never empty,
/// unless the text ends there, and never over a line's end.
pub fn span_at(text: &str, at: usize) -> Range<usize> {
    let rest = text.get(at..).unwrap_or_default();
    let length = match rest.bytes().next() {
        None => 0,
        Some(b'"') => string_length(rest),
        Some(byte) if is_word(byte) => rest.bytes().take_while(|byte| is_word(*byte)).count(),
        Some(_) => rest.chars().next().map_or(0, char::len_utf8),
    };
    at..at + length
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// A string with its quotes, or what of it stands on its line.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\n' | b'\r' => return index,
            b'"' if !escaped => return index + 1,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_are_spanned_whole_and_brackets_alone() {
        for (text, at, want) in [
            (r#"{"a\"b": 1}"#, 1, r#""a\"b""#),
            (r#"{"a": -1.5e+3}"#, 6, "-1.5e+3"),
            (r#"{"a": true}"#, 6, "true"),
            (r#"{"a": [1]}"#, 6, "["),
            ("{\"a\n", 1, "\"a"),
            ("'é'", 1, "é"),
            ("", 0, ""),
            ("x", 9, ""),
        ] {
            assert_eq!(text.get(span_at(text, at)).unwrap_or_default(), want, "{text}");
        }
    }
}
