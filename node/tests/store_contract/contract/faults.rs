//! A server that is slow, dead, or back again: answers within the time limit, always, and use of it again without reopening.

use std::sync::Arc;

use larder_node::store::{Store, StoreError};
use tokio::task::JoinSet;

use crate::subject::{HOUR, Subject, bytes, eventually, in_time, name};

pub async fn a_halted_server_costs_its_time_limit(subject: &impl Subject) {
    let store = subject.open().await;
    let name = name("halted");
    store.put(&name, bytes(1, 100), HOUR).await.expect("put");
    subject.halt();
    // Many at once: they must not wait in line for one another.
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (store, name) = (store.clone(), name.clone());
        tasks.spawn(async move { store.get(&name).await });
    }
    in_time(subject, async {
        while let Some(got) = tasks.join_next().await {
            got.expect("a task").expect_err("halted");
        }
    })
    .await;
    everything_fails(subject, &store).await;
    subject.resume();
    eventually("the server is used again", || async { store.get(&name).await == Ok(Some(bytes(1, 100))) }).await;
    works(&store).await;
}

pub async fn a_dead_server_is_an_error_at_once(subject: &impl Subject) {
    let store = subject.open().await;
    store.put(&name("dead"), bytes(1, 100), HOUR).await.expect("put");
    subject.kill();
    everything_fails(subject, &store).await;
    // Asking on costs nothing: nobody waits for a server that is known to be dead.
    in_time(subject, async {
        for _ in 0..1000 {
            store.get(&name("dead")).await.expect_err("dead");
        }
    })
    .await;
}

pub async fn a_server_that_comes_back_is_used_again(subject: &impl Subject) {
    let store = subject.open().await;
    for _ in 0..2 {
        works(&store).await;
        subject.kill();
        everything_fails(subject, &store).await;
        subject.restart().await;
        eventually("the server is used again", || async { store.check().await.is_ok() }).await;
        works(&store).await;
    }
    // So short a restart that nobody noticed: connections are broken, and the first use of each must not fail.
    subject.kill();
    subject.restart().await;
    eventually("the server is used again", || async { store.check().await.is_ok() }).await;
    works(&store).await;
}

pub async fn two_clients_share_what_is_stored(subject: &impl Subject) {
    let (one, other) = (subject.open().await, subject.open().await);
    for length in [10, 2 << 20] {
        one.put(&name("shared"), bytes(1, length), HOUR).await.expect("put");
        assert!(other.get(&name("shared")).await == Ok(Some(bytes(1, length))));
        other.remove(&name("shared")).await.expect("remove");
        assert_eq!(one.get(&name("shared")).await, Ok(None));
    }
}

pub async fn never_there_is_an_error_until_it_is(subject: &impl Subject) {
    subject.kill();
    let store = subject.open().await;
    everything_fails(subject, &store).await;
    subject.restart().await;
    eventually("the server is used", || async { store.check().await.is_ok() }).await;
    works(&store).await;
}

async fn works(store: &Arc<dyn Store>) {
    let name = name("works");
    store.put(&name, bytes(5, 1000), HOUR).await.expect("put");
    assert!(store.get(&name).await == Ok(Some(bytes(5, 1000))));
    store.remove(&name).await.expect("remove");
    assert_eq!(store.get_many(std::slice::from_ref(&name)).await, Ok(vec![None]));
}

/// Every operation ends in an error that says what is the matter, within the time limit.
async fn everything_fails(subject: &impl Subject, store: &Arc<dyn Store>) {
    let name = name("fails");
    let errors = [
        in_time(subject, store.get(&name)).await.map(drop),
        in_time(subject, store.get_many(std::slice::from_ref(&name))).await.map(drop),
        in_time(subject, store.put(&name, bytes(1, 10), HOUR)).await,
        in_time(subject, store.remove(&name)).await,
        in_time(subject, store.check()).await,
    ];
    for error in errors {
        let error = error.expect_err("there is no server");
        assert!(matches!(error, StoreError::Unreachable { .. } | StoreError::TimedOut { .. }), "{error}");
    }
}
