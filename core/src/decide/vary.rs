//! Secondary keys (RFC 9111 4.1): which stored variant a request may get.
//!
//! Compares canonical forms, so that requests that mean the same get the same variant. Choosing among variants that
//! match is for callers.

use crate::field::accept::{canonical, prefers_language};
use crate::field::vary::Vary;
use crate::fields::Fields;

/// The request fields that a response varies by, with what the request that fetched it said: `None` where it said
/// nothing, which is different from an empty field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaryKey(pub Vec<(String, Option<Vec<u8>>)>);

impl VaryKey {
    /// The key that `request` has under `names` (lower case).
    pub fn of(names: &[String], request: &Fields) -> Self {
        Self(names.iter().map(|name| (name.clone(), value(name, request))).collect())
    }

    /// RFC 9111 4.1 (MUST): whether every field matches that of the request that fetched the response.
    pub fn matches(&self, request: &Fields) -> bool {
        self.0.iter().all(|(name, stored)| is_equal(stored.as_deref(), name, request))
    }

    /// As [`VaryKey::matches`]; besides, `Accept-Language` also matches where the response is in the very language
    /// that the request likes best (RFC 9111 4.1: normalising "in a way that is known to have identical semantics").
    pub fn matches_language(&self, request: &Fields, content_language: Option<&[u8]>) -> bool {
        self.0.iter().all(|(name, stored)| {
            let liked = |language| name == "accept-language" && prefers_language(request.all(name), language);
            is_equal(stored.as_deref(), name, request) || content_language.is_some_and(liked)
        })
    }
}

/// The first field that a response varies by but must not: `*`, or one that is neither in `allow` (`None` allows all)
/// nor part of the primary key already.
pub fn not_allowed(vary: &Vary, allow: Option<&[String]>, keyed: &[String]) -> Option<String> {
    let names = match vary {
        Vary::Any => return Some("*".to_owned()),
        Vary::Names(names) => names,
    };
    let allow = allow?;
    names.iter().find(|name| !allow.contains(name) && !keyed.contains(name)).cloned()
}

fn is_equal(stored: Option<&[u8]>, name: &str, request: &Fields) -> bool {
    let mut lines = request.all(name);
    match (stored, lines.next(), lines.next()) {
        (None, None, _) => true,
        // The stored form is canonical: what is equal to it as it stands needs no rewriting.
        (Some(stored), Some(only), None) if stored == only => true,
        (Some(stored), Some(_), _) => stored == canonical(name, request.all(name)),
        _ => false,
    }
}

fn value(name: &str, request: &Fields) -> Option<Vec<u8>> {
    request.has(name).then(|| canonical(name, request.all(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        fields
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rfc_9111_4_1_all_fields_named_must_match() {
        for (vary, stored, request, want) in [
            (&[][..], &[("foo", "1")][..], &[("foo", "2")][..], true),
            (&["foo"], &[("foo", "1")], &[("foo", "1")], true),
            (&["foo"], &[("foo", "1")], &[("foo", "2")], false),
            (&["foo"], &[], &[("foo", "1")], false),
            (&["foo"], &[("foo", "1")], &[], false),
            (&["foo"], &[("foo", "")], &[], false),
            (&["foo"], &[("foo", "1"), ("other", "2")], &[("foo", "1"), ("other", "3")], true),
            (&["bar", "foo"], &[("foo", "1"), ("bar", "abc")], &[("bar", "abc"), ("foo", "1")], true),
            (&["bar", "foo"], &[("foo", "1"), ("bar", "abc")], &[("bar", "abcd"), ("foo", "1")], false),
            (&["bar", "foo"], &[("foo", "1")], &[("foo", "1")], true),
            (&["foo"], &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")], true),
            (&["foo"], &[("foo", "1,2")], &[("foo", " 1, 2 ")], true),
            (&["accept-language"], &[("accept-language", "en, de")], &[("accept-language", "De,eN")], true),
        ] {
            let key = VaryKey::of(&names(vary), &fields(stored));
            assert_eq!(key.matches(&fields(request)), want, "{vary:?} {stored:?} {request:?}");
        }
    }

    #[test]
    fn a_response_in_the_language_liked_best_matches() {
        let key = VaryKey::of(&names(&["accept-language", "foo"]), &fields(&[("accept-language", "en, de")]));
        for (request, language, want) in [
            (&[("accept-language", "fr;q=0.5, de;q=1.0")][..], Some("de"), true),
            (&[("accept-language", "fr;q=0.5, de;q=1.0"), ("foo", "1")], Some("de"), false),
            (&[("accept-language", "fr, de;q=0.5")], Some("de"), false),
            (&[("accept-language", "fr;q=0.5, de;q=1.0")], None, false),
            (&[("accept-language", "en, de")], None, true),
            (&[], Some("de"), false),
        ] {
            let got = key.matches_language(&fields(request), language.map(str::as_bytes));
            assert_eq!(got, want, "{request:?} {language:?}");
        }
    }

    #[test]
    fn only_fields_allowed_or_keyed_may_be_varied_by() {
        let vary = |list: &[&str]| Vary::Names(names(list));
        let (allow, keyed) = (names(&["accept"]), names(&["x-tenant"]));
        for (vary, want) in [
            (Vary::Any, Some("*")),
            (vary(&[]), None),
            (vary(&["accept", "x-tenant"]), None),
            (vary(&["accept", "user-agent"]), Some("user-agent")),
        ] {
            assert_eq!(not_allowed(&vary, Some(&allow), &keyed).as_deref(), want, "{vary:?}");
        }
        assert_eq!(not_allowed(&vary(&["user-agent"]), None, &[]), None);
        assert_eq!(not_allowed(&Vary::Any, None, &[]).as_deref(), Some("*"));
    }

    #[test]
    fn every_request_matches_its_own_key() {
        let vary = names(&["accept-language", "cookie", "foo"]);
        hostile::each_fields(&["accept-language", "cookie", "foo"], 3_000, |fields| {
            let key = VaryKey::of(&vary, fields);
            assert!(key.matches(fields) && key.matches_language(fields, Some(b"de")));
        });
    }
}
