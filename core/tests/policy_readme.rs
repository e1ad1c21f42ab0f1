//! The policies shown in README.md are policies: a newcomer copies them.

#![allow(clippy::unwrap_used, clippy::panic)]

use larder_core::Policy;

const README: &str = include_str!("../../README.md");

/// The first JSON object at or after `from` in the text.
fn object(from: &str) -> &str {
    let text = &README[README.find(from).unwrap_or_else(|| panic!("README has no {from}"))..];
    let text = &text[text.find('{').unwrap()..];
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..=at];
        }
    }
    panic!("the object after {from} does not end")
}

#[test]
fn the_policies_in_the_readme_are_accepted() {
    for (from, name, routes) in [("value: |", "my-api", 1), ("```json", "shop", 3)] {
        let policy = Policy::parse(object(from)).unwrap_or_else(|errors| panic!("after {from}: {errors}"));
        assert_eq!((policy.name.as_str(), policy.routes().len()), (name, routes), "after {from}");
    }
}
