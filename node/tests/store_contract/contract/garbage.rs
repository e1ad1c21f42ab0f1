//! Bytes that others wrote or cut are a miss or an error, never a value, and do no harm to other names.

use crate::subject::{HOUR, Subject, bytes, name};

pub async fn foreign_bytes_are_no_value(subject: &impl Subject) {
    let store = subject.open().await;
    let (name, other) = (name("planted"), name("other"));
    store.put(&other, bytes(1, 100), HOUR).await.expect("put");
    let pieces: [&[u8]; 5] = [b"", b"x", b"{\"json\":true}", &[0; 64], &[0xff; 5000]];
    for foreign in pieces {
        store.put(&name, bytes(2, 100), HOUR).await.expect("put");
        subject.plant(&name, foreign).await;
        let got = store.get(&name).await;
        assert!(!matches!(&got, Ok(Some(_))), "{got:?}");
        assert!(store.get(&other).await == Ok(Some(bytes(1, 100))));
    }
    store.put(&name, bytes(3, 100), HOUR).await.expect("put over it");
    assert!(store.get(&name).await == Ok(Some(bytes(3, 100))));
}

pub async fn a_truncated_value_is_no_value(subject: &impl Subject) {
    let store = subject.open().await;
    let (name, other) = (name("cut"), name("other"));
    store.put(&other, bytes(1, 100), HOUR).await.expect("put");
    for left in [0, 1, 7, 20, 50, 99] {
        store.put(&name, bytes(2, 100), HOUR).await.expect("put");
        subject.truncate(&name, left).await;
        let got = store.get(&name).await;
        assert!(!matches!(&got, Ok(Some(_))), "{left} bytes left: {got:?}");
    }
    assert!(store.get(&other).await == Ok(Some(bytes(1, 100))));
    store.put(&name, bytes(3, 100), HOUR).await.expect("put over it");
    assert!(store.get(&name).await == Ok(Some(bytes(3, 100))));
}
