//! What is asked for arrives, whole and in order.

use larder_origin::Purge;
use larder_origin::invalidator::{InvalidPurge, PurgeError};

use crate::support::{Cluster, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_purge_arrives_in_order() {
    let cluster = Cluster::new().await;
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    invalidator.purge_tag("a").detach();
    invalidator.purge_url("http://h/u?q").detach();
    invalidator.purge(Purge::new().prefix("http://h/p").soft()).detach();
    invalidator.purge_prefix("http://h/p").detach();
    let mut last = invalidator.purge_all().await.expect("queued");
    let accepted = within(last.accepted()).await.expect("accepted");
    assert_eq!((accepted.node(), accepted.sequence()), (cluster.url().as_str(), 5));
    let want = ["a", "url http://h/u?q", "soft prefix http://h/p", "prefix http://h/p", "all"];
    // Within one request the node orders by kind.
    let mut purged = cluster.purged().await;
    if purged[0] != "a" {
        purged.swap(0, 1);
    }
    assert_eq!(purged, want);
    assert_eq!(invalidator.status().accepted, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_arrive_in_order_and_none_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::new().await;
    for kept in [false, true] {
        let mut builder = cluster.invalidator();
        if kept {
            builder = builder.directory(folder.path());
        }
        let invalidator = builder.build().expect("an invalidator");
        assert_eq!(invalidator.is_durable(), kept);
        let before = cluster.purged().await.len();
        let tags: Vec<String> = (0..5000).map(|number| format!("{kept} {number}")).collect();
        let queued: Vec<_> = tags.iter().map(|tag| invalidator.purge_tag(tag)).collect();
        for queued in queued {
            within(queued).await.expect("queued");
        }
        within(invalidator.flushed()).await;
        assert_eq!(cluster.purged().await[before..], tags);
        assert_eq!(invalidator.status().failed_attempts, 0);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_purge_is_said_at_once() {
    let cluster = Cluster::down();
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    for (purge, why) in [(Purge::new(), InvalidPurge::Nothing), (Purge::new().tag("a").tag(""), InvalidPurge::EmptyTag)]
    {
        match invalidator.purge(purge).await {
            Err(PurgeError::Invalid(error)) => assert_eq!(error, why),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(invalidator.status().waiting, 0);
}
