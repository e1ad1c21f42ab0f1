//! `Age` (RFC 9111 5.1).
//!
//! What is not plainly one number is the largest age, so that the response is stale: RFC 9111 would have a cache
//! ignore such a field, which makes a response look younger than it may be.

use super::syntax::trim;
use crate::fields::Fields;
use crate::time::Seconds;

/// The age that the response came with; `None` where the field is absent.
///
/// A bare list of numbers counts as its first member (RFC 9111 5.1). Anything looser, such as several lines, counts
/// as malformed.
pub fn parse(fields: &Fields) -> Option<Seconds> {
    let mut lines = fields.all("age");
    let only = lines.next()?;
    if lines.next().is_some() {
        return Some(Seconds::MAX);
    }
    let mut first = None;
    for member in trim(only).split(|byte| *byte == b',') {
        let Some(age) = Seconds::parse(member) else { return Some(Seconds::MAX) };
        first = first.or(Some(age));
    }
    first.or(Some(Seconds::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_age_is_one_number_or_the_largest() {
        let max = Some(Seconds::MAX.get());
        for (lines, want) in [
            (&[][..], None),
            (&["0"], Some(0)),
            (&[" 30 "], Some(30)),
            (&["99999999999999"], max),
            (&["0,7200"], Some(0)),
            (&["7200,0"], Some(7200)),
            (&["0, 0"], max),
            (&["3600, 3600"], max),
            (&["0", "7200"], max),
            (&["0", "0"], max),
            (&["abc"], max),
            (&["-7200"], max),
            (&["7200.0"], max),
            (&["7200;foo=bar"], max),
            (&["1,"], max),
            (&[""], max),
        ] {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.add("Age", *line));
            assert_eq!(parse(&fields).map(Seconds::get), want, "{lines:?}");
        }
    }

    #[test]
    fn a_field_that_is_there_gives_an_age() {
        hostile::each_fields(&["age"], 2_000, |fields| {
            assert_eq!(parse(fields).is_some(), fields.has("age"));
        });
    }
}
