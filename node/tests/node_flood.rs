//! A flood of distinct keys, in a process of its own: what it measures is that process' memory.

// The world is shared with `node/`, which uses all of it.
#[allow(dead_code)]
#[path = "node/support.rs"]
mod support;

use bytes::Bytes;
use larder_core::cluster::message::StoreAnswer;

use support::{Made, STORE_BYTES, World, looks};

/// Resident memory of this process.
fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_under_a_flood_of_distinct_keys() {
    const KEYS: usize = 24_000;
    const BYTES: usize = 8 << 10;
    let world = std::sync::Arc::new(World::new().await);
    let before = rss_bytes();
    let mut flooding = tokio::task::JoinSet::new();
    for part in 0..8 {
        let world = world.clone();
        flooding.spawn(async move {
            for number in 0..KEYS / 8 {
                // Looked up with a lease that is never used, and stored under another name: both tables grow where they may.
                let missed = world.lookup(&looks(&format!("lost-{part}-{number}"))).await;
                let response = Made { body: Bytes::from(vec![7; BYTES]), ..Made::default() };
                let answer = world.store(&world.made(&format!("k-{part}-{number}"), &missed, response)).await;
                assert_eq!(answer, StoreAnswer::Done);
                if number % 500 == 0 {
                    let used = world.stats().await["store"]["memory_bytes"].as_u64().expect("a number");
                    assert!(used <= STORE_BYTES, "{used} bytes");
                }
            }
        });
    }
    flooding.join_all().await;
    let stats = world.stats().await;
    let grown = rss_bytes().saturating_sub(before);
    println!(
        "{} MiB came, the store has {} MiB of {}, {} evicted, memory has grown by {} MiB",
        (KEYS * BYTES) >> 20,
        stats["store"]["memory_bytes"].as_u64().expect("a number") >> 20,
        STORE_BYTES >> 20,
        stats["store"]["evictions"],
        grown >> 20
    );
    assert!(stats["store"]["evictions"].as_u64() > Some(0));
    assert!(grown < STORE_BYTES + (96 << 20), "{grown} bytes more, with a store of {STORE_BYTES}");
}
