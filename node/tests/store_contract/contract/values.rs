//! What is put is what is got.

use bytes::Bytes;
use larder_node::store::StoreError;

use crate::subject::{HOUR, Subject, bytes, name};

pub async fn round_trips(subject: &impl Subject) {
    let store = subject.open().await;
    store.check().await.expect("answers");
    let every_byte: Bytes = (0..=255u8).collect();
    let protocol = Bytes::from_static(b"END\r\nVALUE a 0 1\r\n$-1\r\n\0");
    let values =
        [Bytes::new(), bytes(1, 1), every_byte, protocol, bytes(2, 64 << 10), bytes(3, 1 << 20), bytes(4, 5 << 20)];
    for (index, value) in values.iter().enumerate() {
        let name = name(&format!("value-{index}"));
        assert_eq!(store.get(&name).await, Ok(None), "before the put");
        store.put(&name, value.clone(), HOUR).await.expect("put");
        assert!(store.get(&name).await == Ok(Some(value.clone())), "value {index} came back different");
    }
    // Nobody was overwritten by a later one.
    for (index, value) in values.iter().enumerate() {
        let name = name(&format!("value-{index}"));
        assert!(store.get(&name).await == Ok(Some(value.clone())), "value {index} changed");
    }
}

pub async fn many_come_in_their_order(subject: &impl Subject) {
    let store = subject.open().await;
    for index in (0..100u64).step_by(2) {
        store.put(&name(&format!("n{index}")), bytes(index, 100), HOUR).await.expect("put");
    }
    // A large one among them, and one asked for twice.
    store.put(&name("large"), bytes(7, 2 << 20), HOUR).await.expect("put");
    let mut names: Vec<_> = (0..100).rev().map(|index| name(&format!("n{index}"))).collect();
    names.extend([name("large"), name("n2"), name("never")]);
    let mut expected: Vec<_> = (0..100u64).rev().map(|n| (n % 2 == 0).then(|| bytes(n, 100))).collect();
    expected.extend([Some(bytes(7, 2 << 20)), Some(bytes(2, 100)), None]);
    assert!(store.get_many(&names).await.expect("get_many") == expected);
    assert_eq!(store.get_many(&[]).await, Ok(vec![]));
}

pub async fn a_put_replaces(subject: &impl Subject) {
    let store = subject.open().await;
    let name = name("replaced");
    // Longer, shorter, large and small again: whatever forms a store has for them.
    for (seed, length) in [(1, 10), (2, 1000), (3, 3), (4, 3 << 20), (5, 2 << 20), (6, 5), (7, 0)] {
        store.put(&name, bytes(seed, length), HOUR).await.expect("put");
        assert!(store.get(&name).await == Ok(Some(bytes(seed, length))), "{length} bytes");
    }
}

pub async fn a_removed_value_is_gone(subject: &impl Subject) {
    let store = subject.open().await;
    for length in [0, 10, 3 << 20] {
        let (gone, stays) = (name("gone"), name("stays"));
        store.put(&gone, bytes(1, length), HOUR).await.expect("put");
        store.put(&stays, bytes(2, length), HOUR).await.expect("put");
        store.remove(&gone).await.expect("remove");
        assert_eq!(store.get(&gone).await, Ok(None));
        assert!(store.get(&stays).await == Ok(Some(bytes(2, length))));
        store.remove(&gone).await.expect("remove what is not there");
        // And it can come back.
        store.put(&gone, bytes(3, length), HOUR).await.expect("put");
        assert!(store.get(&gone).await == Ok(Some(bytes(3, length))));
        store.remove(&gone).await.expect("remove");
    }
}

pub async fn names_of_every_length_and_letter(subject: &impl Subject) {
    let store = subject.open().await;
    let longest = "x".repeat(64);
    let nearly = "x".repeat(63);
    let texts = [
        "a",
        "A",
        "0",
        "-",
        "_",
        ".",
        "..",
        "a.b",
        &longest,
        &nearly,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    ];
    for text in texts {
        store.put(&name(text), Bytes::copy_from_slice(text.as_bytes()), HOUR).await.expect("put");
    }
    for text in texts {
        assert_eq!(store.get(&name(text)).await, Ok(Some(Bytes::copy_from_slice(text.as_bytes()))), "{text}");
    }
}

pub async fn too_large_is_refused(subject: &impl Subject) {
    let store = subject.open().await;
    let most = subject.value_bytes_max();
    let name = name("large");
    let length = usize::try_from(most).expect("fits");
    store.put(&name, bytes(1, length), HOUR).await.expect("the largest");
    assert!(store.get(&name).await == Ok(Some(bytes(1, length))));
    let refused = store.put(&name, bytes(2, length + 1), HOUR).await.expect_err("one more");
    let StoreError::TooLarge { bytes, bytes_max, .. } = refused else { panic!("{refused}") };
    assert_eq!((bytes, bytes_max), (most + 1, most));
    // What was refused does not stand for what was there, nor the other way round: it is the older value or none.
    let kept = store.get(&name).await.expect("get");
    assert!(kept.is_none_or(|kept| kept == crate::subject::bytes(1, length)));
}
