//! A node that is killed loses nothing that it acknowledged, and does not revive what was purged.

use std::time::SystemTime;

use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Lookup, LookupAnswer, Purge, PurgeAnswer, Store, StoreAnswer};
use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, Facts, wire};
use larder_core::fields::Fields;
use larder_core::purge::{Mode, Position, Scope};
use larder_core::time::{Millis, Seconds, Timestamp};

use crate::support::Running;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    Timestamp(since.as_millis() as u64)
}

fn lookup(node: &Running, name: &str) -> LookupAnswer {
    let lookup = Lookup {
        name: name.into(),
        fields: Fields::new(),
        lease_for: Millis(5000),
        wait_for: Millis(0),
        inline_bytes_max: 1 << 20,
    };
    node.ask(Lookup::PATH, &lookup)
}

fn filled(name: &str, tag: &str, missed: &LookupAnswer) -> Store {
    let entry = Entry::new(Facts {
        url: format!("http://h/{name}"),
        status: 200,
        fields: Fields::new(),
        body: "hello".into(),
        times: Times { request: now(), response: now(), date: None, age: Seconds::ZERO },
        vary: VaryKey::default(),
        tags: vec![tag.into()],
        position: missed.position,
        made_etag: false,
        identified: false,
        personal: false,
    });
    Store {
        name: name.into(),
        now: now(),
        lease: if let Lease::Granted(id) = missed.lease { id } else { 0 },
        keep_for: Seconds::saturating(600),
        variants_max: 8,
        record: wire::encode(&entry, name, now().plus(Millis(600_000)), true).into(),
    }
}

fn purge(node: &Running, tag: &str) -> Position {
    let purges = vec![(Scope::Tag(tag.into()), Mode::Hard)];
    match node.ask(Purge::PATH, &Purge { who: "test".into(), token: None, purges }) {
        PurgeAnswer::Done(position) => position,
        PurgeAnswer::Denied(denial) => panic!("denied: {denial:?}"),
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_what_was_purged_does_not_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("disk:{}/entries", folder.path().display());
    let arguments = ["--store", &store, "--limit", "lookup_timeout_ms=5000"];
    let node = Running::start(&arguments);
    let mut late = None;
    for (name, tag) in [("kept", "a"), ("purged", "b"), ("late", "b")] {
        let missed = lookup(&node, name);
        let store = filled(name, tag, &missed);
        if name == "late" {
            late = Some(store);
        } else {
            assert_eq!(node.ask::<_, StoreAnswer>(Store::PATH, &store), StoreAnswer::Done);
        }
    }
    let purged = purge(&node, "b");
    node.kill();

    let node = Running::start(&arguments);
    assert!(lookup(&node, "kept").found.is_some(), "acknowledged");
    let gone = lookup(&node, "purged");
    assert_eq!((gone.found, gone.position), (None, purged), "purged before the kill");
    let late = node.ask::<_, StoreAnswer>(Store::PATH, &late.expect("made"));
    assert!(matches!(late, StoreAnswer::Refused(_)), "a fill from before the purge and the kill: {late:?}");
    assert_eq!(purge(&node, "c").sequence.0, purged.sequence.0 + 1, "numbers go on");
    node.kill();

    // Without its log, nothing in the store can be vouched for.
    std::fs::remove_dir_all(folder.path().join("entries.log")).expect("removed");
    let node = Running::start(&arguments);
    assert!(lookup(&node, "kept").found.is_none(), "another log");
}
