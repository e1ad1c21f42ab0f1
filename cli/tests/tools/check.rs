//! `larder check`.

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

const ODD: &str = r#"{
  "version": 1,
  "name": "odd",
  "classes": { "unused": { "ttl": "1m" } },
  "routes": [
    { "name": "all", "path": "/v1/me", "ttl": "60s" },
    { "name": "none", "path": "/v1/me", "methods": ["GET"], "ttl": { "floor": "1m" } }
  ]
}
"#;

#[test]
fn errors_and_lints_are_shown_where_they_stand() {
    let broken = run(&["check", "policies/broken/many-errors-at-once.json", "policies/default.json"]);
    assert_eq!(code(&broken), 1);
    golden("check/broken.txt", &stdout(&broken));
    let odd = run_with(&["check", "-"], ODD.as_bytes());
    assert_eq!(code(&odd), 0, "warnings alone do not fail");
    golden("check/odd.txt", &stdout(&odd));
    assert!(!stdout(&odd).contains('\x1b'), "no colour where there is no terminal");
}

#[test]
fn every_broken_policy_is_shown_with_a_caret_on_its_line() {
    let folder = crate::support::root().join("policies/broken");
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let output = run(&["check", path.to_str().expect("UTF-8")]);
        assert_eq!(code(&output), 1, "{output:?}");
        let shown = stdout(&output);
        let findings = json(&run(&["check", "--json", path.to_str().expect("UTF-8")]));
        let expected = std::fs::read_to_string(path.with_extension("expected")).expect("a listing");
        for (finding, line) in
            findings["files"][0]["findings"].as_array().expect("findings").iter().zip(expected.lines())
        {
            let place = format!("{}:{}", finding["line"], finding["column"]);
            assert!(line.starts_with(&place), "{line}: {place}");
            assert!(shown.contains(&format!("{}:{place}\n", path.display())), "{place} in {shown}");
        }
    }
}

#[test]
fn lints_are_denied_and_allowed_by_name_and_by_severity() {
    let with = |arguments: &[&str]| {
        let output = run_with(&[&["check", "--json", "-"], arguments].concat(), ODD.as_bytes());
        let found = json(&output);
        (code(&output), found["errors"].as_u64(), found["warnings"].as_u64())
    };
    assert_eq!(with(&[]), (0, Some(0), Some(5)));
    assert_eq!(with(&["--deny", "warnings"]), (1, Some(5), Some(0)));
    assert_eq!(with(&["--deny", "warnings", "--allow", "unused-class"]), (1, Some(4), Some(0)));
    assert_eq!(with(&["--deny", "shadowed-route"]), (1, Some(1), Some(4)));
    assert_eq!(with(&["--allow", "warnings", "--deny", "unused-class"]), (1, Some(1), Some(0)));
    let unknown = run(&["check", "--deny", "everything", "policies/default.json"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("--lints"), "{unknown:?}");
}

#[test]
fn json_has_bytes_and_a_file_that_cannot_be_read_is_no_finding() {
    let output = run_with(&["check", "--json", "-", "policies/nowhere.json"], ODD.as_bytes());
    assert_eq!(code(&output), 2);
    let found = json(&output);
    assert_eq!(found["ok"], false);
    let finding = &found["files"][0]["findings"][0];
    assert_eq!((&finding["id"], &finding["path"]), (&"unused-class".into(), &"classes.unused".into()));
    let bytes = |end: &str| finding["bytes"][end].as_u64().expect("a number") as usize;
    assert_eq!(&ODD[bytes("from")..bytes("to")], "{");
    assert!(found["files"][1]["unread"].as_str().is_some_and(|why| why.contains("policies/nowhere.json")), "{found}");
    let no_text = run_with(&["check", "-"], b"{\xff");
    assert_eq!(code(&no_text), 2);
    assert!(stdout(&no_text).contains("byte 1"), "{no_text:?}");
    assert_eq!(code(&run(&["check"])), 2);
}

#[test]
fn a_line_of_a_megabyte_is_cut_to_what_the_finding_is_about() {
    let text = format!(r#"{{"version":1,"name":"p","comment":"{}","defaults":{{"vary":"any"}}}}"#, "é".repeat(500_000));
    let output = run_with(&["check", "-"], text.as_bytes());
    assert_eq!(code(&output), 0);
    let shown = stdout(&output);
    assert!(shown.len() < 2_000 && shown.contains("^^^^^ defaults.vary"), "{shown}");
}

#[test]
fn all_lints_are_listed() {
    let output = run(&["check", "--lints"]);
    golden("check/lints.txt", &stdout(&output));
    assert!(json(&run(&["check", "--lints", "--json"])).as_array().is_some_and(|lints| lints.len() > 10));
}
