//! `Vary` (RFC 9110 12.5.5).
//!
//! A value that cannot be read counts as `*`: nothing is known of what the response depends on.

use super::syntax::{lower_token, members};
use crate::fields::Fields;

/// What a response's selection depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// `*`, or what cannot be read: no other request may get it.
    Any,
    /// These request fields: lower case, sorted, each once. Empty where there is no `Vary`.
    Names(Vec<String>),
}

/// Reads a response's `Vary`.
pub fn parse(fields: &Fields) -> Vary {
    let mut names = Vec::new();
    for member in fields.all("vary").flat_map(members) {
        match lower_token(member) {
            Some(name) if name != "*" => names.push(name),
            _ => return Vary::Any,
        }
    }
    names.sort_unstable();
    names.dedup();
    Vary::Names(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_a_sorted_set_and_any_star_is_any() {
        for (lines, want) in [
            (&[][..], Some(&[][..])),
            (&[""], Some(&[])),
            (&["Accept-Encoding"], Some(&["accept-encoding"])),
            (&["Foo, bar ,FOO"], Some(&["bar", "foo"])),
            (&["b", "a"], Some(&["a", "b"])),
            (&["*"], None),
            (&["*, *"], None),
            (&["*", "*"], None),
            (&[", *"], None),
            (&["", "*"], None),
            (&["*, Foo"], None),
            (&["Foo, *"], None),
            (&["Foo Bar"], None),
            (&["\"Foo\""], None),
            (&["Foo;x"], None),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("vary", *line));
            let want = want.map(|names| names.iter().map(ToString::to_string).collect());
            assert_eq!(parse(&fields), want.map_or(Vary::Any, Vary::Names), "{lines:?}");
        }
    }

    #[test]
    fn no_bytes_give_a_name_that_no_request_can_carry() {
        hostile::each_fields(&["vary"], 2_000, |fields| {
            if let Vary::Names(names) = parse(fields) {
                assert!(names.iter().all(|name| super::super::syntax::is_token(name.as_bytes()) && name != "*"));
            }
        });
    }
}
