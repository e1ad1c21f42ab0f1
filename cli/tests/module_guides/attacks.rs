//! `docs/security.md` names a test for each attack: whether those tests are there, and whether a scenario is missing on the page.

use std::collections::BTreeSet;
use std::path::Path;

use crate::place::root;

/// The checklist: its letters, and how many of each.
const ATTACKS: [(char, u32); 5] = [('P', 15), ('D', 8), ('T', 5), ('W', 8), ('S', 10)];

fn page() -> String {
    std::fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md can be read")
}

/// What stands in backticks and looks like a file of a test, within the fourth column.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let column = row.split(" | ").nth(3).unwrap_or_default();
    column.split('`').skip(1).step_by(2).filter(|text| text.contains('/'))
}

/// The files that a name stands for.
fn files(name: &str) -> Vec<String> {
    let Some(begun) = name.strip_suffix('*') else {
        return Path::new(&root()).join(name).is_file().then(|| name.to_owned()).into_iter().collect();
    };
    let (folder, begun) = begun.rsplit_once('/').expect("a folder");
    let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(begun)).map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn every_attack_has_a_row_and_the_tests_that_it_names_are_there() {
    let page = page();
    for (letter, last) in ATTACKS {
        for number in 1..=last {
            let row = page.lines().find(|line| line.starts_with(&format!("| {letter}{number} | ")));
            let row = row.unwrap_or_else(|| panic!("docs/security.md has no row for {letter}{number}"));
            assert!(named(row).next().is_some(), "{letter}{number} names no test");
            for name in named(row) {
                let (path, test) = name.split_once("::").unwrap_or((name, ""));
                let files = files(path);
                assert!(!files.is_empty(), "{letter}{number}: there is no {path}");
                let has = |file: &String| {
                    let text = std::fs::read_to_string(root().join(file)).expect("it can be read");
                    text.contains(&format!("fn {test}("))
                };
                assert!(test.is_empty() || files.iter().all(has), "{letter}{number}: {path} has no test {test}");
            }
        }
    }
}

#[test]
fn every_scenario_of_an_attack_is_on_the_page() {
    let page = page();
    let told: BTreeSet<String> = page.lines().flat_map(named).flat_map(files).collect();
    for file in files("scenarios/attacks/*") {
        assert!(told.contains(&file), "docs/security.md does not name {file}");
        let text = std::fs::read_to_string(root().join(&file)).expect("it can be read");
        let (id, _) = text.split_once(':').expect("a title");
        let row = page.lines().find(|line| line.starts_with(&format!("| {id} | ")));
        let row = row.unwrap_or_else(|| panic!("{file} is about {id:?}, which has no row"));
        assert!(named(row).flat_map(self::files).any(|told| told == file), "the row of {id} does not name {file}");
    }
}
