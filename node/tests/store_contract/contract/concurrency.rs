//! Many at once: everybody sees whole values.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::subject::{HOUR, Subject, bytes, eventually, name};

const TASKS: u64 = 64;

/// Writers and readers of one name: a reader sees one writer's value, whole, or none; never a mixture. At the end the value is
/// whole.
pub async fn readers_see_whole_values(subject: &impl Subject) {
    // Small, and so large that a store may keep it in parts.
    for (length, rounds) in [(1000, 20), (1_500_000, 2)] {
        let store = subject.open().await;
        let values: Arc<Vec<_>> = Arc::new((0..TASKS).map(|seed| bytes(seed, length)).collect());
        let name = name(&format!("shared-{length}"));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (store, values, name) = (store.clone(), values.clone(), name.clone());
            tasks.spawn(async move {
                for _ in 0..rounds {
                    if task % 2 == 0 {
                        // Time limits may strike when so many large values are on their way at once.
                        let _ = store.put(&name, values[task as usize].clone(), HOUR).await;
                    } else if let Ok(Some(value)) = store.get(&name).await {
                        assert!(values.contains(&value), "a mixture of {} bytes", value.len());
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a task");
        }
        // A store that was asked for too much may want to be left alone for a moment.
        eventually("a put", || async { store.put(&name, values[0].clone(), HOUR).await.is_ok() }).await;
        assert!(store.get(&name).await.expect("get").as_ref() == Some(&values[0]));
    }
}

/// A name for each task: nobody sees another's value.
pub async fn many_names_at_once(subject: &impl Subject) {
    let store = subject.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..20 {
                let name = name(&format!("task-{task}-{}", round % 5));
                let value = bytes(task * 1000 + round, 100 + task as usize);
                store.put(&name, value.clone(), HOUR).await.expect("put");
                assert!(store.get(&name).await == Ok(Some(value)));
                if round % 3 == 0 {
                    store.remove(&name).await.expect("remove");
                    assert_eq!(store.get(&name).await, Ok(None));
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a task");
    }
}
