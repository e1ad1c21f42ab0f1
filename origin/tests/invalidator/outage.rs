//! Nodes that are down, slow to come, or not all there.

use std::time::Duration;

use larder_origin::Invalidator;
use larder_origin::invalidator::NotDelivered;

use crate::front::Front;
use crate::support::{Cluster, quick, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_wait_for_a_cluster_that_is_down_and_go_in_order_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::down();
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    let mut tickets = Vec::new();
    for number in 0..3 {
        for purge in 0..20 {
            let ticket = within(invalidator.purge_tag(format!("{number}.{purge}"))).await.expect("kept");
            tickets.push(ticket);
        }
        let failed = invalidator.status().failed_attempts;
        until("attempts fail", async || invalidator.status().failed_attempts > failed + 2).await;
        let status = invalidator.status();
        assert_eq!(status.waiting, 20);
        assert!(status.oldest.is_some() && status.blocked.is_none());
        assert!(status.failing.is_some_and(|why| why.contains(&cluster.url())));
        cluster.start().await;
        within(invalidator.flushed()).await;
        cluster.stop().await;
    }
    let want: Vec<String> = (0..3).flat_map(|number| (0..20).map(move |purge| format!("{number}.{purge}"))).collect();
    assert_eq!(cluster.purged().await, want);
    for mut ticket in tickets {
        ticket.accepted().await.expect("accepted");
    }
    let status = invalidator.status();
    assert_eq!((status.waiting, status.failing, status.oldest), (0, None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_takes_over() {
    let mut first = Cluster::new().await;
    let second = Cluster::sharing(first.log.clone());
    let mut second = second;
    second.start().await;
    let builder = Invalidator::builder().nodes([first.url(), second.url()]);
    let invalidator = quick(builder).build().expect("an invalidator");
    let node = async |tag: &str| {
        let mut ticket = invalidator.purge_tag(tag).await.expect("queued");
        within(ticket.accepted()).await.expect("accepted").node().to_owned()
    };
    assert_eq!(node("a").await, first.url());
    first.stop().await;
    assert_eq!(node("b").await, second.url());
    first.start().await;
    assert_eq!(node("c").await, second.url(), "it stays with the one that works");
    second.stop().await;
    assert_eq!(node("d").await, first.url());
    assert_eq!(first.purged().await, ["a", "b", "c", "d"]);
    assert_eq!(invalidator.status().failed_attempts, 0, "a node took each at the first attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    let cluster = Cluster::new().await;
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let front = Front::new(cluster.admin, &[busy]).await;
    let invalidator = quick(Invalidator::builder().node(front.url())).build().expect("an invalidator");
    let began = std::time::Instant::now();
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    within(ticket.accepted()).await.expect("accepted");
    assert!(began.elapsed() >= Duration::from_millis(999), "{:?}", began.elapsed());
    assert_eq!((invalidator.status().failed_attempts, front.answered()), (1, 1));
    assert_eq!(cluster.purged().await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_nonsense_and_silence_are_tried_again() {
    let cluster = Cluster::new().await;
    let script = [
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 3\r\n\r\nno!",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",
        "what?\r\n\r\n",
        "",
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    ];
    let front = Front::new(cluster.admin, &script).await;
    let invalidator = quick(Invalidator::builder().node(front.url())).build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    within(ticket.accepted()).await.expect("accepted");
    assert_eq!(invalidator.status().failed_attempts, script.len() as u64);
    assert_eq!(cluster.purged().await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_purges_twice_at_most() {
    let cluster = Cluster::new().await;
    let front = Front::losing_answers(cluster.admin, 1).await;
    let invalidator = quick(Invalidator::builder().node(front.url())).build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    within(ticket.accepted()).await.expect("accepted");
    assert_eq!(cluster.purged().await, ["a", "a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_delivery_ends_with_its_time() {
    let cluster = Cluster::down();
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    let delivered = within(ticket.delivered(Duration::from_millis(50))).await;
    assert!(matches!(delivered, Err(NotDelivered::TimedOut(_))), "{delivered:?}");
}
