//! `Age` (RFC 9111 5.1).
//!
//! RFC 9111 5.1: of a list the first member counts, and what is then no number is ignored. Overflow is the largest age.

use super::syntax::trim;
use crate::fields::Fields;
use crate::time::Seconds;

/// The age that the response came with; `None` where the field is absent or says nothing.
pub fn parse(fields: &Fields) -> Option<Seconds> {
    let first = fields.first("age")?;
    let member = first.split(|byte| *byte == b',').next().unwrap_or_default();
    // No parameters are defined for it, but what begins as an age is one: ignoring it would make the response younger.
    let number = member.split(|byte| *byte == b';').next().unwrap_or_default();
    Seconds::parse(trim(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn rfc_9111_5_1_the_first_number_counts_and_what_is_none_is_ignored() {
        let max = Some(Seconds::MAX.get());
        for (lines, want) in [
            (&[][..], None),
            (&["0"], Some(0)),
            (&[" 30 "], Some(30)),
            (&["99999999999999"], max),
            (&["0,7200"], Some(0)),
            (&["7200,0"], Some(7200)),
            (&["0, 0"], Some(0)),
            (&["0, 7200"], Some(0)),
            (&["3600, 3600"], Some(3600)),
            (&["0", "7200"], Some(0)),
            (&["7200", "0"], Some(7200)),
            (&["7200;foo=bar"], Some(7200)),
            (&["1,"], Some(1)),
            (&["abc"], None),
            (&["abc, 1"], None),
            (&["-7200"], None),
            (&["7200.0"], None),
            (&[""], None),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("Age", *line));
            assert_eq!(parse(&fields).map(Seconds::get), want, "{lines:?}");
        }
    }

    #[test]
    fn an_age_needs_a_field_and_no_bytes_panic() {
        hostile::each_fields(&["age"], 2_000, |fields| {
            assert!(parse(fields).is_none() || fields.has("age"));
        });
    }
}
