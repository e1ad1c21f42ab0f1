//! `larder test`, in the real module. `LARDER_WASM` names it, else it is `larder.wasm` in the workspace's target folder.
//!
//! `LARDER_BLESS=1 cargo test -p larder --test module_policies` writes the golden files anew; read the difference.

#[path = "../tools/support.rs"]
#[allow(dead_code, reason = "shared with the other commands' tests")]
mod support;

use std::path::Path;

use support::{code, golden_in, json, run, stderr, stdout};

const GOLDEN: &str = "tests/module_policies/golden";

/// A folder with a policy and a file of test cases.
fn folder(cases: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = r#"{"version": 1, "name": "p", "routes": [{"name": "all", "path": "/{*rest}", "ttl": "60s"}]}"#;
    std::fs::write(folder.path().join("p.json"), policy).expect("written");
    std::fs::write(folder.path().join("p.test.json"), cases).expect("written");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The output without the folder that it was made in.
fn without(folder: &tempfile::TempDir, output: &str) -> String {
    output.replace(text(folder.path()), "FOLDER")
}

const WRONG: &str = r#"{
  "version": 1,
  "policy": "p.json",
  "origin": [{ "request": "GET /a", "headers": { "cache-control": "max-age=5, public, stale-while-revalidate=3600, stale-if-error=86400" }, "body": "hello" }],
  "cases": [
    {
      "name": "a hit",
      "steps": [
        { "request": "GET /a", "expect": { "cache": { "stored": true } } },
        { "request": "GET /a", "expect": { "cache": { "hit": true } } }
      ]
    },
    {
      "name": "everything is otherwise",
      "steps": [
        { "request": "GET /a" },
        { "wait": "30s" },
        {
          "request": "GET /a",
          "expect": {
            "status": 404,
            "cache": { "fwd": "uri-miss", "stored": true },
            "headers": {
              "etag": true,
              "cache-control": "no-store, private, no-cache, max-age=0, must-revalidate, proxy-revalidate"
            },
            "body": "hallo",
            "origin": { "requests": 1, "headers": { "accept": "text/html" } }
          }
        }
      ]
    },
    {
      "name": "the origin has no answer to this",
      "steps": [{ "request": "GET /b" }]
    }
  ]
}
"#;

#[test]
fn a_case_that_fails_is_shown_with_what_was_expected_beside_what_came() {
    let folder = folder(WRONG);
    let path = text(folder.path()).to_owned();
    let junit = folder.path().join("junit.xml");
    let output = run(&["test", &path, "--junit", text(&junit)]);
    assert_eq!(code(&output), 1, "{output:?}");
    golden_in(GOLDEN, "failing.txt", &without(&folder, &stdout(&output)));

    let results = json(&run(&["test", &path, "--json"]));
    assert_eq!((&results["ok"], &results["passed"], &results["failed"]), (&false.into(), &1.into(), &2.into()));
    let failure = &results["files"][0]["cases"][1]["failure"];
    assert_eq!(failure["line"], 18);
    assert_eq!(failure["step"], "cases[1].steps[2]: GET /a");
    assert_eq!(failure["differences"][0]["expected"], "status 404");
    assert_eq!(failure["differences"][0]["got"], "status 200");

    let xml = std::fs::read_to_string(junit).expect("JUnit");
    assert!(xml.contains(r#"tests="3" failures="2" errors="0""#), "{xml}");
    assert!(
        xml.contains(r#"name="everything is otherwise""#) && xml.contains("expected status 404, got status 200"),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase").count(), 3);
}

#[test]
fn cases_are_chosen_by_name_and_listed() {
    let folder = folder(WRONG);
    let path = text(folder.path()).to_owned();
    let output = run(&["test", &path, "--filter", "a hit"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(stdout(&output).ends_with("ok: 1 file, 1 case\n"), "{output:?}");
    let listed = run(&["test", &path, "--list", "--filter", "origin"]);
    assert_eq!(without(&folder, &stdout(&listed)), "FOLDER/p.test.json:33: the origin has no answer to this\n");
    let none = run(&["test", &path, "--filter", "no such case"]);
    assert_eq!(code(&none), 2);
    assert!(stderr(&none).contains("no such case"), "{none:?}");
}

#[test]
fn what_cannot_be_understood_is_shown_where_it_stands_and_the_rest_runs() {
    let folder = folder(
        &WRONG
            .replace("\"fwd\": \"uri-miss\"", "\"fwd\": \"urimiss\"")
            .replace("\"steps\": [{ \"re", "\"stps\": [{ \"re"),
    );
    std::fs::write(folder.path().join("q.test.json"), WRONG).expect("written");
    let output = run(&["test", text(folder.path()), "--filter", "a hit"]);
    assert_eq!(code(&output), 2, "{output:?}");
    golden_in(GOLDEN, "errors.txt", &without(&folder, &stdout(&output)));
    let results = json(&run(&["test", text(folder.path()), "--filter", "a hit", "--json"]));
    let finding = &results["unusable"][0]["findings"][0];
    assert_eq!((&finding["path"], &finding["line"]), (&"cases[1].steps[2].expect.cache.fwd".into(), &22.into()));
    assert_eq!(results["passed"], 1);
}

#[test]
fn a_policy_with_errors_or_without_a_file_is_named() {
    let folder = folder(WRONG);
    std::fs::write(folder.path().join("p.json"), r#"{"version": 1, "name": "p", "deflts": {}}"#).expect("written");
    let output = run(&["test", text(folder.path())]);
    assert_eq!(code(&output), 2);
    let shown = stdout(&output);
    assert!(shown.contains("p.json:1:29") && shown.contains("did you mean \"defaults\"?"), "{shown}");
    std::fs::remove_file(folder.path().join("p.json")).expect("removed");
    let output = run(&["test", text(folder.path())]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).contains("p.test.json: its policy: cannot read"), "{output:?}");
}

#[test]
fn a_module_that_is_not_there_is_said_with_how_to_get_one() {
    let folder = folder(WRONG);
    let output = run(&["test", text(folder.path()), "--wasm", "/nowhere/larder.wasm"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("/nowhere/larder.wasm") && said.contains("cargo xtask build"), "{said}");
    let no_module = run(&["test", text(folder.path()), "--wasm", text(&folder.path().join("p.json"))]);
    assert_eq!(code(&no_module), 2);
    assert!(stderr(&no_module).contains("not a usable wasm module"), "{no_module:?}");
    let empty = tempfile::tempdir().expect("a folder");
    let none = run(&["test", text(empty.path())]);
    assert_eq!(code(&none), 2);
    assert!(stderr(&none).contains(".test.json"), "{none:?}");
}

#[test]
fn every_policy_that_is_shipped_has_tests_and_they_pass() {
    let output = run(&["test", "policies"]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let shown = stdout(&output);
    for entry in std::fs::read_dir(support::root().join("policies")).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_policy = name.ends_with(".json") && !name.ends_with(".test.json") && !name.ends_with("schema.json");
        assert!(!is_policy || shown.contains(&format!("(policies/{name})")), "{name} has no tests\n{shown}");
    }
}
