//! A queue that is full.

use larder_origin::Purge;

use crate::support::{Cluster, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_becomes_a_purge_of_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    for kept in [false, true] {
        let mut cluster = Cluster::down();
        let mut builder = cluster.invalidator().queue_max(10);
        if kept {
            builder = builder.directory(folder.path());
        }
        let mut invalidator = builder.clone().build().expect("an invalidator");
        let mut tickets = Vec::new();
        for number in 0..25 {
            tickets.push(within(invalidator.purge_tag(format!("t{number}"))).await.expect("queued"));
        }
        // The 11th and the 21st found no room.
        let status = invalidator.status();
        assert_eq!((status.overflows, status.waiting), (2, 5));
        if kept {
            drop(invalidator);
            invalidator = builder.build().expect("an invalidator");
            assert_eq!(invalidator.status().waiting, 5);
        }
        cluster.start().await;
        within(invalidator.flushed()).await;
        let want = ["all", "t21", "t22", "t23", "t24"];
        // Within one request the node orders by kind.
        let mut purged = cluster.purged().await;
        purged.sort();
        assert_eq!(purged, want);
        for mut ticket in tickets.into_iter().filter(|_| !kept) {
            within(ticket.accepted()).await.expect("accepted");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_tag_does_not_fill_the_queue() {
    let mut cluster = Cluster::down();
    let invalidator = cluster.invalidator().queue_max(10).build().expect("an invalidator");
    for _ in 0..1000 {
        invalidator.purge_tag("hot").await.expect("queued");
        invalidator.purge(Purge::new().url("http://h/hot").soft()).await.expect("queued");
    }
    until("attempts fail", async || invalidator.status().failed_attempts > 0).await;
    let status = invalidator.status();
    // One of each may be under way, and the next then waits behind it.
    assert!(status.waiting <= 6 && status.overflows == 0, "{status:?}");
    cluster.start().await;
    within(invalidator.flushed()).await;
    assert!(cluster.purged().await.len() >= 2);
}
