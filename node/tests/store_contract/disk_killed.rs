//! The disk store after its process was killed: everything acknowledged is there, nothing removed is.
//!
//! The process is this test program again, told by its environment to be the one that writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use larder_node::clock::SystemClock;
use larder_node::store::Store;
use larder_node::store::disk::{DiskOptions, DiskStore};

use crate::subject::{HOUR, bytes, eventually, name};

const FOLDER: &str = "LARDER_TEST_DISK_FOLDER";
const FROM: &str = "LARDER_TEST_DISK_FROM";

/// Names are used again and again, so that there is something to replace.
const NAMES: u64 = 300;

fn open(folder: &Path) -> Option<DiskStore> {
    let options = DiskOptions { bytes_max: 1 << 30, memory_bytes_max: 1 << 20, ..DiskOptions::default() };
    DiskStore::open(folder, &options, SystemClock).ok()
}

fn length(number: u64) -> usize {
    // Now and then so large that the kill is likely to strike within the write.
    if number.is_multiple_of(50) { 3 << 20 } else { (number % 5000) as usize }
}

/// Not a test by itself: what the child does. Says what it is about to do, and what is done.
#[test]
fn writes_until_it_is_killed() {
    let (Ok(folder), Ok(from)) = (std::env::var(FOLDER), std::env::var(FROM)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = open(Path::new(&folder)).expect("opens");
    let mut out = std::io::stdout();
    for number in from.parse::<u64>().expect("a number").. {
        let name = name(&format!("n{}", number % NAMES));
        writeln!(out, "\nbegun {number}").and_then(|()| out.flush()).expect("the parent listens");
        runtime.block_on(async {
            if number % 7 == 3 {
                store.remove(&name).await.expect("remove");
            } else {
                store.put(&name, bytes(number, length(number)), HOUR).await.expect("put");
            }
        });
        writeln!(out, "\ndone {number}").and_then(|()| out.flush()).expect("the parent listens");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut from = 0;
    // What each name's last acknowledged operation was.
    let mut acknowledged = BTreeMap::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "disk_killed::writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FROM, from.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut begun = from;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut note = |line: &str| match line.split_once(' ') {
            Some(("begun", number)) => begun = number.parse().expect("a number"),
            Some(("done", number)) => {
                let number: u64 = number.parse().expect("a number");
                acknowledged.insert(number % NAMES, number);
            }
            _ => {}
        };
        for line in lines.by_ref() {
            let line = line.expect("text");
            note(&line);
            if line == format!("done {}", from + 400 * round) {
                break;
            }
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        // What it still said.
        for line in lines {
            note(&line.expect("text"));
        }
        assert!(begun >= from + 400 * round, "it ended by itself");
        check(folder.path(), &acknowledged, begun).await;
        from = begun + 1;
    }
}

async fn check(folder: &Path, acknowledged: &BTreeMap<u64, u64>, begun: u64) {
    let mut store = None;
    // Its lock goes with the process, in the kernel's own time.
    eventually("the folder is free", || {
        store = open(folder);
        std::future::ready(store.is_some())
    })
    .await;
    let store = store.expect("opened");
    for (of, number) in acknowledged {
        let got = store.get(&name(&format!("n{of}"))).await.expect("get");
        let expected = |number: u64| (number % 7 != 3).then(|| bytes(number, length(number)));
        // The operation that was cut short may have been done or not.
        let cut_short = begun % NAMES == *of && got == expected(begun);
        assert!(cut_short || got == expected(*number), "n{of} is not as operation {number} left it");
    }
}
