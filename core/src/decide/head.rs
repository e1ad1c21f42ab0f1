//! What a 200 to HEAD says about a stored response to GET (RFC 9111 4.3.5).
//!
//! Compares only. Whether a response with such a head may be stored is `store`'s matter.

use crate::fields::Fields;

/// What a HEAD comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is about the stored response, and updates it.
    Same,
    /// The stored response is another one, and not to be used any more.
    Other,
    /// Nothing that would tell.
    Nothing,
}

/// Compares the validators that a HEAD brings, and its length, with the fields that are stored, and their body's bytes.
/// `made_etag`: the stored tag was made here, and the origin does not know it.
///
/// RFC 9111 4.3.5 (SHOULD) updates where "the stored response and HEAD response have matching values for any received validator
/// fields", and so even where none was received. Here one has to be: an update makes what is stored fresh anew, and lifts
/// what a write invalidated, for a body that nobody compared. An equal length compares none either; another length contradicts.
pub fn compare(head: &Fields, length: Option<u64>, stored: &Fields, bytes: u64, made_etag: bool) -> Said {
    let names: &[&str] = if made_etag { &["last-modified"] } else { &["etag", "last-modified"] };
    let mut matching = names.iter().filter_map(|name| head.first(name).map(|said| stored.first(name) == Some(said)));
    let first = matching.next();
    if first == Some(false) || matching.any(|equal| !equal) || length.is_some_and(|length| length != bytes) {
        return Said::Other;
    }
    if first.is_some() { Said::Same } else { Said::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    use crate::testing::fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const DATE: (&str, &str) = ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    const LATER: (&str, &str) = ("last-modified", "Fri, 02 Jan 2026 00:00:00 GMT");
    const TAG: (&str, &str) = ("etag", "\"a\"");
    const OTHER: (&str, &str) = ("etag", "\"b\"");

    #[test]
    fn rfc_9111_4_3_5_validators_and_length_name_the_stored_response_or_contradict_it() {
        use Said::{Nothing, Other, Same};
        for (head, length, stored, made_etag, want) in [
            (&[TAG][..], None, &[TAG][..], false, Same),
            (&[TAG], Some(5), &[TAG], false, Same),
            (&[TAG], Some(6), &[TAG], false, Other),
            (&[OTHER], None, &[TAG], false, Other),
            (&[OTHER], Some(5), &[TAG], false, Other),
            (&[TAG], None, &[], false, Other),
            (&[DATE], None, &[DATE], false, Same),
            (&[DATE], None, &[TAG, DATE], false, Same),
            (&[LATER], None, &[DATE], false, Other),
            (&[DATE], None, &[], false, Other),
            (&[TAG, DATE], None, &[TAG, DATE], false, Same),
            (&[TAG, LATER], None, &[TAG, DATE], false, Other),
            (&[OTHER, DATE], None, &[TAG, DATE], false, Other),
            (&[], None, &[TAG, DATE], false, Nothing),
            (&[], Some(5), &[TAG, DATE], false, Nothing),
            (&[], Some(5), &[], false, Nothing),
            (&[], Some(0), &[], false, Other),
            // The stored tag is none of the origin's.
            (&[OTHER], None, &[TAG], true, Nothing),
            (&[OTHER, DATE], None, &[TAG, DATE], true, Same),
            (&[OTHER], Some(6), &[TAG], true, Other),
        ] {
            let got = compare(&fields(head), length, &fields(stored), 5, made_etag);
            assert_eq!(got, want, "{head:?} {length:?} against {stored:?} {made_etag}");
        }
    }

    #[test]
    fn a_head_without_validators_updates_nothing_for_any_bytes() {
        hostile::each_fields(&["etag", "last-modified", "age"], 2_000, |head| {
            let said = compare(head, None, &fields(&[TAG, DATE]), 5, false);
            let validators = head.has("etag") || head.has("last-modified");
            assert_eq!(said == Said::Nothing, !validators, "{head:?}");
        });
    }
}
