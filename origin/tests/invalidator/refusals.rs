//! What a node does not take: some purges never, all of them while the token or the URL is wrong.

use std::fs;

use larder_node::tokens::{Scope, Tokens, new_token};
use larder_origin::invalidator::{BuildError, NotAccepted};
use larder_origin::{Invalidator, Purge};
use serde_json::{Value, json};

use crate::support::{Cluster, quick, until, within};

/// Longer than larder-node's log takes, and not longer than the invalidator does.
fn too_long() -> String {
    "x".repeat(20_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_good_goes_to_the_dead_letters_and_holds_up_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::down();
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    let mut before = invalidator.purge_tag("before").await.expect("kept");
    let mut bad = invalidator.purge(Purge::new().tag("good").tag(too_long()).url("http://h/good")).await.expect("kept");
    let mut after = invalidator.purge_tag("after").await.expect("kept");
    cluster.start().await;
    match within(bad.accepted()).await {
        Err(NotAccepted::Refused { status: 413, detail }) => assert!(detail.contains("longer"), "{detail}"),
        other => panic!("{other:?}"),
    }
    within(before.accepted()).await.expect("accepted");
    within(after.accepted()).await.expect("accepted");
    let mut purged = cluster.purged().await;
    purged.sort();
    assert_eq!(purged, ["after", "before", "good", "url http://h/good"]);
    let status = invalidator.status();
    assert_eq!((status.dead_letters, status.accepted, status.waiting), (1, 4, 0));
    let letters = fs::read_to_string(folder.path().join("dead-letters.jsonl")).expect("dead letters");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["purge"], json!({ "soft": false, "tags": [too_long()] }));
    assert_eq!(letters[0]["status"], 413);
    drop(invalidator);
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    assert_eq!(invalidator.status().waiting, 0, "dropped for good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_holds_up_everything_until_the_file_has_the_right_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, queue) = (folder.path().join("token"), folder.path().join("queue"));
    let (right, listed) = new_token("shop", &[Scope::Purge]).expect("a token");
    let (reads_only, other) = new_token("reader", &[Scope::Read]).expect("a token");
    let mut cluster = Cluster::down();
    cluster.tokens = Some(Tokens::new(&[listed, other]).expect("tokens"));
    cluster.start().await;
    let missing = cluster.invalidator().token_file(&file).build();
    assert!(matches!(missing, Err(BuildError::Token(_))), "{missing:?}");
    fs::write(&file, "wrong\n").expect("written");
    let invalidator = cluster.invalidator().token_file(&file).directory(&queue).build().expect("an invalidator");
    let mut tickets = Vec::new();
    for (tag, token, says) in [("a", "wrong", "401"), ("b", reads_only.as_str(), "403")] {
        fs::write(&file, token).expect("written");
        tickets.push(invalidator.purge_tag(tag).await.expect("kept"));
        until("blocked", async || invalidator.status().blocked.is_some_and(|why| why.contains(says))).await;
    }
    assert_eq!(invalidator.status().waiting, 2);
    assert!(!queue.join("dead-letters.jsonl").exists());
    fs::write(&file, format!("{right}\n")).expect("written");
    for mut ticket in tickets {
        within(ticket.accepted()).await.expect("accepted");
    }
    assert_eq!(cluster.purged().await, ["a", "b"]);
    assert_eq!(invalidator.status().blocked, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_set_is_used_at_once() {
    let (right, listed) = new_token("shop", &[Scope::Purge]).expect("a token");
    let mut cluster = Cluster::down();
    cluster.tokens = Some(Tokens::new(&[listed]).expect("tokens"));
    cluster.start().await;
    // Nothing but the token ends this wait.
    let hour = std::time::Duration::from_secs(3600);
    let builder = Invalidator::builder().node(cluster.url()).backoff(hour, hour);
    let invalidator = builder.token("wrong").build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    until("blocked", async || invalidator.status().blocked.is_some()).await;
    assert!(invalidator.set_token("two\nlines").is_err());
    invalidator.set_token(&right).expect("a token");
    within(ticket.accepted()).await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_leads_elsewhere_says_nothing_about_the_purge() {
    let cluster = Cluster::new().await;
    let builder = Invalidator::builder().node(format!("{}/elsewhere", cluster.url()));
    let invalidator = quick(builder).build().expect("an invalidator");
    invalidator.purge_tag("a").await.expect("queued");
    until("blocked", async || invalidator.status().blocked.is_some_and(|why| why.contains("404"))).await;
    let status = invalidator.status();
    assert_eq!((status.waiting, status.dead_letters), (1, 0));
}
