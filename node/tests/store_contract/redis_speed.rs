//! What get and put cost over the loopback. Prints; a machine's speed is no contract.

use std::time::{Duration, Instant};

use larder_node::store::{Store, open};

use crate::servers::{Server, cluster};
use crate::subject::{HOUR, bytes, name};

async fn each<F: Future<Output = ()>>(count: u32, mut one: impl FnMut(u32) -> F) -> String {
    let mut times = Vec::new();
    for n in 0..count {
        let began = Instant::now();
        one(n).await;
        times.push(began.elapsed());
    }
    times.sort();
    let us = |time: Duration| time.as_nanos() as f64 / 1000.0;
    format!("p50 {:.0} µs, p99 {:.0} µs", us(times[times.len() / 2]), us(times[times.len() * 99 / 100]))
}

async fn speed(mode: &str, url: String) {
    let store: std::sync::Arc<dyn Store> = open(&url).await.expect("a store");
    for length in [1_000, 100_000] {
        let value = bytes(1, length);
        let names: Vec<_> = (0..500).map(|n| name(&format!("speed{n}"))).collect();
        let put = each(500, |n| {
            let (store, value, name) = (&store, value.clone(), &names[n as usize]);
            async move { store.put(name, value, HOUR).await.expect("put") }
        })
        .await;
        let get = each(500, |n| {
            let (store, name) = (&store, &names[n as usize]);
            async move { drop(store.get(name).await.expect("get").expect("a value")) }
        })
        .await;
        let many = each(50, |_| async { drop(store.get_many(&names[..8]).await.expect("get_many")) }).await;
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..2000 {
            let (store, name) = (store.clone(), names[n % 500].clone());
            tasks.spawn(async move { store.get(&name).await.map(|value| value.map(|value| value.len())) });
            if n % 64 == 63 {
                while let Some(done) = tasks.join_next().await {
                    assert_eq!(done.expect("a task"), Ok(Some(length)));
                }
            }
        }
        tasks.join_all().await;
        println!(
            "{mode}, {length} bytes: put {put}; get {get}; 8 at once {many}; 64 tasks {:?} each",
            began.elapsed() / 2000
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server() {
    let server = Server::redis(&[]);
    speed("redis", format!("redis://127.0.0.1:{}?timeout=5s", server.port)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster() {
    let nodes = cluster();
    speed("redis-cluster", format!("redis-cluster://127.0.0.1:{}?timeout=5s", nodes[0].port)).await;
}
