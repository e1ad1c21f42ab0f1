//! What is kept for a time is gone after it, and not before.

use std::time::Duration;

use crate::subject::{HOUR, Subject, bytes, eventually, name};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub async fn a_value_expires(subject: &impl Subject) {
    let store = subject.open().await;
    let (short, long) = (name("short"), name("long"));
    for length in [10, 2 << 20] {
        store.put(&short, bytes(1, length), Duration::from_secs(2)).await.expect("put");
        store.put(&long, bytes(2, length), HOUR).await.expect("put");
        // Servers count whole seconds by their own clock, so only a good part of the time is sure.
        assert!(store.get(&short).await == Ok(Some(bytes(1, length))));
        subject.pass(Duration::from_secs(2)).await;
        eventually("the value expires", || async { store.get(&short).await == Ok(None) }).await;
        assert!(store.get(&long).await == Ok(Some(bytes(2, length))));
        let both = store.get_many(&[short.clone(), long.clone()]).await.expect("get_many");
        assert!(both == [None, Some(bytes(2, length))]);
    }
}

pub async fn kept_for_no_time_is_not_kept(subject: &impl Subject) {
    let store = subject.open().await;
    let name = name("none");
    store.put(&name, bytes(1, 10), HOUR).await.expect("put");
    store.put(&name, bytes(2, 10), Duration::ZERO).await.expect("put");
    assert_eq!(store.get(&name).await, Ok(None), "neither the new value nor the one it replaced");
}

pub async fn kept_for_400_days(subject: &impl Subject) {
    let store = subject.open().await;
    // Memcached takes 30 days and a second as a date in 1970; the longest span must not overflow.
    for (index, keep) in [30 * DAY, 30 * DAY + Duration::from_secs(1), 400 * DAY, Duration::MAX].into_iter().enumerate()
    {
        let name = name(&format!("kept-{index}"));
        store.put(&name, bytes(1, 10), keep).await.expect("put");
        assert_eq!(store.get(&name).await, Ok(Some(bytes(1, 10))), "kept for {keep:?}");
    }
}

pub async fn a_put_renews(subject: &impl Subject) {
    let store = subject.open().await;
    let name = name("renewed");
    store.put(&name, bytes(1, 10), Duration::from_secs(1)).await.expect("put");
    store.put(&name, bytes(2, 10), HOUR).await.expect("put");
    subject.pass(Duration::from_millis(1500)).await;
    assert_eq!(store.get(&name).await, Ok(Some(bytes(2, 10))));
}
