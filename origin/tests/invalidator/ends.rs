//! How invalidators end: shut down, dropped, with nodes and without.

use std::time::Duration;

use larder_origin::Invalidator;
use larder_origin::invalidator::{BuildError, NotAccepted, PurgeError, Remaining};

use crate::support::{Cluster, until, within};

const NO_TIME: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_sends_what_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::new().await;
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    for number in 0..100 {
        invalidator.purge_tag(format!("{number}")).detach();
    }
    assert_eq!(within(invalidator.shutdown(Duration::from_secs(20))).await, Remaining::Nothing);
    assert_eq!(cluster.purged().await.len(), 100);
    assert!(matches!(invalidator.purge_tag("late").await, Err(PurgeError::ShutDown)));
    assert_eq!(within(invalidator.shutdown(NO_TIME)).await, Remaining::Nothing);
    // The directory is free, though this one is still there.
    let next = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    assert_eq!(next.status().waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_what_it_cannot_send() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::down();
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("kept");
    // Not waited for, and yet not lost.
    for number in 0..100 {
        invalidator.purge_tag(format!("{number}")).detach();
    }
    assert_eq!(within(invalidator.shutdown(NO_TIME)).await, Remaining::Kept(101));
    assert_eq!(within(ticket.accepted()).await, Err(NotAccepted::ShutDown));
    assert_eq!(within(invalidator.clone().shutdown(NO_TIME)).await, Remaining::Kept(101));
    cluster.start().await;
    let next = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    within(next.flushed()).await;
    let want: Vec<String> = std::iter::once("a".into()).chain((0..100).map(|number| number.to_string())).collect();
    assert_eq!(cluster.purged().await, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_without_a_directory_says_what_is_lost() {
    let cluster = Cluster::down();
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    invalidator.purge_tag("a").await.expect("queued");
    assert_eq!(within(invalidator.shutdown(NO_TIME)).await, Remaining::Lost(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_clone_that_is_dropped_keeps_what_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::down();
    let builder = cluster.invalidator().directory(folder.path());
    let invalidator = builder.clone().build().expect("an invalidator");
    for number in 0..1000 {
        invalidator.purge_tag(format!("{number}")).detach();
    }
    let clone = invalidator.clone();
    drop(invalidator);
    assert!(matches!(builder.clone().build(), Err(BuildError::InUse { .. })));
    clone.purge_tag("last").detach();
    drop(clone);
    let next = builder.build().expect("free at once");
    assert_eq!(next.status().waiting, 1001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_queue_does_not_hold_up_a_shutdown() {
    let cluster = Cluster::new().await;
    let hour = Duration::from_secs(3600);
    let builder = Invalidator::builder().node(format!("{}/elsewhere", cluster.url())).backoff(hour, hour);
    let invalidator = builder.build().expect("an invalidator");
    invalidator.purge_tag("a").await.expect("queued");
    until("blocked", async || invalidator.status().blocked.is_some()).await;
    assert_eq!(within(invalidator.shutdown(NO_TIME)).await, Remaining::Lost(1));
}

#[test]
fn outside_of_a_runtime_there_is_none() {
    let built = Invalidator::builder().node("http://127.0.0.1:9").build();
    assert!(matches!(built, Err(BuildError::NoRuntime)));
}

#[tokio::test]
async fn what_cannot_be_built_says_why() {
    assert!(matches!(Invalidator::builder().build(), Err(BuildError::NoNode)));
    let file = tempfile::NamedTempFile::new().expect("a file");
    for (builder, why) in [
        (Invalidator::builder().node("127.0.0.1:9902"), "is not the admin plane"),
        (Invalidator::builder().node("http://h").token(""), "no token"),
        (Invalidator::builder().node("http://h").directory(file.path()), "cannot keep purges in"),
    ] {
        let error = builder.build().expect_err("not built").to_string();
        assert!(error.contains(why), "{error}");
    }
    let secret = format!("{:?}", Invalidator::builder().node("http://h").token("secret"));
    assert!(!secret.contains("secret"));
}
