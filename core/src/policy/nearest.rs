//! Which known name a mistyped one was meant to be. Only for messages: nothing is ever corrected silently.

/// Longest name that is compared: bounds the work a hostile file can ask for.
const NAME_BYTES_MAX: usize = 64;
/// Most names that are compared.
const NAMES_MAX: usize = 256;

/// The name in `known` that is closest to `typed`, where one is close enough to be what was meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.is_empty() || typed.len() > NAME_BYTES_MAX {
        return None;
    }
    let typed = plain(typed);
    let far = (typed.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for name in known.into_iter().take(NAMES_MAX).filter(|name| name.len() <= NAME_BYTES_MAX) {
        let mut steps = distance(&typed, &plain(name));
        if steps > far && typed.len() >= 3 && (plain(name).starts_with(&typed) || typed.starts_with(&plain(name))) {
            steps = far; // `browser` for `browser_ttl`
        }
        if steps <= far && best.is_none_or(|(least, _)| steps < least) {
            best = Some((steps, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Lower case, and `-` for `_`: neither is what a user gets wrong on purpose.
fn plain(name: &str) -> Vec<u8> {
    name.bytes().map(|b| if b == b'-' { b'_' } else { b.to_ascii_lowercase() }).collect()
}

/// Edits between two names: insert, delete, replace, swap neighbours (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut steps = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                steps = steps.min(at(&before, j - 1) + 1);
            }
            row.push(steps);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["ttl", "status_ttl", "stale", "catalog", "browser_ttl", "while_revalidate", "static"];
        for (typed, want) in [
            ("catlog", Some("catalog")),
            ("catalgo", Some("catalog")),
            ("Catalog", Some("catalog")),
            ("tll", Some("ttl")),
            ("status-ttl", Some("status_ttl")),
            ("browserTtl", Some("browser_ttl")),
            ("while_revalidation", Some("while_revalidate")),
            ("browser", Some("browser_ttl")),
            ("elephant", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, known), want, "{typed}");
        }
        assert_eq!(nearest(&"t".repeat(1 << 20), known), None);
    }

    #[test]
    fn distances_count_single_edits() {
        for (a, b, want) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "acb", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }
}
