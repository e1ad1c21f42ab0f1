//! The tags that a response's fields give it: `Surrogate-Key`, `Cache-Tag`, `Cache-Groups` and others of their kind.
//!
//! A response with a tag that cannot be kept must not be stored, since it could not be purged by that tag: `refused`.

use super::{cache_groups, syntax::trim};
use crate::edge;
use crate::fields::Fields;

/// The longest tag that is kept, in bytes.
pub const TAG_BYTES_MAX: usize = 256;

/// The most that a policy lets an entry have; of more, the rest is not even looked at.
const TAGS_MAX: usize = 256;

/// Tags read from a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Each once, in order of arrival.
    pub tags: Vec<String>,
    /// Whether there was one that cannot be kept: one too many, too long, not UTF-8, with control characters, or in a field that is
    /// malformed.
    pub refused: bool,
}

/// Reads the fields `names` (lower case): spaces part the tags of `surrogate-key`, commas those of `cache-tag` and `x-larder-tags`;
/// `cache-groups` is RFC 9875's; in any other field both spaces and commas part them.
pub fn tags(fields: &Fields, names: impl IntoIterator<Item = impl AsRef<str>>) -> Tags {
    let mut read = Tags::default();
    for name in names {
        let name = name.as_ref();
        if name == "cache-groups" {
            match cache_groups::read(fields, name) {
                Some(groups) => groups.iter().for_each(|group| read.add(group.as_bytes())),
                None => read.refused = true,
            }
            continue;
        }
        let parts = |byte: &u8| match name {
            "surrogate-key" => matches!(byte, b' ' | b'\t'),
            "cache-tag" | edge::TAGS => *byte == b',',
            _ => matches!(byte, b' ' | b'\t' | b','),
        };
        fields.all(name).flat_map(|line| line.split(parts)).for_each(|tag| read.add(trim(tag)));
    }
    read
}

/// The value of a field that is read like `cache-tag`. A tag with a comma is left out.
pub fn joined(tags: &[String]) -> Vec<u8> {
    tags.iter().filter(|tag| !tag.contains(',')).map(String::as_str).collect::<Vec<_>>().join(", ").into_bytes()
}

impl Tags {
    fn add(&mut self, tag: &[u8]) {
        if tag.is_empty() || (self.refused && self.tags.len() >= TAGS_MAX) {
            return;
        }
        match std::str::from_utf8(tag) {
            Ok(tag) if tag.len() <= TAG_BYTES_MAX && !tag.chars().any(char::is_control) => {
                if !self.tags.iter().any(|kept| kept == tag) {
                    match self.tags.len() {
                        TAGS_MAX.. => self.refused = true,
                        _ => self.tags.push(tag.to_owned()),
                    }
                }
            }
            _ => self.refused = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn names() -> Vec<String> {
        ["surrogate-key", "cache-tag", "cache-groups", "xkey"].map(str::to_owned).into()
    }

    #[test]
    fn what_is_listed_is_read_again() {
        let more = ["b", "a", "x y", "p,q"].map(str::to_owned);
        let fields = Fields::from_pairs([(edge::TAGS.to_owned(), joined(&more))]);
        assert_eq!(tags(&fields, &[edge::TAGS.to_owned()]).tags, ["b", "a", "x y"]);
        assert!(joined(&[]).is_empty());
    }

    #[test]
    fn each_field_parts_its_tags_in_its_own_way() {
        let long = "x".repeat(TAG_BYTES_MAX + 1);
        let longest = "x".repeat(TAG_BYTES_MAX);
        for (lines, want, refused) in [
            (&[][..], &[][..], false),
            (&[("surrogate-key", "a  b\tc,d")], &["a", "b", "c,d"], false),
            (&[("cache-tag", "a, b c ,,a")], &["a", "b c"], false),
            (&[("cache-groups", r#""a", "b c""#)], &["a", "b c"], false),
            (&[("xkey", "a b,c")], &["a", "b", "c"], false),
            (&[("cache-tag", "a"), ("surrogate-key", "b"), ("cache-tag", "c")], &["b", "a", "c"], false),
            (&[("cache-tag", "größe")], &["größe"], false),
            (&[("cache-tag", longest.as_str())], &[longest.as_str()], false),
            (&[("cache-tag", long.as_str())], &[], true),
            (&[("cache-tag", "a,b\u{1}")], &["a"], true),
            (&[("cache-groups", "nonsense")], &[], true),
            (&[("other", "a")], &[], false),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|(name, value)| fields.add(name, *value));
            assert_eq!(tags(&fields, names()), Tags { tags: list(want), refused }, "{lines:?}");
        }
        let mut fields = Fields::new();
        fields.add("cache-tag", b"a,\xff".to_vec());
        assert_eq!(tags(&fields, names()), Tags { tags: list(&["a"]), refused: true });
    }

    #[test]
    fn of_too_many_tags_the_rest_is_not_looked_at() {
        let many = (0..20_000).map(|n| format!("t{n}")).collect::<Vec<_>>();
        let read = |tags: &[String]| {
            super::tags(&Fields::from_pairs([("surrogate-key".to_owned(), tags.join(" ").into_bytes())]), names())
        };
        assert!(!read(&many[..TAGS_MAX]).refused);
        let read = read(&many);
        assert!(read.refused && read.tags.len() == TAGS_MAX);
    }

    fn list(tags: &[&str]) -> Vec<String> {
        tags.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tags_of_any_bytes_are_clean_and_short() {
        let names = names();
        hostile::each_fields(&["surrogate-key", "cache-tag", "cache-groups", "xkey"], 3_000, |fields| {
            for tag in tags(fields, &names).tags {
                assert!(!tag.is_empty() && tag.len() <= TAG_BYTES_MAX && !tag.contains(char::is_control));
            }
        });
    }
}
