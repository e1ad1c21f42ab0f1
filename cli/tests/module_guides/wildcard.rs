//! What a guide shows against what a command says: `…` in a line stands for anything in it, `…` alone for any lines.

/// Whether the output is what is shown. Blanks at the ends of lines, and empty lines at the end, make no difference.
pub fn matches(shown: &str, output: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    };
    all(&lines(shown), &lines(output))
}

fn all(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first.trim() == "…" => (0..=output.len()).any(|skipped| all(rest, &output[skipped..])),
        Some((first, rest)) => output.split_first().is_some_and(|(got, more)| line(first, got) && all(rest, more)),
    }
}

fn line(shown: &str, got: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return shown == got };
    let Some(mut rest) = got.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn an_ellipsis_stands_for_anything() {
    for (shown, output, want) in [
        ("a\n", "a\n", true),
        ("a\n", "b\n", false),
        ("a", "a\n\n", true),
        ("ttl=…; x", "ttl=59; x", true),
        ("ttl=…; x", "ttl=59; y", false),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("…\nend", "1\n2\nend", true),
        ("…\nend", "end", true),
        ("begin\n…", "begin", true),
        ("begin\n…", "no", false),
        ("a", "a\nb", false),
    ] {
        assert_eq!(matches(shown, output), want, "{shown:?} {output:?}");
    }
}
