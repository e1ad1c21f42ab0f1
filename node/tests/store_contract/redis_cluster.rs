//! A cluster of three masters while it changes: a slot that moves, a node that dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use larder_node::store::{Name, Store, open};

use crate::servers::{Server, cluster, replica};
use crate::subject::{HOUR, bytes, eventually, name};

/// The slot of a name's key.
fn slot_of(name: &Name) -> u16 {
    let step = |sum: u16, byte: u8| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| (sum << 1) ^ if sum & 0x8000 != 0 { 0x1021 } else { 0 })
    };
    format!("larder:{}", name.as_str()).bytes().fold(0, step) % 16384
}

/// The names by slot.
fn slots(names: &[Name]) -> BTreeMap<u16, Vec<Name>> {
    let mut slots: BTreeMap<u16, Vec<Name>> = BTreeMap::new();
    for name in names {
        slots.entry(slot_of(name)).or_default().push(name.clone());
    }
    slots
}

fn id(node: &Server) -> String {
    node.cli(&["CLUSTER", "MYID"])
}

/// `redis-cli --cluster create` gives each node a third.
fn owner(slot: u16) -> usize {
    match slot {
        0..=5460 => 0,
        5461..=10922 => 1,
        _ => 2,
    }
}

async fn opened(nodes: &[Server; 3], parameters: &str) -> Arc<dyn Store> {
    let url = format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}{parameters}", nodes[0].port, nodes[1].port);
    let store = open(&url).await.expect("a store");
    eventually("the cluster answers", || async { store.check().await.is_ok() }).await;
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed_at_every_step() {
    let nodes = cluster();
    let store = opened(&nodes, "?timeout=2s").await;
    let all: Vec<Name> = (0..40).map(|n| name(&format!("n{n}"))).collect();
    for (seed, name) in all.iter().enumerate() {
        store.put(name, bytes(seed as u64, 100), HOUR).await.expect("put");
    }
    let expected: Vec<_> = (0..40).map(|seed| Some(bytes(seed, 100))).collect();
    // While it moves, others read all the time and never fail.
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (store, done, all, expected) = (store.clone(), done.clone(), all.clone(), expected.clone());
            tokio::spawn(async move {
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) {
                    for (name, expected) in all.iter().zip(&expected) {
                        assert_eq!(&store.get(name).await.expect("get"), expected, "{name:?} in round {rounds}");
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let slots = slots(&all);
    assert_eq!(nodes[0].cli(&["CLUSTER", "KEYSLOT", "larder:n0"]), slot_of(&all[0]).to_string());
    let (slot, names) = slots.first_key_value().expect("a slot");
    let (from, to) = (owner(*slot), (owner(*slot) + 1) % 3);
    let (slot, port) = (slot.to_string(), nodes[to].port.to_string());
    nodes[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(&nodes[from])]);
    nodes[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(&nodes[to])]);
    // One that is not there yet goes to the new node: ASK.
    let fresh = (0..).map(|n| name(&format!("fresh{n}"))).find(|fresh| slot_of(fresh).to_string() == slot);
    let fresh = fresh.expect("a name in the slot");
    assert_eq!(store.get(&fresh).await.expect("get"), None);
    store.put(&fresh, bytes(99, 100), HOUR).await.expect("put by ASK");
    assert_eq!(store.get(&fresh).await.expect("get by ASK"), Some(bytes(99, 100)));
    assert_eq!(nodes[to].cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]), "1");
    for name in names {
        nodes[from].cli(&["MIGRATE", "127.0.0.1", &port, &format!("larder:{}", name.as_str()), "0", "2000"]);
        assert!(store.get(name).await.expect("get of a moved one").is_some());
    }
    for node in [&nodes[to], &nodes[from], &nodes[(to + 1) % 3]] {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(&nodes[to])]);
    }
    // MOVED, and then straight to the new node.
    assert_eq!(store.get(&fresh).await.expect("get by MOVED"), Some(bytes(99, 100)));
    assert_eq!(store.get_many(&all).await.expect("get_many"), expected);
    store.remove(&fresh).await.expect("remove");
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.expect("a reader") > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_costs_its_slots_only_and_comes_back() {
    let nodes = cluster();
    let store = opened(&nodes, "?timeout=300ms").await;
    let all: Vec<Name> = (0..30).map(|n| name(&format!("n{n}"))).collect();
    for name in &all {
        store.put(name, bytes(1, 100), HOUR).await.expect("put");
    }
    let slots = slots(&all);
    let (dead, alive): (Vec<_>, Vec<_>) = slots
        .iter()
        .flat_map(|(slot, names)| names.iter().map(move |name| (owner(*slot), name)))
        .partition(|(node, _)| *node == 2);
    assert!(!dead.is_empty() && !alive.is_empty());
    nodes[2].kill();
    // Everything answers in time, whatever the answer; the others' values are there again as soon as that is known.
    eventually("the other nodes' values", || async {
        let mut all = true;
        for (_, name) in &alive {
            let began = Instant::now();
            all &= store.get(name).await == Ok(Some(bytes(1, 100)));
            assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
        }
        all
    })
    .await;
    let mut slowest = Duration::ZERO;
    for (_, name) in &dead {
        let began = Instant::now();
        store.get(name).await.expect_err("its node is dead");
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_millis(700), "{slowest:?}");
    // Meanwhile the others are not disturbed.
    let mut failures = 0;
    for _ in 0..10 {
        let lost = tokio::spawn({
            let (store, name) = (store.clone(), dead[0].1.clone());
            async move { store.get(&name).await }
        });
        for (_, name) in &alive {
            failures += u32::from(store.get(name).await.is_err());
        }
        lost.await.expect("a task").expect_err("its node is dead");
    }
    println!(
        "redis-cluster: {failures} of {} reads of living nodes failed beside reads of a dead one",
        alive.len() * 10
    );
    assert_eq!(failures, 0);
    nodes[2].start_again();
    eventually("the dead node's slots", || async {
        let mut all = true;
        for (_, name) in &dead {
            all &= store.put(name, bytes(2, 100), HOUR).await.is_ok();
        }
        all
    })
    .await;
}

/// The others answer all the time, so that the connection as a whole is never silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_falls_silent_is_left_for_its_replica() {
    let nodes = cluster();
    let _replica = replica(&nodes, 2);
    let store = opened(&nodes, "?timeout=300ms").await;
    let all: Vec<Name> = (0..30).map(|n| name(&format!("n{n}"))).collect();
    for name in &all {
        store.put(name, bytes(1, 100), HOUR).await.expect("put");
    }
    let slots = slots(&all);
    let names = slots.iter().flat_map(|(slot, names)| names.iter().map(move |name| (owner(*slot), name)));
    let (silent, well): (Vec<_>, Vec<_>) = names.partition(|(node, _)| *node == 2);
    assert!(!silent.is_empty() && !well.is_empty());
    nodes[2].freeze();
    eventually("silence", || async { store.get(silent[0].1).await.is_err() }).await;
    let disturbed = AtomicU32::new(0);
    eventually("the silent node's slots, by its replica", || async {
        for (_, name) in &well {
            disturbed.fetch_add(u32::from(store.get(name).await.is_err()), Ordering::Relaxed);
        }
        store.get(silent[0].1).await.is_ok()
    })
    .await;
    let disturbed = disturbed.into_inner();
    println!("redis-cluster: {disturbed} reads of the other nodes failed meanwhile");
    // Each of the store's connections finds out for itself.
    eventually("writes", || async { store.put(silent[0].1, bytes(2, 100), HOUR).await.is_ok() }).await;
    eventually("what was written", || async { store.get(silent[0].1).await == Ok(Some(bytes(2, 100))) }).await;
    nodes[2].thaw();
}
