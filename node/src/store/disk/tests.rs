//! What is left of values after restarts and damage.
#![cfg(test)]

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::clock::ManualClock;

const KEEP: Duration = Duration::from_secs(60);

struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    options: DiskOptions,
}

impl Place {
    fn new() -> Self {
        let options = DiskOptions { bytes_max: 16 << 20, memory_bytes_max: memory::BYTES_MIN, timeout: KEEP };
        Self { folder: tempfile::tempdir().expect("a folder"), clock: Arc::new(ManualClock::new()), options }
    }

    fn open(&self) -> DiskStore {
        DiskStore::open(self.folder.path(), &self.options, self.clock.clone()).expect("opens")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|file| file.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        paths.sort();
        paths
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn value(number: usize) -> Bytes {
    Bytes::from(vec![number as u8; 1000 + number])
}

async fn put(store: &DiskStore, text: &str, number: usize) {
    store.put(&name(text), value(number), KEEP).await.expect("put");
}

async fn get(store: &DiskStore, text: &str) -> Option<Bytes> {
    store.get(&name(text)).await.expect("get")
}

#[tokio::test]
async fn a_restart_finds_the_newest_of_everything() {
    let place = Place::new();
    let store = place.open();
    for number in 0..500 {
        put(&store, &format!("n{number}"), number).await;
    }
    put(&store, "n1", 7).await;
    store.remove(&name("n2")).await.expect("remove");
    store.put(&name("n3"), value(3), Duration::from_secs(1)).await.expect("put");
    store.put(&name("n4"), value(4), Duration::ZERO).await.expect("put");
    drop(store);
    place.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let store = place.open();
        assert_eq!(store.usage().items, Some(497));
        assert_eq!(get(&store, "n0").await, Some(value(0)));
        assert_eq!(get(&store, "n1").await, Some(value(7)));
        assert_eq!(get(&store, "n2").await, None);
        assert_eq!(get(&store, "n3").await, None, "neither the shorter-lived nor the longer-lived one before it");
        assert_eq!(get(&store, "n4").await, None);
        assert_eq!(get(&store, "n499").await, Some(value(499)));
    }
}

#[tokio::test]
async fn values_larger_than_memory_come_from_disk() {
    let place = Place::new();
    let store = place.open();
    for number in 0..3000 {
        put(&store, &format!("n{number}"), number % 500).await;
    }
    let usage = store.usage();
    assert!(usage.memory_bytes <= usage.memory_bytes_max, "{usage:?}");
    for number in 0..3000 {
        assert_eq!(get(&store, &format!("n{number}")).await, Some(value(number % 500)));
    }
}

#[tokio::test]
async fn a_smaller_limit_holds_from_the_start() {
    let mut place = Place::new();
    let store = place.open();
    for number in 0..3000 {
        put(&store, &format!("n{number}"), 500).await;
    }
    drop(store);
    place.options.bytes_max = 2 << 20;
    let store = place.open();
    assert!(store.usage().disk_bytes <= Some(2 << 20), "{:?}", store.usage());
    assert_eq!(get(&store, "n2999").await, Some(value(500)));
    assert_eq!(get(&store, "n0").await, None);
}

/// Every byte of a file is flipped or cut away in turn; each time, every name has its own value, an older value of its own, or none.
#[tokio::test]
async fn no_damage_gives_wrong_bytes() {
    let place = Place::new();
    let store = place.open();
    let short = |number: usize| Bytes::from(vec![number as u8; number]);
    for number in 0..8 {
        store.put(&name(&format!("n{number}")), short(number * 10), KEEP).await.expect("put");
    }
    drop(store);
    let path = place.segments().pop().expect("a segment");
    let good = fs::read(&path).expect("read");
    let damages = (0..good.len()).flat_map(|at| [(at, true), (at, false)]);
    for (at, flip) in damages {
        let mut bad = good.clone();
        if flip {
            bad[at] ^= 0x40;
        } else {
            bad.truncate(at);
        }
        fs::write(&path, &bad).expect("write");
        let store = place.open();
        let mut found = 0;
        for number in 0..8 {
            let got = get(&store, &format!("n{number}")).await;
            assert!(got.is_none() || got == Some(short(number * 10)), "byte {at}: {got:?}");
            found += usize::from(got.is_some());
        }
        assert!(found < 8, "byte {at}");
        // And it can be written to.
        put(&store, "after", 5).await;
        assert_eq!(get(&store, "after").await, Some(value(5)));
        drop(store);
        for path in place.segments() {
            fs::remove_file(path).expect("remove");
        }
    }
}

#[tokio::test]
async fn damage_under_an_open_store_is_a_miss() {
    let place = Place::new();
    let store = place.open();
    for number in 0..3000 {
        put(&store, &format!("n{number}"), 300).await;
    }
    for path in place.segments() {
        let length = fs::metadata(&path).expect("metadata").len();
        File::options().write(true).open(&path).expect("open").set_len(length / 2).expect("cut");
    }
    let mut found = 0;
    for number in 0..3000 {
        let got = get(&store, &format!("n{number}")).await;
        assert!(got.is_none() || got == Some(value(300)));
        found += usize::from(got.is_some());
    }
    assert!((1000..2500).contains(&found), "{found}");
}

/// With the list of heads, without it, and with one that is damaged or of another file: the same values.
#[tokio::test]
async fn a_list_of_heads_changes_nothing_but_the_time() {
    let place = Place::new();
    let store = place.open();
    for number in 0..1000 {
        put(&store, &format!("n{number}"), number % 500).await;
    }
    store.remove(&name("n7")).await.expect("remove");
    drop(store);
    let lists: Vec<_> = place.segments().iter().map(|path| log::list_of(path)).filter(|path| path.exists()).collect();
    assert!(lists.len() > 3);
    let all_there = || async {
        let store = place.open();
        for number in 0..1000 {
            let expected = (number != 7).then(|| value(number % 500));
            assert_eq!(get(&store, &format!("n{number}")).await, expected, "n{number}");
        }
    };
    all_there().await;
    let mut damaged = fs::read(&lists[0]).expect("read");
    damaged[200] ^= 1;
    fs::write(&lists[0], damaged).expect("write");
    fs::copy(&lists[3], &lists[1]).expect("copy");
    fs::write(&lists[2], b"").expect("write");
    all_there().await;
    assert!(!lists[0].exists() && !lists[1].exists() && !lists[2].exists() && lists[3].exists());
    lists.iter().for_each(|list| drop(fs::remove_file(list)));
    all_there().await;
    // A list without its segment goes.
    let orphan = place.folder.path().join("larder-0000ffff.heads");
    fs::write(&orphan, b"x").expect("write");
    all_there().await;
    assert!(!orphan.exists());
}

#[tokio::test]
async fn other_files_are_left_alone_and_other_formats_removed() {
    let place = Place::new();
    for (file, content) in [("notes.txt", "mine"), ("larder-00000001.seg", "an older format"), ("larder-zz.seg", "?")] {
        fs::write(place.folder.path().join(file), content).expect("write");
    }
    let store = place.open();
    put(&store, "a", 1).await;
    assert_eq!(get(&store, "a").await, Some(value(1)));
    let there = |file: &str| fs::read_to_string(place.folder.path().join(file)).unwrap_or_default();
    assert_eq!((there("notes.txt").as_str(), there("larder-zz.seg").as_str()), ("mine", "?"));
    assert_eq!(store.usage().disk_bytes, Some(fs::metadata(&place.segments()[0]).expect("metadata").len()));
}

#[tokio::test]
async fn check_reclaims_what_expired_and_notices_a_lost_folder() {
    let place = Place::new();
    let store = place.open();
    put(&store, "a", 1).await;
    store.check().await.expect("fine");
    place.clock.advance(KEEP);
    store.check().await.expect("fine");
    assert_eq!((store.usage().disk_bytes, store.usage().items), (Some(0), Some(0)));
    fs::remove_dir_all(place.folder.path()).expect("remove");
    store.check().await.expect_err("no folder");
    let error = store.put(&name("a"), value(1), KEEP).await.expect_err("no folder");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test]
async fn closing_writes_everything() {
    let place = Place::new();
    let store = place.open();
    put(&store, "a", 1).await;
    store.close().await.expect("close");
}
