//! The log on disk: what survives, and what is made of a file that is not as it was left.
//!
//! The process that is killed is this test binary once more, told by a variable to append until its end.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::purge::{Scope, Sequence};
use larder_node::log::{Log, OpenError, Position, Read, open};
use tempfile::TempDir;

use crate::contract::{all, append, check, check_overflow, head, tag};
use crate::watch::DEADLINE;

/// Set for the process that is to be killed.
const VICTIM: &str = "LARDER_TEST_LOG_VICTIM";

/// Opens the log of a folder. A child that another test starts has our lock until it begins its own program, so `InUse` may
/// pass by itself.
async fn opened(folder: &Path) -> Arc<dyn Log> {
    opened_as(&format!("disk:{}", folder.display())).await
}

async fn opened_as(url: &str) -> Arc<dyn Log> {
    let end = Instant::now() + DEADLINE;
    loop {
        match open(url).await {
            Ok(log) => return log,
            Err(OpenError::InUse { .. }) if Instant::now() < end => tokio::task::yield_now().await,
            Err(error) => panic!("{url}: {error}"),
        }
    }
}

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("purge.log")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_log_keeps_the_contract() {
    let folder = TempDir::new().unwrap();
    check(opened(folder.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_behind_what_is_kept_is_told_so() {
    let folder = TempDir::new().unwrap();
    let url = format!("disk:{}?keep=10", folder.path().display());
    check_overflow(opened_as(&url).await, 10, 1).await;
    // Also after a restart, when the file still holds older ones.
    let log = opened_as(&url).await;
    let now = head(&*log).await;
    assert_eq!(now.sequence, Sequence(12));
    let read = log.read(now.log, Sequence(1), 1, Duration::ZERO).await.unwrap();
    assert_eq!(read, Read::TooOld { head: now, floor: Sequence(2) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path()).await;
    let start = head(&*log).await;
    let end = append(&*log, &[tag(1), tag(2)]).await;
    let records = all(&*log, start, end.sequence).await;
    drop(log);
    let log = opened(folder.path()).await;
    assert_eq!(head(&*log).await, end);
    assert_eq!(all(&*log, start, end.sequence).await, records);
    assert_eq!(append(&*log, &[tag(3)]).await.sequence, Sequence(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path()).await;
    let url = format!("disk:{}", folder.path().display());
    let refused = open(&url).await.err().expect("a second one").to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
    drop(log);
    opened(folder.path()).await;
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let Ok(folder) = std::env::var(VICTIM) else { return };
    let log = opened(Path::new(&folder)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let log = log.clone();
        tasks.spawn(async move {
            for number in 0.. {
                let name = format!("{task}/{number}");
                let end = append(&*log, &[(Scope::Tag(name.clone()), Default::default())]).await;
                // One write, so that lines of several tasks do not mix.
                let line = format!("ACK {} {} {name}\n", end.log.0, end.sequence.0);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["disk::victim", "--exact", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        for line in lines.map_while(Result::ok) {
            let Some(at) = line.find("ACK ") else { continue };
            let words: Vec<&str> = line[at..].split(' ').collect();
            let [_, log, sequence, name] = words[..] else { continue };
            acknowledged.push((log.parse::<u64>().unwrap(), sequence.parse().unwrap(), name.to_owned()));
            if acknowledged.len() == 300 {
                victim.kill().unwrap();
            }
        }
        victim.wait().unwrap();
        assert!(acknowledged.len() >= 300, "the victim ended by itself");
        let log = opened(folder.path()).await;
        let now = head(&*log).await;
        let records = all(&*log, Position { sequence: Sequence(0), ..now }, now.sequence).await;
        for (id, sequence, name) in acknowledged {
            let sequence: u64 = sequence;
            assert_eq!(now.log.0, id, "round {round}: the identity changed");
            let found = &records[usize::try_from(sequence).unwrap() - 1];
            assert_eq!(found.scope, Scope::Tag(name), "round {round}: {sequence}");
        }
    }
}

/// A log with three appends of one record, closed.
async fn three(folder: &Path) -> Position {
    let log = opened(folder).await;
    for number in 1..=3 {
        append(&*log, &[tag(number)]).await;
    }
    head(&*log).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let folder = TempDir::new().unwrap();
    let end = three(folder.path()).await;
    let whole = fs::read(file(&folder)).unwrap();
    let log = opened(folder.path()).await;
    append(&*log, &[tag(4), tag(5)]).await;
    drop(log);
    let longer = fs::read(file(&folder)).unwrap();
    assert!(longer.starts_with(&whole));
    for cut in whole.len()..longer.len() {
        for zeros in [0, 100] {
            // Zeros after a whole head would be a body that does not check, which is damage; a crash leaves one or the other.
            let mut torn = if zeros == 0 { longer[..cut].to_vec() } else { whole.clone() };
            torn.resize(torn.len() + zeros, 0);
            fs::write(file(&folder), &torn).unwrap();
            let log = opened(folder.path()).await;
            assert_eq!(head(&*log).await, end, "cut at {cut}, {zeros} zeros");
            assert_eq!(append(&*log, &[tag(6)]).await.sequence, Sequence(4));
            drop(log);
            let log = opened(folder.path()).await;
            assert_eq!(head(&*log).await.sequence, Sequence(4), "cut at {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_anywhere_is_a_new_identity_and_the_file_is_kept_aside() {
    let folder = TempDir::new().unwrap();
    let end = three(folder.path()).await;
    let whole = fs::read(file(&folder)).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(file(&folder), &damaged).unwrap();
        let log = opened(folder.path()).await;
        let now = head(&*log).await;
        assert_ne!(now.log, end.log, "a damaged byte at {at}");
        assert_eq!(now.sequence, Sequence(0));
        assert_eq!(log.read(end.log, end.sequence, 1, Duration::ZERO).await.unwrap(), Read::Other { head: now });
        assert_eq!(fs::read(folder.path().join("purge.log.damaged")).unwrap(), damaged);
        append(&*log, &[tag(1)]).await;
        drop(log);
        let log = opened(folder.path()).await;
        assert_eq!(head(&*log).await, Position { sequence: Sequence(1), ..now }, "the new one stays");
    }
    let mut twice = whole.clone();
    twice.extend_from_slice(&whole);
    fs::write(file(&folder), &twice).unwrap();
    assert_ne!(head(&*opened(folder.path()).await).await.log, end.log, "garbage after the last frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_stays_bounded_and_a_rewrite_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let url = format!("disk:{}?keep=100", folder.path().display());
    let log = opened_as(&url).await;
    let long = |number: u64| (Scope::Url(format!("{number}{}", "x".repeat(2000))), Default::default());
    let start = head(&*log).await;
    let mut largest = 0;
    for round in 0..50u64 {
        let purges: Vec<_> = (0..200).map(|n| long(round * 200 + n)).collect();
        append(&*log, &purges).await;
        largest = largest.max(fs::metadata(file(&folder)).unwrap().len());
    }
    let end = head(&*log).await;
    assert!(largest < 6 << 20, "{largest} bytes for 100 records of 2 KB");
    let kept = all(&*log, Position { sequence: Sequence(end.sequence.0 - 100), ..start }, end.sequence).await;
    drop(log);
    let log = opened_as(&url).await;
    assert_eq!(head(&*log).await, end);
    assert_eq!(all(&*log, Position { sequence: Sequence(end.sequence.0 - 100), ..start }, end.sequence).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().unwrap();
    let inside = folder.path().join("a file");
    OpenOptions::new().create(true).truncate(true).write(true).open(&inside).unwrap();
    let refused = open(&format!("disk:{}/x", inside.display())).await.err().expect("a file is no folder").to_string();
    assert!(refused.contains("a file/x"), "{refused}");
}
