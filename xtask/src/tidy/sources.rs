//! Rules about single files: headers, length, sleeping and ignored tests, unfinished code, paths of one machine.
//! Looks at lines, not at syntax: a rule that needs a parser belongs in clippy.

use super::{Finding, Source, is_in_tests};

/// Lines of a Rust file without the tests inside it.
const LINES_MAX: usize = 600;

/// What unfinished or switched-off code looks like in Rust. (In two parts, so that this file does not find itself.)
const UNFINISHED: &[(&str, &str)] = &[
    (concat!("to", "do!("), "write it"),
    (concat!("unimple", "mented!("), "write it"),
    (concat!("db", "g!("), "remove it"),
    (concat!("#[ig", "nore"), "make the test run everywhere or remove it"),
];

/// Words of unfinished business in any text.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];

/// Folders that differ from machine to machine.
const MACHINE_FOLDERS: &[&str] = &["root", "home", "tmp"];

/// Everything in one file that breaks a rule.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rust = source.is("rs");
    if rust && !source.text.trim_start().starts_with("//!") {
        findings.push(
            source.finding(1, "begin the file with a //! header: what it decides or holds, and what it does not"),
        );
    }
    let tests_from = tests_from(source);
    if rust && tests_from > LINES_MAX {
        let message =
            format!("{tests_from} lines without tests, at most {LINES_MAX}: split the file by what it decides");
        findings.push(source.finding(LINES_MAX + 1, message));
    }
    for (index, line) in source.text.lines().enumerate() {
        let mut found = |message: String| findings.push(source.finding(index + 1, message));
        if rust {
            for (code, advice) in UNFINISHED.iter().filter(|(code, _)| line.contains(code)) {
                found(format!("{code}: {advice}"));
            }
            if index >= tests_from && sleeps(line) {
                found("a test sleeps: poll for the condition with a deadline instead".to_owned());
            }
        }
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            found(format!("{mark}: do it or file an issue, and remove the mark"));
        }
        if let Some(path) = machine_path(line) {
            found(format!("{path} is a path of one machine: use a variable, a temporary folder or a relative path"));
        }
    }
    findings
}

/// The number of lines before the tests: those in `tests/` are nothing else.
fn tests_from(source: &Source) -> usize {
    if is_in_tests(&source.path) {
        return 0;
    }
    let is_start =
        |line: &str| line.trim_start().starts_with("#[cfg(test)]") || line.trim_start().starts_with("#![cfg(test)]");
    source.text.lines().position(is_start).unwrap_or_else(|| source.text.lines().count())
}

fn sleeps(line: &str) -> bool {
    const CALL: &str = "sleep";
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(CALL).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + CALL.len()..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && after.starts_with('(')
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// An absolute path below a machine's own folder. `/home/` alone is somebody's URL; a name has to follow.
fn machine_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        // Part of a URL or of a longer path: `https://host/tmp/x`, `assets/home/x`.
        if before.is_some_and(|c| c.is_alphanumeric() || "/.}-_".contains(c)) {
            return None;
        }
        let rest = &line[at + 1..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "/.-_".contains(c))).unwrap_or(rest.len());
        let (folder, below) = rest[..end].split_once('/')?;
        let named = below.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '.');
        let deep = folder != "home" || below.contains('/');
        (MACHINE_FOLDERS.contains(&folder) && named && deep).then(|| &line[at..=at + end])
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const NONE: [usize; 0] = [];

    fn check_file(path: &str, text: &str) -> Vec<usize> {
        let source = Source { path: PathBuf::from(path), text: text.to_owned() };
        check(&source).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_rust_file_begins_with_a_header() {
        assert_eq!(check_file("a.rs", "//! What it is.\nfn a() {}\n"), NONE);
        assert_eq!(check_file("a.rs", "// What it is.\nfn a() {}\n"), [1]);
        assert_eq!(check_file("tests/a.rs", "use x;\n//! late\n"), [1]);
        assert_eq!(check_file("a.md", "# A\n"), NONE);
    }

    #[test]
    fn only_tests_may_not_sleep() {
        let call = concat!("thread::sle", "ep(d)");
        let text = format!("//! A.\nfn a() {{ {call} }}\n#[cfg(test)]\nmod tests {{\n  {call}\n  // {call}\n}}\n");
        assert_eq!(check_file("src/a.rs", &text), [5]);
        assert_eq!(check_file("x/tests/a.rs", &text), [2, 5]);
        let other = "//! A.\nasleep(1); sleepy; sleep.do(1)\n";
        assert_eq!(check_file("tests/a.rs", other), NONE);
        assert_eq!(check_file("tests/a.rs", concat!("//! A.\ntokio::time::sle", "ep_until(x)\n")), [2]);
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_do_not_count() {
        let lines = |number: usize| "//! A.\n".to_owned() + &"a\n".repeat(number - 1);
        assert_eq!(check_file("a.rs", &lines(600)), NONE);
        assert_eq!(check_file("a.rs", &lines(601)), [601]);
        assert_eq!(check_file("a.rs", &(lines(600) + "#[cfg(test)]\n" + &lines(600))), NONE);
        assert_eq!(check_file("tests/a.rs", &lines(2000)), NONE);
    }

    #[test]
    fn unfinished_code_is_found() {
        for (code, _) in UNFINISHED {
            assert_eq!(check_file("a.rs", &format!("//! A.\n{code})\n")), [2], "{code}");
        }
        for mark in MARKS {
            assert_eq!(check_file("a.yaml", &format!("# {mark}: later\n# {mark}{mark}\n")), [1], "{mark}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let check = |line: &str, found: Option<&str>| {
            let line = line.replace('!', "/");
            let found = found.map(|path| path.replace('!', "/"));
            assert_eq!(machine_path(&line), found.as_deref(), "{line}");
        };
        check("path: !tmp!larder.wasm # x", Some("!tmp!larder.wasm"));
        check("\"!root!.cache\"", Some("!root!.cache"));
        check("cd !home!ada!larder", Some("!home!ada!larder"));
        check("the route !home!ada of a site", None);
        check("GET https:!!shop!tmp!x", None);
        check("!tmp and !root! and $DIR!tmp!x and ${DIR}!tmp!x", None);
    }
}
