//! `ETag` and the lists of tags in `If-Match` and `If-None-Match` (RFC 9110 8.8.3, 13.1.1, 13.1.2).
//!
//! Reads leniently what is in use in the field: tags without quotes count as quoted, `w/` counts as `W/`. A tag that
//! is otherwise malformed keeps its bytes, so that it still equals itself; it is weak, so that no range is built on
//! it.

use super::syntax::{entity_tags, trim};

/// An entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it is weak.
    pub weak: bool,
    /// What is inside the quotes. A malformed tag is here whole, quotes included.
    pub opaque: Vec<u8>,
}

impl EntityTag {
    /// Reads an `ETag` value; `None` where there is nothing to compare.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (weak, tag) = match value {
            [b'W' | b'w', b'/', tag @ ..] => (true, tag),
            tag => (false, tag),
        };
        match tag {
            [b'"', opaque @ .., b'"'] if opaque.iter().all(|byte| is_opaque_byte(*byte)) => {
                Some(Self { weak, opaque: opaque.to_vec() })
            }
            // `*` would turn into "any" when sent in a condition.
            [] | [b'*'] => None,
            _ if tag.iter().all(|byte| is_opaque_byte(*byte) && *byte != b',') => {
                Some(Self { weak, opaque: tag.to_vec() })
            }
            _ if value.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b',') => {
                Some(Self { weak: true, opaque: value.to_vec() })
            }
            _ => None,
        }
    }

    /// Strong comparison (RFC 9110 8.8.3.2): both strong and equal.
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison: equal, weak or not.
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The tag as it is written in a field.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.opaque.contains(&b'"') {
            return self.opaque.clone();
        }
        let prefix: &[u8] = if self.weak { b"W/\"" } else { b"\"" };
        [prefix, &self.opaque, b"\""].concat()
    }
}

/// What `If-Match` or `If-None-Match` ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagCondition {
    /// `*`: any current representation.
    Any,
    /// One of these.
    Tags(Vec<EntityTag>),
}

impl TagCondition {
    /// Reads the lines of the field; `None` where it is absent. A field that names no tag matches nothing.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut values = values.peekable();
        values.peek()?;
        let mut tags = Vec::new();
        for value in values {
            if trim(value) == b"*" {
                return Some(Self::Any);
            }
            tags.extend(entity_tags(value).filter_map(EntityTag::parse));
        }
        Some(Self::Tags(tags))
    }
}

/// etagc of RFC 9110 8.8.3, obs-text included.
const fn is_opaque_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn tags_are_read_leniently_and_written_strictly() {
        for (value, want) in [
            (r#""abc""#, Some((false, "abc", r#""abc""#))),
            (r#" "abc" "#, Some((false, "abc", r#""abc""#))),
            (r#"W/"abc""#, Some((true, "abc", r#"W/"abc""#))),
            (r#"w/"abc""#, Some((true, "abc", r#"W/"abc""#))),
            (r#""""#, Some((false, "", r#""""#))),
            (r#""a,b\c""#, Some((false, r"a,b\c", r#""a,b\c""#))),
            ("\"abcü\"", Some((false, "abcü", "\"abcü\""))),
            ("abc", Some((false, "abc", r#""abc""#))),
            (r#"W"abc""#, Some((true, r#"W"abc""#, r#"W"abc""#))),
            (r#"W\"abc""#, Some((true, r#"W\"abc""#, r#"W\"abc""#))),
            (r#""abc"#, Some((true, r#""abc"#, r#""abc"#))),
            ("", None),
            ("*", None),
            ("W/", None),
            ("a b", None),
            ("\"a b\"", None),
            ("\"a\u{7f}\"", None),
            ("\"a\0\"", None),
        ] {
            let read = EntityTag::parse(value.as_bytes());
            let want = want.map(|(weak, opaque, text)| (weak, opaque.as_bytes().to_vec(), text.as_bytes().to_vec()));
            assert_eq!(read.map(|tag| (tag.weak, tag.opaque.clone(), tag.to_bytes())), want, "{value}");
        }
    }

    #[test]
    fn comparison_follows_the_table_of_rfc_9110_8_8_3_2() {
        for (left, right, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""1""#, "1", true, true),
            (r#""1""#, r#""a""#, false, false),
        ] {
            let [left, right] = [left, right].map(|value| EntityTag::parse(value.as_bytes()).unwrap());
            assert_eq!((left.strong_eq(&right), left.weak_eq(&right)), (strong, weak), "{left:?} {right:?}");
        }
    }

    #[test]
    fn conditions_are_any_or_a_list() {
        let tags = |lines: &[&str]| TagCondition::parse(lines.iter().map(|line| line.as_bytes()));
        let list = |texts: &[&str]| {
            Some(TagCondition::Tags(texts.iter().map(|text| EntityTag::parse(text.as_bytes()).unwrap()).collect()))
        };
        assert_eq!(tags(&[]), None);
        assert_eq!(tags(&["*"]), Some(TagCondition::Any));
        assert_eq!(tags(&[r#""a""#, " * "]), Some(TagCondition::Any));
        assert_eq!(tags(&[r#""a", W/"b","c,d""#]), list(&[r#""a""#, r#"W/"b""#, r#""c,d""#]));
        assert_eq!(tags(&[r#""a""#, r#""b""#]), list(&[r#""a""#, r#""b""#]));
        assert_eq!(tags(&["a, b"]), list(&["a", "b"]));
        assert_eq!(tags(&["", " ,"]), list(&[]));
        // A star among tags is no tag and is not "any".
        assert_eq!(tags(&[r#""a", *"#]), list(&[r#""a""#]));
    }

    #[test]
    fn what_is_written_reads_back_as_itself() {
        hostile::each(5_000, |value| {
            if let Some(tag) = EntityTag::parse(value) {
                let back = EntityTag::parse(&tag.to_bytes()).unwrap();
                assert!(tag.weak_eq(&back), "{tag:?} {back:?}");
                assert_eq!(tag.weak, back.weak, "{tag:?}");
                assert!(tag.to_bytes().iter().all(|byte| *byte > b' '));
            }
            TagCondition::parse([value, value].into_iter());
        });
    }
}
