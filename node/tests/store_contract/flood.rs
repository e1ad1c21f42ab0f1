//! Memory under a flood of distinct names: bounded, overhead included.

use bytes::Bytes;
use larder_node::clock::SystemClock;
use larder_node::store::Store;
use larder_node::store::memory::MemoryStore;

use crate::subject::{HOUR, name};

const MIB: u64 = 1 << 20;

#[cfg(feature = "disk")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test]
async fn memory_store_holds_its_limit_and_counts_what_it_takes() {
    flood(&MemoryStore::new(64 * MIB, SystemClock), 400_000).await;
}

#[cfg(feature = "disk")]
#[tokio::test]
async fn disk_store_holds_both_its_limits() {
    use larder_node::store::disk::{DiskOptions, DiskStore};

    let folder = tempfile::tempdir().expect("a folder");
    // It is about limits of space: the machine's disk may be busy.
    let options = DiskOptions { bytes_max: 64 * MIB, memory_bytes_max: 16 * MIB, timeout: PATIENCE };
    let store = DiskStore::open(folder.path(), &options, SystemClock).expect("opens");
    flood(&store, 200_000).await;
    let on_disk: u64 = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|file| file.expect("a file").metadata().expect("metadata").len())
        .sum();
    assert!(on_disk <= 64 * MIB, "{on_disk}");
    assert_eq!(store.usage().disk_bytes, Some(on_disk));
}

/// Small values, the worst case: each name is new, and costs more than its value.
async fn flood(store: &dyn Store, names: u64) {
    for number in 0..names {
        store.put(&name(&format!("flood-{number}")), Bytes::from(vec![1; 200]), HOUR).await.expect("put");
        if number % 1000 == 0 {
            let usage = store.usage();
            assert!(usage.memory_bytes <= usage.memory_bytes_max, "{usage:?}");
            assert!(usage.disk_bytes.unwrap_or(0) <= usage.disk_bytes_max.unwrap_or(0), "{usage:?}");
        }
    }
    let usage = store.usage();
    println!("{} names later: {usage:?}", names);
    assert!(usage.evictions > Some(0) && usage.items < Some(names));
}
