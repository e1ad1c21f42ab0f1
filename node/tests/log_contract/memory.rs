//! The log in memory.

use larder_core::purge::Sequence;
use larder_node::log::{Read, open};

use crate::contract::{append, check, check_overflow, head, tag};
use crate::watch::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_log_keeps_the_contract() {
    check(open("memory:").await.unwrap()).await;
}

#[tokio::test]
async fn a_reader_behind_the_ring_is_told_so() {
    check_overflow(open("memory:?keep=10").await.unwrap(), 10, 1).await;
}

#[tokio::test]
async fn every_start_is_a_new_identity() {
    let log = open("memory:").await.unwrap();
    let again = open("memory:").await.unwrap();
    let old = append(&*log, &[tag(1)]).await;
    let new = head(&*again).await;
    assert_ne!(old.log, new.log);
    assert_eq!(again.read(old.log, old.sequence, 1, DEADLINE).await.unwrap(), Read::Other { head: new });
}

#[tokio::test]
async fn a_position_that_was_never_handed_out_is_not_waited_for() {
    let log = open("memory:").await.unwrap();
    let end = append(&*log, &[tag(1)]).await;
    let read = log.read(end.log, Sequence(9), 1, DEADLINE).await.unwrap();
    assert_eq!(read, Read::Other { head: end });
}

#[tokio::test]
async fn a_url_that_names_no_log_is_refused_with_what_to_write() {
    for (url, says) in [
        ("memory", "no scheme"),
        ("memory:x", "write memory:"),
        ("memory:?keep=0", "from 1 on"),
        ("memory:?kep=1", "there is keep"),
        ("disk:relative", "whole path"),
        ("s3://bucket", "write memory:"),
    ] {
        let refused = open(url).await.err().expect(url).to_string();
        assert!(refused.contains(says), "{url}: {refused}");
    }
}
