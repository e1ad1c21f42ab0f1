//! What a person reads when a scenario goes wrong: the place, what was expected, what was found, and a hint.
//!
//! Scenarios that are wrong on purpose run on the core; the reports are compared as text.

use std::path::Path;

use larder_host_tests::scenario::{Core, parse, run};

fn report(steps: &str) -> String {
    let text = format!("A rule.\n\npolicy\n  {{ \"version\": 1, \"name\": \"p\" }}\n{steps}");
    let scenario = parse(Path::new("topic/file.scn"), &text).expect("the scenario can be read");
    run(&scenario, &mut Core::new()).to_string()
}

#[test]
fn a_difference_names_its_line_and_shows_the_whole_answer() {
    let report = report(
        "origin GET /a -> 200\n  cache-control: max-age=60\n  body: hello\nGET /a\n-> 404\n  cache-status ~ hit\n  etag: \"v1\"\n  \
         body: hallo\n",
    );
    assert_eq!(
        report,
        "FAILED   topic/file [core]\n  A rule.\n  topic/file.scn:9: -> 404\n    line 9\n      expected  status 404\n      \
         found     status 200\n    line 10\n      expected  cache-status with part `hit`\n      \
         found     cache-status: Larder; fwd=uri-miss; stored\n    line 11\n      expected  etag: \"v1\"\n      \
         found     no etag\n    line 9\n      expected  body \"hallo\"\n      found     body \"hello\"\n    \
         | the whole answer: 200\n    |   cache-control: max-age=60\n    |   content-length: 5\n    \
         |   cache-status: Larder; fwd=uri-miss; stored\n    |   body \"hello\"\n    | 1 requests at the origin\n    \
         |   GET /a (host file.topic.test)\n"
    );
}

#[test]
fn what_is_missing_in_the_scenario_is_said() {
    for (steps, want) in [
        ("GET /a\n", "the origin needs an answer to `GET /a` before this"),
        ("-> 200\n", "a request without a name before this"),
        ("A -> 200\n", "a request `A: GET /path` before this"),
        ("origin GET /a -> 200\n  held\nGET /a\n", "a request that waits for one needs a name, as in `A: GET /path`"),
        ("origin GET /a -> 200\nGET /a\n-> 200\n  etag: {tag}\n", "nothing is remembered as `tag`"),
        ("origin GET /a -> 200\nGET /a\norigin saw 2 GET /a\n", "expected  2 requests GET /a at the origin"),
        ("release\n", "none is held, or its request has not reached the origin"),
        ("origin GET /a -> 200\nGET /a\ncounted hit 1\n", "expected  1 requests counted as hit"),
    ] {
        let report = report(steps);
        assert!(report.starts_with("FAILED") && report.contains(want), "{steps}\n{report}");
    }
}

#[test]
fn a_policy_that_is_refused_is_said_with_its_errors() {
    let text = "A rule.\n\npolicy\n  { \"version\": 1, \"name\": \"p\", \"defaults\": { \"tll\": \"1s\" } }\n";
    let scenario = parse(Path::new("topic/file.scn"), text).expect("the scenario can be read");
    let report = run(&scenario, &mut Core::new()).to_string();
    assert!(report.contains("topic/file.scn:3") && report.contains("tll") && report.contains("ttl"), "{report}");
}

#[test]
fn what_does_not_run_here_is_told_with_its_reason() {
    let text = "A rule.\nonly envoy because of this\npolicy\n  { \"version\": 1, \"name\": \"p\" }\n";
    let scenario = parse(Path::new("topic/file.scn"), text).expect("the scenario can be read");
    let report = run(&scenario, &mut Core::new());
    assert!(report.is_good());
    assert_eq!(report.to_string(), "skipped  topic/file [core]: of this");
}
