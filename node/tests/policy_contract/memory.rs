//! Policies in memory.

use larder_node::policies::open;

use crate::contract::check;

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    check(open("memory:").await.expect("a store")).await;
}

#[tokio::test]
async fn a_url_that_names_no_store_is_refused_with_what_to_write() {
    for (url, says) in [
        ("memory", "write memory:"),
        ("memory:x", "write memory:"),
        ("disk:relative", "whole path"),
        ("disk:/a?keep=1", "nothing after it"),
        ("redis://h?keep=1", "keep"),
        ("memcached://h", "write memory:"),
    ] {
        let refused = open(url).await.err().expect(url).to_string();
        assert!(refused.contains(says), "{url}: {refused}");
    }
}
