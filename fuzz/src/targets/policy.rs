//! Policy files: any text is a policy or has errors, each with a place in the text; how the text is laid out changes nothing but places.

use larder_core::fields::RequestHead;
use larder_core::policy::{ERRORS_MAX, Policy, PolicyError, PolicyErrors, lint};

/// The text of a policy; behind a zero byte, targets of requests, one a line.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let targets = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let read = Policy::parse(text);
    match (&read, lint::check(text)) {
        (Ok(policy), Ok(checked)) => {
            assert_eq!(policy.revision, checked.policy.revision);
            for lint in &checked.lints {
                assert!(text.get(lint.span.clone()).is_some(), "{lint}: no place in the text");
                assert_place(text, lint.line, lint.column);
            }
            routed(policy, &targets);
        }
        (Err(errors), Err(same)) => {
            assert_eq!(errors, &same);
            assert_placed(text, errors);
        }
        (read, checked) => panic!("{:?} {:?}", read.as_ref().err(), checked.err()),
    }
    // Where it is JSON that anybody reads so: without blanks, and with as many as there can be.
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        for blanks in ["", " \n\t "] {
            assert_same(&read, &Policy::parse(&laid_out(text, blanks)));
        }
    }
}

/// Every error says what is wrong, and where.
pub fn assert_placed(text: &str, errors: &PolicyErrors) {
    assert!(!errors.is_empty() && errors.len() <= ERRORS_MAX);
    let mut before = (0, 0);
    for error in errors.iter() {
        assert_place(text, error.line, error.column);
        assert!((error.line, error.column) >= before, "{error}: out of order");
        before = (error.line, error.column);
        assert!(!error.message.is_empty() || error.expected.is_some(), "{error}: says nothing");
    }
    let shown = errors.in_file("file").to_string();
    assert!(shown.lines().count() >= errors.len() && shown.starts_with("file:"));
}

/// A line of the text and a column in it, or just behind its end.
fn assert_place(text: &str, line: usize, column: usize) {
    let found = text.split('\n').nth(line.checked_sub(1).expect("lines count from 1"));
    let width = found.expect("a line of the text").chars().count();
    assert!((1..=width + 1).contains(&column), "{line}:{column}");
}

fn assert_same(one: &Result<Policy, PolicyErrors>, other: &Result<Policy, PolicyErrors>) {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.name, other.name);
            let rules = |policy: &Policy| {
                policy.routes().map(|route| format!("{:?} {:?}", route.rules, route.aims)).collect::<Vec<_>>()
            };
            assert_eq!(rules(one), rules(other));
            assert_eq!(format!("{:?}", one.unmatched()), format!("{:?}", other.unmatched()));
        }
        (Err(one), Err(other)) => {
            let said = |error: &PolicyError| (error.path.clone(), error.message.clone(), error.expected.clone());
            assert_eq!(one.iter().map(said).collect::<Vec<_>>(), other.iter().map(said).collect::<Vec<_>>());
            assert_eq!(one.left_out(), other.left_out());
        }
        (one, other) => panic!("{:?} {:?}", one.as_ref().err(), other.as_ref().err()),
    }
}

/// JSON with these blanks around every one of its signs, and no others.
fn laid_out(text: &str, blanks: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside {
            out.push(c);
            (inside, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '}' | '[' | ']' | ',' | ':' => {
                out.push_str(blanks);
                out.push(c);
                out.push_str(blanks);
            }
            _ => {
                inside = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// Every request is under some rules: those of a route, with a value for each of its parameters, or of none.
fn routed(policy: &Policy, targets: &str) {
    let routes: Vec<_> = policy.routes().collect();
    for target in targets.lines().chain(["/", "", "*", "/a/b?c", "/a//b", "/%2e%2e/x", "http://h/x"]) {
        for (method, authority) in [("GET", "api.example"), ("POST", "api.example:8443"), ("", "")] {
            let head = RequestHead {
                method: method.to_owned(),
                scheme: "https".to_owned(),
                authority: authority.to_owned(),
                target: target.to_owned(),
                ..RequestHead::default()
            };
            let matched = policy.route(&head);
            let index = routes.iter().position(|route| std::sync::Arc::ptr_eq(route.rules, &matched.rules));
            assert!(index.is_some() || std::sync::Arc::ptr_eq(policy.unmatched(), &matched.rules));
            assert_eq!(policy.route(&head).params, matched.params);
        }
    }
}
