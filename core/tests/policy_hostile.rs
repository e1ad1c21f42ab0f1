//! Policy files are hostile input: however a file is broken, it is read without a panic, and each error has a place.
//! What is accepted routes any request without a panic.

use larder_core::fields::RequestHead;
use larder_core::policy::cases::Cases;
use larder_core::policy::{ERRORS_MAX, Policy, PolicyErrors};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const POLICIES: [&str; 3] = [
    include_str!("../../policies/shop-api.json"),
    include_str!("../../policies/default.json"),
    include_str!("../../policies/static-assets.json"),
];
const ROUNDS: usize = if cfg!(target_arch = "wasm32") { 150 } else { 1500 };

/// A small deterministic source of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// Reads a file and, where it is accepted, routes with it. Says whether it was accepted.
fn check(text: &str, dice: &mut Dice) -> bool {
    match Policy::parse(text) {
        Ok(policy) => {
            for _ in 0..4 {
                let head = RequestHead {
                    method: (*dice.pick(&["GET", "HEAD", "POST", "", "é"])).into(),
                    scheme: (*dice.pick(&["http", "https", ""])).into(),
                    authority: (*dice.pick(&["a.test", "", ":", "[::1", "a:b:c", "*.a", ".", "\u{0}"])).into(),
                    target: (*dice.pick(&[
                        "/v1/products/7",
                        "",
                        "*",
                        "/",
                        "//",
                        "/%",
                        "/%f0%9f%98%80/é",
                        "?",
                        "/a?b",
                        "/../..;",
                    ]))
                    .into(),
                    ..RequestHead::default()
                };
                let matched = policy.route(&head);
                for tag in &matched.rules.tags.templates {
                    let _ = tag.expand(&matched.params);
                }
            }
            true
        }
        Err(errors) => {
            have_places(text, &errors);
            false
        }
    }
}

fn have_places(text: &str, errors: &PolicyErrors) {
    assert!(!errors.is_empty() && errors.len() <= ERRORS_MAX);
    let lines: Vec<_> = text.split('\n').collect();
    for error in errors.iter() {
        let line = lines.get(error.line - 1).unwrap_or_else(|| panic!("{error}\n{text}"));
        assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}\n{text}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// Reads a file of test cases and, where it is accepted, looks for every step's line. Says whether it was accepted.
fn check_cases(text: &str) -> bool {
    match Cases::parse(text) {
        Ok(cases) => {
            let count = text.split('\n').count();
            for (index, case) in cases.file.cases.iter().flatten().enumerate() {
                let steps = 0..case.steps.as_ref().map_or(0, Vec::len);
                assert!(steps.clone().all(|step| (1..=count).contains(&cases.line_in_step(index, step, &["expect"]))));
            }
            true
        }
        Err(errors) => {
            have_places(text, &errors);
            false
        }
    }
}

/// A text with a few characters changed.
fn changed(text: &str, dice: &mut Dice) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..1 + dice.roll(3) {
        let at = dice.roll(text.len());
        let odd = ['{', '}', '[', ']', '"', ',', ':', '\\', '0', 'é', '\u{0}', '\n', ' ', '9', 'u', '*', '\u{feff}'];
        match dice.roll(5) {
            0 => text[at] = *dice.pick(&odd),
            1 => text.insert(at, *dice.pick(&odd)),
            2 => drop(text.remove(at)),
            3 => text.truncate(at.max(1)),
            _ => {
                let to = (at + dice.roll(40)).min(text.len());
                let piece: Vec<char> = text[at..to].to_vec();
                text.splice(at..at, piece);
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn text_with_bytes_changed_at_random() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let text = *dice.pick(&POLICIES);
        let text = changed(text, &mut dice);
        accepted += usize::from(check(&text, &mut dice));
    }
    assert!(accepted > 0 && accepted < ROUNDS, "{accepted}");
}

#[test]
fn test_cases_with_bytes_changed_at_random() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let files =
        [include_str!("../../policies/default.test.json"), include_str!("../../policies/static-assets.test.json")];
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let text = *dice.pick(&files);
        let text = changed(text, &mut dice);
        accepted += usize::from(check_cases(&text));
    }
    assert!(accepted > 0 && accepted < ROUNDS, "{accepted}");
}

/// Every place in `value`, as JSON pointers.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, v)| places(v, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), into)),
        _ => {}
    }
}

#[test]
fn values_put_where_they_do_not_belong() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let documents: Vec<Value> = POLICIES.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e300),
        json!(18446744073709551615u64),
        json!(""),
        json!("0s"),
        json!("99999999999999999999w"),
        json!("{id}"),
        json!("/{*rest}"),
        json!("*"),
        json!("\u{0}\n\"\\"),
        json!("é😀"),
        json!("a".repeat(5000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": {}}),
        json!(["*", "*"]),
        json!("60s"),
        json!({"floor": "1h", "ceiling": "1s"}),
        json!("never"),
        json!("personal"),
        json!("unsafe"),
        json!("50%"),
    ];
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let mut document = dice.pick(&documents).clone();
        for _ in 0..1 + dice.roll(3) {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let place = dice.pick(&all).clone();
            let value = if dice.roll(3) == 0 {
                // Another part of some policy.
                let donor = dice.pick(&documents);
                let mut from = Vec::new();
                places(donor, "", &mut from);
                donor.pointer(dice.pick(from.as_slice()).as_str()).unwrap().clone()
            } else {
                dice.pick(&odd).clone()
            };
            match (dice.roll(3), document.pointer_mut(&place).unwrap()) {
                (0, Value::Object(members)) => {
                    let name = *dice
                        .pick(&["ttl", "key", "routes", "classes", "override", "", "kind", "\u{1}", "404", "class"]);
                    members.insert(name.into(), value);
                }
                (0, Value::Array(items)) => items.push(value),
                (_, target) => *target = value,
            }
        }
        let text =
            if dice.roll(2) == 0 { document.to_string() } else { serde_json::to_string_pretty(&document).unwrap() };
        accepted += usize::from(check(&text, &mut dice));
    }
    assert!(accepted > 0 && accepted < ROUNDS, "{accepted}");
}

#[test]
fn large_files_are_read_in_time_or_refused() {
    let mut dice = Dice(7);
    let route = |n: usize| format!("{{\"name\":\"r{n}\",\"path\":\"/api/r{n}/{{id}}\",\"class\":\"catalog\"}}");
    let with = |count: usize| {
        let routes: Vec<_> = (0..count).map(route).collect();
        format!("{{\"version\":1,\"name\":\"large\",\"routes\":[{}]}}", routes.join(","))
    };
    assert!(check(&with(2_000), &mut dice));
    assert!(!check(&with(20_001), &mut dice), "more than 20,000 routes");
    // Thousands of classes, and as many routes that name a class which is not there.
    let classes: Vec<_> = (0..4_000).map(|n| format!("\"class-number-{n}\":{{}}")).collect();
    let lost = (0..10_000).map(|n| format!("{{\"name\":\"r{n}\",\"path\":\"/r{n}\",\"class\":\"class-numbre-{n}\"}}"));
    let routes = lost.collect::<Vec<_>>().join(",");
    let text =
        format!("{{\"version\":1,\"name\":\"large\",\"classes\":{{{}}},\"routes\":[{routes}]}}", classes.join(","));
    assert!(!check(&text, &mut dice));
    // As many errors as fit: counted, not kept.
    let wrong = format!("{{\"version\":1,\"name\":\"large\",\"routes\":[{}0]}}", "0,".repeat(15_000));
    let errors = Policy::parse(&wrong).unwrap_err();
    assert_eq!((errors.len(), errors.left_out()), (ERRORS_MAX, 15_001 - ERRORS_MAX));
    // Many fields in one object, all unknown.
    let fields: Vec<_> = (0..20_000).map(|n| format!("\"f{n}\":0")).collect();
    assert!(!check(&format!("{{{}}}", fields.join(",")), &mut dice));
    assert!(!check(&"[".repeat(1 << 20), &mut dice));
    assert!(!check(&" ".repeat(5 << 20), &mut dice));
}
