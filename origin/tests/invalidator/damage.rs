//! Files that are not as they were written.

use std::fs;
use std::path::Path;

use crate::support::{Cluster, within};

/// Leaves two purges in a folder.
async fn leave(folder: &Path) {
    let cluster = Cluster::down();
    let invalidator = cluster.invalidator().directory(folder).build().expect("an invalidator");
    within(invalidator.purge_tag("first")).await.expect("kept");
    within(invalidator.purge_tag("second")).await.expect("kept");
}

/// What a node is asked for by the next invalidator.
async fn sent(folder: &Path) -> Vec<String> {
    let cluster = Cluster::new().await;
    let invalidator = cluster.invalidator().directory(folder).build().expect("an invalidator");
    within(invalidator.purge_tag("next")).await.expect("kept");
    within(invalidator.flushed()).await;
    // Within one request the node orders by kind.
    let mut purged = cluster.purged().await;
    purged.sort();
    purged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_is_cut_off_and_the_rest_is_sent() {
    for cut in [1, 10, 40] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path()).await;
        let file = folder.path().join("purges.log");
        let bytes = fs::read(&file).expect("read");
        fs::write(&file, &bytes[..bytes.len() - cut]).expect("cut");
        assert_eq!(sent(folder.path()).await, ["first", "next"], "cut by {cut}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zeros_at_the_end_are_a_torn_end() {
    let folder = tempfile::tempdir().expect("a folder");
    leave(folder.path()).await;
    let file = folder.path().join("purges.log");
    let bytes = fs::read(&file).expect("read");
    fs::write(&file, [&bytes[..], &[0; 4096]].concat()).expect("longer");
    assert_eq!(sent(folder.path()).await, ["first", "next", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_anywhere_else_purges_everything() {
    for at in [0, 12, 50, 80] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path()).await;
        let file = folder.path().join("purges.log");
        let mut bytes = fs::read(&file).expect("read");
        bytes[at] ^= 1;
        fs::write(&file, &bytes).expect("written");
        assert_eq!(sent(folder.path()).await, ["all", "next"], "byte {at} of {}", bytes.len());
        let copies: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|file| file.expect("a file").path())
            .filter(|file| file.to_string_lossy().contains("damaged"))
            .collect();
        assert_eq!(copies.len(), 1);
        assert_eq!(fs::read(&copies[0]).expect("a copy"), bytes);
        assert_eq!(sent(folder.path()).await, ["next"], "once");
    }
}
