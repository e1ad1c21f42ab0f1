//! Purging, and waiting until all have heard.

use larder_core::cluster::message::{Poll, PollAnswer};
use larder_core::purge::Position;
use larder_core::time::Millis;

use crate::support::{Running, json, run_with_input, stderr, stdout};

/// A worker asks for what comes after a position, and thereby confirms it.
fn polls(node: &Running, position: Position) -> PollAnswer {
    node.ask(
        Poll::PATH,
        &Poll { worker: "envoy-1/0".into(), position, wait_for: Millis(0), lag_max: Millis(5000), watch: None },
    )
}

#[test]
fn a_purge_is_delivered_once_every_worker_has_confirmed_it() {
    let node = Running::start(&[]);
    let alone = json(&node.run(&["purge", "--tag", "a", "--json"]));
    assert_eq!((&alone["delivered"], &alone["nodes"][0]["purged"]["sequence"]), (&true.into(), &1.into()));

    let here = polls(&node, Position::default()).position;
    let late = node.run(&["purge", "http://h/a", "--prefix", "http://h/p", "--soft", "--wait", "100ms"]);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    assert!(stdout(&late).contains("0 of 1 workers") && stdout(&late).contains("envoy-1/0"), "{late:?}");

    let heard = polls(&node, here);
    assert_eq!(heard.records.len(), 2);
    polls(&node, heard.position);
    let waiting = std::thread::scope(|threads| {
        let purging = threads.spawn(|| node.run(&["purge", "--all", "--wait", "15s"]));
        let mut position = heard.position;
        while !purging.is_finished() {
            position = polls(&node, position).position;
        }
        purging.join().expect("it ended")
    });
    assert_eq!(waiting.status.code(), Some(0), "{waiting:?}");
    assert!(stdout(&waiting).contains("1 of 1 workers have heard"), "{waiting:?}");
}

#[test]
fn urls_come_from_standard_input_and_are_checked() {
    let node = Running::start(&[]);
    let arguments = ["purge", "--stdin", "--no-wait", "--json", "--node", &node.admin];
    let output = run_with_input(&arguments, "http://h/a\n# not this one\n\nhttp://H:80/b\n");
    assert_eq!(json(&output)["nodes"][0]["purged"]["purges"], 2);
    assert_eq!(json(&output)["delivered"], serde_json::Value::Null);
    let wrong = run_with_input(&arguments, "/relative\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("/relative"), "{wrong:?}");
    let nothing = run_with_input(&arguments, "");
    assert_eq!(nothing.status.code(), Some(1));
    let history = ureq::get(format!("{}/v1/purges?last=1", node.admin)).call().expect("a history");
    let history: serde_json::Value = history.into_body().read_json().expect("JSON");
    assert_eq!(history["purges"][0]["what"], "url http://h/b");
    assert_eq!(history["purges"][0]["who"], "local");
}

#[test]
fn output_has_no_colour_where_it_is_no_terminal() {
    let node = Running::start(&[]);
    assert!(!stdout(&node.run(&["purge", "--all"])).contains('\x1b'));
    assert!(!stdout(&node.run(&["stats"])).contains('\x1b'));
}
