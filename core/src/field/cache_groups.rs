//! `Cache-Groups` and `Cache-Group-Invalidation` (RFC 9875): lists of strings.
//!
//! Reads only. That groups are those of one origin, and that only responses to unsafe methods invalidate, is for
//! callers.

use sfv::{BareItem, List, ListEntry, Parser};

use crate::fields::Fields;

/// The groups that a response belongs to. Malformed: none (RFC 9651 1.1 has such a field ignored).
pub fn groups(fields: &Fields) -> Vec<String> {
    read(fields, "cache-groups").unwrap_or_default()
}

/// The groups that a response to an unsafe request invalidates. Malformed: none.
pub fn invalidations(fields: &Fields) -> Vec<String> {
    read(fields, "cache-group-invalidation").unwrap_or_default()
}

/// The strings of a list; `None` where it is malformed, nothing where it is absent. Parameters are ignored.
pub(crate) fn read(fields: &Fields, name: &str) -> Option<Vec<String>> {
    let Some(value) = fields.joined(name) else { return Some(Vec::new()) };
    let list: List = Parser::new(&value).parse().ok()?;
    let text = |entry: ListEntry| match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    list.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn groups_are_strings_and_nothing_else() {
        for (lines, want) in [
            (&[][..], &[][..]),
            (&[r#""scripts", "a b""#], &["scripts", "a b"]),
            (&[r#""a""#, r#""b";x=1"#], &["a", "b"]),
            (&[r#""q\"uote""#], &["q\"uote"]),
            (&["scripts"], &[]),
            (&[r#""a", 1"#], &[]),
            (&[r#"("a" "b")"#], &[]),
            (&[r#""a"#], &[]),
            (&[r#""ü""#], &[]),
            (&[""], &[]),
        ] {
            let mut fields = Fields::new();
            for line in lines {
                fields.add("cache-groups", *line);
                fields.add("cache-group-invalidation", *line);
            }
            assert_eq!(groups(&fields), want, "{lines:?}");
            assert_eq!(invalidations(&fields), want, "{lines:?}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        hostile::each_fields(&["cache-groups", "cache-group-invalidation"], 2_000, |fields| {
            groups(fields);
            invalidations(fields);
        });
    }
}
