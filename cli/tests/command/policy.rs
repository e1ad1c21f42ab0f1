//! Shipping policies: pushing, waiting until workers have them, going back, shadows.

use std::path::{Path, PathBuf};

use larder_core::cluster::message::{Poll, PollAnswer, Report, StoreAnswer, Watch};
use larder_core::purge::Position;
use larder_core::time::Millis;
use serde_json::Value;

use crate::support::{Running, json, larder, run, run_with_input, stderr, stdout};

fn text(ttl: u32) -> String {
    format!(
        "{{\n  \"version\": 1,\n  \"name\": \"shop\",\n  \"routes\": [\n    {{ \"name\": \"items\", \"path\": \"/items\", \"ttl\": \"{ttl}s\" }}\n  ]\n}}\n"
    )
}

/// A folder with policies of different lifetimes in it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        for ttl in 1..=4 {
            std::fs::write(files.path(ttl), text(ttl)).expect("written");
        }
        files
    }

    fn path(&self, ttl: u32) -> PathBuf {
        self.0.path().join(format!("{ttl}.json"))
    }
}

fn of(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A worker that takes up what it is told, or refuses it.
struct Worker<'a> {
    node: &'a Running,
    name: &'static str,
    position: Position,
    generation: u64,
    refuses: Option<&'static str>,
    /// The policy that it runs.
    runs: Option<String>,
}

impl<'a> Worker<'a> {
    fn new(node: &'a Running, name: &'static str) -> Self {
        let mut worker = Self { node, name, position: Position::default(), generation: 0, refuses: None, runs: None };
        worker.polls();
        worker
    }

    fn polls(&mut self) {
        let refused = self.refuses.filter(|_| self.generation != 0).map(ToOwned::to_owned);
        let watch = Some(Watch { name: "shop".into(), generation: self.generation, refused });
        let (position, wait_for, lag_max) = (self.position, Millis(50), Millis(60_000));
        let answer: PollAnswer =
            self.node.ask(Poll::PATH, &Poll { worker: self.name.into(), position, wait_for, lag_max, watch });
        self.position = answer.position;
        if let Some(told) = answer.policies {
            self.generation = told.generation;
            if self.refuses.is_none() {
                self.runs = told.active.map(|active| active.text);
            }
        }
    }

    /// Runs a command while the worker polls.
    fn during(&mut self, arguments: &[&str]) -> std::process::Output {
        let node = self.node;
        std::thread::scope(|threads| {
            let command = threads.spawn(|| node.run(arguments));
            while !command.is_finished() {
                self.polls();
            }
            command.join().expect("it ended")
        })
    }
}

#[test]
fn a_push_waits_until_every_worker_has_it_and_a_rollback_goes_back() {
    let (node, files) = (Running::start(&[]), Files::new());
    let alone = node.run(&["policy", "push", of(&files.path(1)), "--comment", "first"]);
    assert_eq!(alone.status.code(), Some(0), "{alone:?}");
    assert!(
        stdout(&alone).contains("shop: version 1 is in force\n") && stdout(&alone).contains("no worker"),
        "{alone:?}"
    );

    let mut worker = Worker::new(&node, "envoy-1/0");
    let pushed = worker.during(&["policy", "push", of(&files.path(2)), "--wait", "15s"]);
    assert_eq!(pushed.status.code(), Some(0), "{pushed:?}");
    assert!(stdout(&pushed).contains("1 of 1 workers have it"), "{pushed:?}");
    assert_eq!(worker.runs, Some(text(2)));
    let again = worker.during(&["policy", "push", of(&files.path(2))]);
    assert!(again.status.success() && stdout(&again).contains("version 2 is in force already"), "{again:?}");

    let back = json(&worker.during(&["policy", "rollback", "shop", "--json"]));
    assert_eq!((&back["delivered"], &back["nodes"][0]["changed"]["version"]), (&true.into(), &1.into()));
    assert_eq!(worker.runs, Some(text(1)));
    let forth = worker.during(&["policy", "rollback", "shop", "--to", "2"]);
    assert!(stdout(&forth).contains("version 2 is in force again"), "{forth:?}");
    let gone = worker.during(&["policy", "withdraw", "shop"]);
    assert!(gone.status.success() && stdout(&gone).contains("what they were configured with"), "{gone:?}");
    assert_eq!(worker.runs, None);

    let listed = stdout(&node.run(&["policy", "list"]));
    assert!(listed.lines().any(|line| line.starts_with("shop") && line.contains("as configured")), "{listed}");
    let shown = stdout(&node.run(&["policy", "show", "shop"]));
    assert!(
        shown.contains("shop: workers: 1 of 1 have it") && shown.contains("last change: withdraw by local"),
        "{shown}"
    );
    assert!(shown.lines().any(|line| line.starts_with('1') && line.ends_with("first")), "{shown}");
    assert_eq!(stdout(&node.run(&["policy", "show", "shop", "--version", "2"])), text(2));
    let none = node.run(&["policy", "show", "shop", "--version", "active"]);
    assert!(none.status.code() == Some(1) && stderr(&none).contains("nothing is in force"), "{none:?}");
}

#[test]
fn who_refuses_or_does_not_hear_in_time_is_named_with_the_reason() {
    let (node, files) = (Running::start(&[]), Files::new());
    let mut late = Worker::new(&node, "envoy-2/0");
    let output = node.run(&["policy", "push", of(&files.path(1)), "--wait", "100ms"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("0 of 1 workers have it") && stdout(&output).contains("not yet: envoy-2/0"));
    late.refuses = Some("12:3: routes[0]: this module is older than that");
    let output = late.during(&["policy", "push", of(&files.path(2)), "--wait", "15s"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stdout(&output).contains("refused by envoy-2/0: 12:3: routes[0]: this module is older than that"),
        "{output:?}"
    );
    let said = json(&node.run(&["policy", "push", of(&files.path(3)), "--wait", "50ms", "--json"]));
    assert_eq!(
        (&said["delivered"], &said["nodes"][0]["delivery"]["workers"]["behind"][0]),
        (&false.into(), &"envoy-2/0".into())
    );
    let unasked = node.run(&["policy", "push", of(&files.path(4)), "--no-wait", "--json"]);
    assert_eq!((unasked.status.code(), &json(&unasked)["delivered"]), (Some(0), &Value::Null));
}

#[test]
fn a_policy_with_errors_is_refused_with_all_of_them() {
    let node = Running::start(&[]);
    let wrong =
        "{\"version\": 1, \"name\": \"shop\",\n\"routes\": [{\"name\": \"a\", \"path\": \"/a\", \"tll\": \"1s\"}, 5]}";
    let output = run_with_input(&["policy", "push", "-", "--node", &node.admin], wrong);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("standard input:2:") && said.contains("did you mean \"ttl\"?"), "{said}");
    assert!(said.lines().count() >= 3 && said.contains("stays in force"), "{said}");
    let output = run_with_input(&["policy", "push", "-", "--json", "--node", &node.admin], wrong);
    assert_eq!((output.status.code(), &json(&output)["refused"]["errors"][0]["line"]), (Some(1), &2.into()));
    let odd = r#"{"version": 1, "name": "shop", "classes": {"unused": {"kind": "catalog"}}, "routes": []}"#;
    let output = run_with_input(&["policy", "push", "-", "--node", &node.admin], odd);
    assert!(output.status.success() && stdout(&output).contains("unused"), "{output:?}");
}

#[test]
fn two_who_push_from_the_same_version_do_not_overwrite_each_other() {
    let (node, files) = (Running::start(&[]), Files::new());
    let push = |ttl: u32, base: &str| node.run(&["policy", "push", of(&files.path(ttl)), "--base", base]);
    assert!(push(1, "0").status.success());
    assert!(push(2, "1").status.success());
    let late = push(3, "1");
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    assert!(stderr(&late).contains("409") && stderr(&late).contains("version 2 by now, not 1"), "{late:?}");
}

#[test]
fn differences_are_shown_line_by_line_and_in_words() {
    let (node, files) = (Running::start(&[]), Files::new());
    for ttl in [1, 2] {
        assert!(node.run(&["policy", "push", of(&files.path(ttl))]).status.success());
    }
    let diff = stdout(&node.run(&["policy", "diff", "shop", of(&files.path(3))]));
    assert!(diff.starts_with("--- shop version 2\n+++ ") && diff.contains("\n-    { \"name\": \"items\""), "{diff}");
    assert!(diff.contains("\"ttl\": \"3s\"") && diff.ends_with("\n\nroutes changed: items (ttl)\n"), "{diff}");
    let before = stdout(&node.run(&["policy", "diff", "shop"]));
    assert!(before.starts_with("--- shop version 1\n+++ shop version 2\n"), "{before}");
    assert!(node.run(&["policy", "shadow", of(&files.path(3))]).status.success());
    let shadow = json(&node.run(&["policy", "diff", "shop", "--json"]));
    assert_eq!((&shadow["from"], &shadow["to"]), (&"shop version 2".into(), &"shop version 3".into()));
    assert_eq!(shadow["routes"]["changed"][0]["settings"], serde_json::json!(["ttl"]));
    let same = node.run(&["policy", "diff", "shop", of(&files.path(2)), "--exit-code"]);
    assert!(same.status.success() && stdout(&same).contains("are the same"), "{same:?}");
    let other = node.run(&["policy", "diff", "shop", "--from", "1", "--to", "shadow", "--exit-code"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(stdout(&other).starts_with("--- shop version 1\n+++ shop version 3\n"), "{other:?}");
}

#[test]
fn a_shadow_is_reported_on_promoted_and_ended() {
    let (node, files) = (Running::start(&[]), Files::new());
    let mut worker = Worker::new(&node, "envoy-1/0");
    assert!(worker.during(&["policy", "push", of(&files.path(1))]).status.success());
    let begun = worker.during(&["policy", "shadow", of(&files.path(2)), "--comment", "longer"]);
    assert!(begun.status.success() && stdout(&begun).contains("version 2 is in the shadow"), "{begun:?}");
    assert_eq!(worker.runs, Some(text(1)));
    let nothing = node.run(&["policy", "shadow", "shop", "--report"]);
    assert!(nothing.status.success() && stdout(&nothing).contains("no worker has reported"), "{nothing:?}");

    let reports = |counts: &[(&str, u64)]| {
        let counts = counts.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect();
        let report = Report { worker: "envoy-1/0".into(), counts, gauges: Vec::new(), keys: Vec::new() };
        assert_eq!(node.ask::<_, StoreAnswer>(Report::PATH, &report), StoreAnswer::Done);
    };
    reports(&[
        ("larder_requests_total;policy=shop;route=items;class=_defaults;outcome=hit", 1),
        ("larder_requests_total;policy=shop;route=items;class=_defaults;outcome=miss", 3),
        ("larder_shadow_requests_total;policy=shop;route=items;outcome=hit", 3),
        ("larder_shadow_requests_total;policy=shop;route=items;outcome=miss", 1),
        ("larder_shadow_store_bytes_total;policy=shop;route=items", 20_480),
        ("larder_shadow_differs_total;policy=shop;route=items;reason=staler", 1),
    ]);
    let safe = node.run(&["policy", "shadow", "shop", "--report"]);
    assert_eq!(safe.status.code(), Some(0), "{safe:?}");
    let said = stdout(&safe);
    let row = said.lines().find(|line| line.starts_with("items")).expect("a row");
    assert!(row.contains("25.0%") && row.contains("75.0%") && row.contains("20 KiB"), "{said}");
    assert!(said.contains("safe: ") && said.contains("older answers than clients got: 1 (staler)"), "{said}");
    reports(&[("larder_shadow_differs_total;policy=shop;route=items;reason=identity", 2)]);
    let unsafe_one = node.run(&["policy", "shadow", "shop", "--report"]);
    assert_eq!(unsafe_one.status.code(), Some(1), "{unsafe_one:?}");
    assert!(
        stdout(&unsafe_one).contains("not safe: answers shared that are not shared now: 2 (identity)"),
        "{unsafe_one:?}"
    );
    let said = json(&node.run(&["policy", "shadow", "shop", "--report", "--json"]));
    assert_eq!((&said["safe"], &said["totals"]["shadow"]["hits"]), (&false.into(), &3.into()));

    let promoted = worker.during(&["policy", "shadow", "shop", "--promote"]);
    assert!(promoted.status.success() && stdout(&promoted).contains("version 2 is in force"), "{promoted:?}");
    assert_eq!(worker.runs, Some(text(2)));
    let none = node.run(&["policy", "shadow", "shop", "--report"]);
    assert!(none.status.code() == Some(1) && stderr(&none).contains("nothing in the shadow"), "{none:?}");
    assert!(worker.during(&["policy", "shadow", of(&files.path(3))]).status.success());
    let stopped = worker.during(&["policy", "shadow", "shop", "--stop"]);
    assert!(stopped.status.success() && stdout(&stopped).contains("nothing is in the shadow any more"), "{stopped:?}");
}

#[test]
fn what_was_pushed_survives_a_kill_and_is_told_from_the_first_poll() {
    let (folder, files) = (tempfile::tempdir().expect("a folder"), Files::new());
    let store = format!("disk:{}/entries", folder.path().display());
    let node = Running::start(&["--store", &store]);
    assert!(node.run(&["policy", "push", of(&files.path(1))]).status.success());
    node.kill();
    let node = Running::start(&["--store", &store]);
    assert_eq!(Worker::new(&node, "w").runs, Some(text(1)));
    assert!(node.run(&["policy", "push", of(&files.path(2)), "--base", "1", "--no-wait"]).status.success());
    node.kill();
    // What was damaged meanwhile is named, kept, and not handed out; whoever pushes it again mends it.
    let damaged = folder.path().join("entries.policies/shop/2.json");
    std::fs::write(&damaged, "garbage").expect("written");
    let node = Running::start(&["--store", &store]);
    assert_eq!(Worker::new(&node, "w").runs, None);
    assert!(damaged.with_extension("json.damaged").exists());
    let mended = node.run(&["policy", "push", of(&files.path(2)), "--no-wait"]);
    assert!(stdout(&mended).contains("version 3 is in force\n"), "{mended:?}");
    assert_eq!(Worker::new(&node, "x").runs, Some(text(2)));
    let (_, log) = node.terminate();
    assert!(log.contains("2.json.damaged"), "{log}");
}

#[test]
fn nodes_that_share_nothing_are_each_pushed_to_and_those_that_share_once() {
    let (a, b, files) = (Running::start(&[]), Running::start(&[]), Files::new());
    let both = format!("{},{}", a.admin, b.admin);
    let pushed = json(&run(&["policy", "push", of(&files.path(1)), "--node", &both, "--json"]));
    assert_eq!(pushed["nodes"].as_array().map(Vec::len), Some(2), "{pushed}");
    for node in [&a, &b] {
        assert_eq!(stdout(&node.run(&["policy", "show", "shop", "--version", "active"])), text(1));
    }
    // The same node twice stands for two that share.
    let twice = format!("{},{}", a.admin, a.admin);
    for ttl in [2, 3] {
        assert!(a.run(&["policy", "push", of(&files.path(ttl))]).status.success());
    }
    let back = run(&["policy", "rollback", "shop", "--node", &twice]);
    assert!(back.status.success() && stdout(&back).matches("version 2 is in force again").count() == 2, "{back:?}");
    assert_eq!(stdout(&a.run(&["policy", "show", "shop", "--version", "active"])), text(2));
}

#[test]
fn a_token_that_is_for_policies_is_enough_to_push_and_no_other_is() {
    let (folder, files) = (tempfile::tempdir().expect("a folder"), Files::new());
    let made = |scope: &str| {
        let made = json(&run(&["node", "token", "--name", scope, "--scope", scope, "--json"]));
        (made["token"].as_str().expect("a token").to_owned(), made["line"].clone())
    };
    let ((policy, policy_line), (read, read_line)) = (made("policy"), made("read"));
    let tokens = folder.path().join("tokens.json");
    std::fs::write(&tokens, serde_json::json!([policy_line, read_line]).to_string()).expect("written");
    let node = Running::start(&["--tokens", of(&tokens)]);
    let with = |token: &str, arguments: &[&str]| {
        let mut command = larder(&[arguments, &["--node", &node.admin]].concat());
        command.env("LARDER_TOKEN", token).output().expect("it runs")
    };
    let file = files.path(1);
    assert!(with(&policy, &["policy", "push", of(&file)]).status.success());
    let denied = with(&read, &["policy", "push", of(&file)]);
    assert!(denied.status.code() == Some(1) && stderr(&denied).contains("403"), "{denied:?}");
    assert!(with(&read, &["policy", "list"]).status.success());
    let (_, log) = node.terminate();
    let line = log.lines().find(|line| line.contains("a policy has changed")).expect("a line about the push");
    assert!(line.contains("who=\"policy\"") && line.contains("shop: version 1 pushed"), "{line}");
    assert!(!log.contains(&policy), "a token is never written down");
}
