//! Starting and stopping a node; tokens.

use std::time::Instant;

use larder_core::cluster::message::{Report, StoreAnswer};
use serde_json::Value;

use crate::support::{PATIENCE, Running, json, larder, run, stderr, stdout};

#[test]
fn a_node_says_where_it_listens_and_ends_in_good_order() {
    let node = Running::start(&[]);
    assert_eq!((&node.said["store"], &node.said["log"]), (&"memory".into(), &"memory".into()));
    let ready = ureq::get(format!("{}/ready", node.admin)).call().expect("ready");
    assert_eq!(ready.status(), 200);
    let (code, _) = node.terminate();
    assert_eq!(code, Some(0));
}

#[test]
fn the_admin_plane_is_not_open_to_others_without_tokens() {
    let output = run(&["node", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("without tokens"), "{}", stderr(&output));
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, code, text) in [
        (&["node", "--listen", "nowhere"][..], 2, "nowhere"),
        (&["node", "--store", "papyrus:"], 1, "papyrus"),
        (&["node", "--limit", "tag_max=3"], 1, "tags_max"),
        (&["node", "--tokens", "/nowhere/tokens"], 1, "/nowhere/tokens"),
        (&["node", "--config", "/nowhere/config"], 1, "/nowhere/config"),
        (&["node", "--policy", "/nowhere/policy"], 1, "/nowhere/policy"),
        (&["node", "--policy", "tests/command/node.rs"], 1, "tests/command/node.rs is no policy"),
        (&["node", "--analytics", "tests/command/node.rs"], 1, "tests/command/node.rs"),
        (&["purge"], 2, "Usage"),
        (&["purge", "--tag", "t", "--wait", "soon"], 2, "soon"),
        (&["purge", "--tag", "t", "--node", "https://h"], 1, "http://"),
        (&["stats", "--node", "http://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["node", "token", "--name", "x"], 2, "--scope"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains(text), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn the_log_goes_with_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("disk:{}/entries", folder.path().display());
    let node = Running::start(&["--store", &store]);
    assert_eq!((&node.said["store"], &node.said["log"]), (&"disk".into(), &"disk".into()));
    assert!(folder.path().join("entries.log").exists());
}

#[test]
fn what_was_reported_survives_a_kill_and_is_held_against_the_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("policy.json");
    let text =
        r#"{"version": 1, "name": "shop", "routes": [{"name": "items", "path": "/items", "target_hit_ratio": 0.9}]}"#;
    std::fs::write(&policy, text).expect("written");
    let store = format!("disk:{}/entries", folder.path().display());
    let arguments = ["--store", &store, "--policy", policy.to_str().expect("text")];
    let node = Running::start(&arguments);
    let series = "larder_requests_total;policy=shop;route=items;class=c;outcome=hit";
    let report = Report { worker: "w".into(), counts: vec![(series.into(), 7)], gauges: Vec::new(), keys: Vec::new() };
    assert_eq!(node.ask::<_, StoreAnswer>(Report::PATH, &report), StoreAnswer::Done);
    let file = folder.path().join("entries.analytics/1s.series");
    let deadline = Instant::now() + PATIENCE;
    while !String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()).contains(series) {
        assert!(Instant::now() < deadline, "it is not written");
        std::thread::yield_now();
    }
    node.kill();

    let node = Running::start(&arguments);
    for range in ["10m", "1d", "30d"] {
        let url = format!("{}/v1/analytics?range={range}", node.admin);
        let shown: Value = ureq::get(url).call().expect("an answer").body_mut().read_json().expect("JSON");
        let route = &shown["routes"][0];
        assert_eq!((&route["hits"], &route["target_hit_ratio"]), (&7.into(), &0.9.into()), "{range}: {shown}");
        assert_eq!(route["standing"], "met");
    }
}

#[test]
fn a_configuration_file_says_the_same_and_options_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.json");
    std::fs::write(&file, r#"{"store": "memory:?bytes=8MiB", "limits": {"tags_max": 3}}"#).expect("written");
    let node = Running::start(&["--config", file.to_str().expect("text"), "--limit", "variants_max=5"]);
    let stats = json(&node.run(&["stats", "--json"]));
    let node = &stats["nodes"][0];
    assert_eq!((&node["limits"]["tags_max"], &node["limits"]["variants_max"]), (&3.into(), &5.into()));
    assert_eq!(node["store"]["memory_bytes_max"], 8 << 20);
}

#[test]
fn tokens_open_the_admin_plane_for_what_they_are_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |name: &str, scope: &str| {
        let made = json(&run(&["node", "token", "--name", name, "--scope", scope, "--json"]));
        (made["token"].as_str().expect("a token").to_owned(), made["line"].clone())
    };
    let ((ci, ci_line), (ops, ops_line)) = (made("ci", "purge"), made("ops", "read"));
    let file = folder.path().join("tokens.json");
    std::fs::write(&file, serde_json::json!([ci_line, ops_line]).to_string()).expect("written");
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, format!("{ci}\n")).expect("written");

    let node = Running::start(&["--admin", "0.0.0.0:0", "--tokens", file.to_str().expect("text")]);
    let with = |token: Option<&str>, arguments: &[&str]| {
        let mut command = larder(&[arguments, &["--node", &node.admin]].concat());
        token.inspect(|token| {
            command.env("LARDER_TOKEN", token);
        });
        command.output().expect("it runs")
    };
    for (token, arguments, code, says) in [
        (None, &["purge", "--all"][..], 1, "401"),
        (Some("larder_wrong"), &["purge", "--all"], 1, "401"),
        (Some(&ops[..]), &["purge", "--all"], 1, "403"),
        (Some(&ci), &["purge", "--all"], 0, ""),
        (Some(&ci), &["stats"], 1, "403"),
        (Some(&ops), &["stats"], 0, ""),
        (None, &["purge", "--all", "--token-file", token_file.to_str().expect("text")], 0, ""),
    ] {
        let output = with(token, arguments);
        assert_eq!(output.status.code(), Some(code), "{token:?} {arguments:?}: {output:?}");
        assert!(stderr(&output).contains(says), "{token:?} {arguments:?}: {}", stderr(&output));
    }
    let (_, log) = node.terminate();
    let line = log.lines().find(|line| line.contains("purged")).expect("a line about the purge");
    assert!(line.contains("ci") && line.contains("sequence=1") && line.contains("what=\"all\""), "{line}");
    assert!(!log.contains(&ci), "a token is never written down");
}

#[test]
fn a_token_is_said_with_its_line() {
    let output = run(&["node", "token", "--name", "ci", "--scope", "read", "--scope", "purge"]);
    let text = stdout(&output);
    assert!(text.contains("larder_") && text.contains(r#""scopes":["read","purge"]"#), "{text}");
}
