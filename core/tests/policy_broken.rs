//! Every policy in `policies/broken/` is refused, and each of its errors names its place.
//!
//! Beside `NAME.json`, `NAME.expected` lists all of its errors, a line each: `LINE:COLUMN PATH MESSAGE` (`-` for no path).
//! `LARDER_BLESS=1 cargo test -p larder-core --test policy_broken` writes these files anew; read the difference.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use larder_core::policy::{ERRORS_MAX, Policy, PolicyErrors};

fn broken() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/broken");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn errors(path: &Path, text: &str) -> PolicyErrors {
    match Policy::parse(text) {
        Ok(_) => panic!("{} is accepted", path.display()),
        Err(errors) => errors,
    }
}

fn listing(errors: &PolicyErrors) -> String {
    let mut listing = String::new();
    for error in errors.iter() {
        let place = format!("{}:{}: ", error.line, error.column);
        let shown = error.to_string();
        let message = shown.strip_prefix(&place).unwrap();
        let message = message.strip_prefix(&format!("{}: ", error.path)).unwrap_or(message);
        let path = if error.path.is_empty() { "-" } else { &error.path };
        writeln!(listing, "{}:{} {path} {message}", error.line, error.column).unwrap();
    }
    if errors.left_out() > 0 {
        writeln!(listing, "and {} more", errors.left_out()).unwrap();
    }
    listing
}

#[test]
fn every_broken_policy_is_refused_with_the_errors_expected() {
    let files = broken();
    assert!(files.len() >= 45, "{}", files.len());
    let bless = std::env::var_os("LARDER_BLESS").is_some();
    let mut wrong = Vec::new();
    for (path, text) in &files {
        let got = listing(&errors(path, text));
        let expected_path = path.with_extension("expected");
        if bless {
            std::fs::write(&expected_path, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if got != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- got\n{got}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_error_names_a_place_that_is_there() {
    for (path, text) in broken() {
        let errors = errors(&path, &text);
        assert!(errors.len() <= ERRORS_MAX);
        let lines: Vec<_> = text.split('\n').collect();
        let mut seen = BTreeSet::new();
        for error in errors.iter() {
            let line = lines.get(error.line - 1).unwrap_or_else(|| panic!("{}: {error}", path.display()));
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{}: {error}", path.display());
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 600, "{}: {text}", path.display());
            assert!(seen.insert(text), "{}: twice: {error}", path.display());
            // Whatever is inside the document has a path.
            let is_whole = error.message.starts_with("this is ") || error.line == 1;
            assert!(is_whole || !error.path.is_empty(), "{}: {error}", path.display());
        }
    }
}

#[test]
fn every_expectation_has_its_policy() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/broken")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("json").exists(), "{}", path.display());
    }
}
