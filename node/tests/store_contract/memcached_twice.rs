//! Two Memcached servers, one of them dead or halted: its names are errors at once, the other's are as ever.

use std::time::{Duration, Instant};

use larder_node::store::Name;

use crate::subject::memcached::{Memcached, item, keys, set};
use crate::subject::{HOUR, Subject, bytes, eventually, in_time, name};

/// Names by whether the first server has them.
fn names(memcached: &Memcached) -> (Vec<Name>, Vec<Name>) {
    let first = memcached.servers[0].port;
    (0..200).map(|number| name(&format!("n{number}"))).partition(|name| memcached.server_of(name).port == first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_costs_its_names_only() {
    let memcached = Memcached::start(2).await;
    let store = memcached.open().await;
    let (dead, living) = names(&memcached);
    assert!(dead.len() > 50 && living.len() > 50, "spread over both");
    for name in dead.iter().chain(&living) {
        store.put(name, bytes(1, 100), HOUR).await.expect("put");
    }
    memcached.servers[0].kill();
    // The first to notice may wait; after that it is known.
    in_time(&memcached, store.get(&dead[0])).await.expect_err("dead");
    let begun = Instant::now();
    for name in &dead {
        store.get(name).await.expect_err("dead");
        store.put(name, bytes(2, 100), HOUR).await.expect_err("dead");
    }
    // Now and then one tries whether it is back; on the loopback that is refused at once.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for name in &living {
        assert!(store.get(name).await == Ok(Some(bytes(1, 100))));
        store.put(name, bytes(3, 2 << 20), HOUR).await.expect("put");
        assert!(store.get(name).await == Ok(Some(bytes(3, 2 << 20))));
        store.remove(name).await.expect("remove");
    }
    store.check().await.expect("of use still");
    memcached.servers[0].restart().await;
    eventually("the server is used again", || async { store.put(&dead[0], bytes(4, 9), HOUR).await.is_ok() }).await;
    assert!(store.get(&dead[0]).await == Ok(Some(bytes(4, 9))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_halted_costs_its_names_only() {
    let memcached = Memcached::start(2).await;
    let store = memcached.open().await;
    let (halted, living) = names(&memcached);
    for name in halted.iter().chain(&living) {
        store.put(name, bytes(1, 100), HOUR).await.expect("put");
    }
    memcached.servers[0].halt();
    for (slow, quick) in halted.iter().zip(&living) {
        let (slow, quick) = tokio::join!(in_time(&memcached, store.get(slow)), store.get(quick));
        slow.expect_err("halted");
        assert!(quick == Ok(Some(bytes(1, 100))));
    }
    memcached.servers[0].resume();
    eventually("the server is used again", || async { store.get(&halted[0]).await == Ok(Some(bytes(1, 100))) }).await;
}

/// A part of a large value is gone, or from another put: a miss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_two_puts_are_never_mixed() {
    let memcached = Memcached::start(1).await;
    let store = memcached.open().await;
    let server = &memcached.servers[0];
    let (one, other) = (name("one"), name("other"));
    for name in [&one, &other] {
        store.put(name, bytes(1, 3 << 20), HOUR).await.expect("put");
    }
    // The head of one under the name of the other: its parts are not found by the other's name.
    let head = item(server, one.as_str()).await;
    memcached.plant(&other, &head).await;
    assert_eq!(store.get(&other).await, Ok(None));
    assert!(store.get(&one).await == Ok(Some(bytes(1, 3 << 20))));
    // A part of one put in the place of another's, of the same length.
    let keys = keys(server).await;
    let parts: Vec<_> = keys.iter().filter(|key| key.starts_with("one~") && !key.ends_with(".3")).collect();
    let part = item(server, parts[0]).await;
    set(server, parts[1], &part).await;
    assert_eq!(store.get(&one).await, Ok(None), "a mixture");
    // Put again, it is whole again.
    store.put(&one, bytes(2, 3 << 20), HOUR).await.expect("put");
    assert!(store.get(&one).await == Ok(Some(bytes(2, 3 << 20))));
}
