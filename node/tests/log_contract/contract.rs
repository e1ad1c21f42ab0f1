//! What every log must do. Each check is given a fresh, empty log, or two instances of one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::purge::{Mode, Record, Scope, Sequence};
use larder_node::log::{APPEND_MAX, Log, LogError, LogId, PURGE_BYTES_MAX, Page, Position, Read};

use crate::watch::{DEADLINE, summary};

pub fn tag(number: u64) -> (Scope, Mode) {
    (Scope::Tag(format!("t{number}")), if number.is_multiple_of(2) { Mode::Hard } else { Mode::Soft })
}

pub async fn append(log: &dyn Log, purges: &[(Scope, Mode)]) -> Position {
    log.append(purges).await.unwrap()
}

pub async fn head(log: &dyn Log) -> Position {
    log.head().await.unwrap()
}

pub async fn page(log: &dyn Log, from: Position, max: usize, wait: Duration) -> Page {
    match log.read(from.log, from.sequence, max, wait).await.unwrap() {
        Read::Page(page) => page,
        other => panic!("no page after {from:?}: {other:?}"),
    }
}

/// All records after a position, page by page.
pub async fn all(log: &dyn Log, mut from: Position, upto: Sequence) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while from.sequence < upto {
        let page = page(log, from, 100, DEADLINE).await;
        assert!(!page.records.is_empty(), "nothing after {from:?} in {DEADLINE:?}, up to {upto:?}");
        for record in page.records {
            assert_eq!(record.sequence.0, from.sequence.0 + 1, "a gap or a step back");
            from.sequence = record.sequence;
            records.push(record);
        }
    }
    records
}

/// Everything that one fresh log is put to.
pub async fn check(log: Arc<dyn Log>) {
    let start = head(&*log).await;
    assert_eq!(start.sequence, Sequence(0), "a fresh log is empty");
    assert_ne!(start.log.0, 0);
    every_kind_comes_back(&*log, start).await;
    pages(&*log, start).await;
    an_append_is_in_this_nodes_head_at_once(&*log).await;
    limits(&*log).await;
    other_positions(&*log).await;
    appenders_at_once(&log).await;
    a_waiting_reader_is_woken(&log, &log).await;
    append_speed(&log).await;
}

async fn every_kind_comes_back(log: &dyn Log, start: Position) {
    let mut purges = Vec::new();
    for mode in [Mode::Hard, Mode::Soft] {
        for scope in [
            Scope::Url("http://h/a?q=ä\r\n\0".into()),
            Scope::Tag("a b\"c".into()),
            Scope::Prefix("http://h/".into()),
            Scope::All,
        ] {
            purges.push((scope, mode));
        }
    }
    let end = append(log, &purges).await;
    assert_eq!(end, Position { log: start.log, sequence: Sequence(8) });
    let got: Vec<_> = all(log, start, end.sequence).await.into_iter().map(|r| (r.scope, r.mode)).collect();
    assert_eq!(got, purges);
}

async fn pages(log: &dyn Log, start: Position) {
    let first = page(log, start, 3, Duration::ZERO).await;
    assert_eq!(first.records.iter().map(|r| r.sequence.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(first.head, head(log).await, "the head is the log's, not the page's");
    let later = page(log, Position { sequence: Sequence(6), ..start }, 100, Duration::ZERO).await;
    assert_eq!(later.records.iter().map(|r| r.sequence.0).collect::<Vec<_>>(), [7, 8]);
    // At the head: nothing, after the wait and not before.
    let began = Instant::now();
    let none = page(log, head(log).await, 100, Duration::from_millis(30)).await;
    assert!(none.records.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(30), "{:?}", began.elapsed());
    // At least one record is allowed, or a reader would never get on.
    assert_eq!(page(log, start, 0, Duration::ZERO).await.records.len(), 1);
}

async fn an_append_is_in_this_nodes_head_at_once(log: &dyn Log) {
    for number in 0..50 {
        let before = head(log).await;
        let end = append(log, &[tag(number)]).await;
        assert_eq!(end.sequence.0, before.sequence.0 + 1);
        assert_eq!(head(log).await, end);
        assert_eq!(page(log, before, 10, Duration::ZERO).await.records.len(), 1);
    }
}

async fn limits(log: &dyn Log) {
    let before = head(log).await;
    assert_eq!(append(log, &[]).await, before);
    let many = vec![tag(1); APPEND_MAX + 1];
    assert_eq!(log.append(&many).await, Err(LogError::TooMany { purges: APPEND_MAX + 1 }));
    let long = Scope::Url("x".repeat(PURGE_BYTES_MAX));
    let refused = log.append(&[tag(1), (long, Mode::Hard)]).await;
    assert!(matches!(refused, Err(LogError::TooLong { .. })), "{refused:?}");
    assert_eq!(head(log).await, before, "what is refused is refused whole");
    let most = Scope::Url("x".repeat(PURGE_BYTES_MAX - 2));
    let end = append(log, &[(most.clone(), Mode::Soft)]).await;
    let got = page(log, before, 10, DEADLINE).await.records;
    assert_eq!(got, [Record { sequence: end.sequence, scope: most, mode: Mode::Soft }]);
}

async fn other_positions(log: &dyn Log) {
    let now = head(log).await;
    let other = LogId(now.log.0 ^ 1);
    let began = Instant::now();
    let read = log.read(other, Sequence(0), 10, DEADLINE).await.unwrap();
    assert_eq!(read, Read::Other { head: now });
    assert!(began.elapsed() < DEADLINE / 2, "a reader from elsewhere need not wait");
}

async fn appenders_at_once(log: &Arc<dyn Log>) {
    const APPENDERS: u64 = 64;
    const EACH: u64 = 20;
    let start = head(&**log).await;
    let mut tasks = tokio::task::JoinSet::new();
    for appender in 0..APPENDERS {
        let log = log.clone();
        tasks.spawn(async move {
            let mut ends = Vec::new();
            for number in 0..EACH {
                // Two at a time: they stay together.
                let names = [format!("{appender}/{number}/a"), format!("{appender}/{number}/b")];
                ends.push(append(&*log, &names.map(|name| (Scope::Tag(name), Mode::Hard))).await.sequence);
            }
            assert!(ends.is_sorted());
            ends
        });
    }
    let ends: BTreeSet<Sequence> = tasks.join_all().await.into_iter().flatten().collect();
    let last = Sequence(start.sequence.0 + APPENDERS * EACH * 2);
    let expected: BTreeSet<Sequence> = (1..=APPENDERS * EACH).map(|n| Sequence(start.sequence.0 + 2 * n)).collect();
    assert_eq!(ends, expected, "numbers without a gap, each handed out once");
    let records = all(&**log, start, last).await;
    for pair in records.chunks(2) {
        let [Scope::Tag(a), Scope::Tag(b)] = [&pair[0].scope, &pair[1].scope] else { panic!("{pair:?}") };
        assert_eq!(a.strip_suffix("/a"), b.strip_suffix("/b"), "an append was torn apart");
    }
}

/// `reader` is another instance of the appender's log, or the same.
pub async fn a_waiting_reader_is_woken(appender: &Arc<dyn Log>, reader: &Arc<dyn Log>) {
    let mut times = Vec::new();
    for number in 0..200 {
        let from = head(&**appender).await;
        // The reader's node has to know what came before.
        if from.sequence > Sequence(0) {
            let before = Position { sequence: Sequence(from.sequence.0 - 1), ..from };
            page(&**reader, before, 1, DEADLINE).await;
        }
        let waiting = tokio::spawn({
            let reader = reader.clone();
            async move {
                let page = page(&*reader, from, 10, DEADLINE).await;
                (Instant::now(), page)
            }
        });
        tokio::task::yield_now().await;
        let end = append(&**appender, &[tag(number)]).await;
        let acknowledged = Instant::now();
        let (woken, page) = waiting.await.unwrap();
        assert_eq!(page.records.last().map(|r| r.sequence), Some(end.sequence));
        times.push(woken.saturating_duration_since(acknowledged));
    }
    times.sort();
    let median = times[times.len() / 2];
    println!("{}: from acknowledgement to the waiting reader: {}", appender.kind(), summary(times));
    assert!(median < Duration::from_millis(10), "this is polling: {median:?}");
}

async fn append_speed(log: &Arc<dyn Log>) {
    let mut times = Vec::new();
    for number in 0..300 {
        let began = Instant::now();
        append(&**log, &[tag(number)]).await;
        times.push(began.elapsed());
    }
    println!("{}: append, one at a time: {}", log.kind(), summary(times));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let log = log.clone();
        tasks.spawn(async move { append(&*log, &[tag(number)]).await });
    }
    tasks.join_all().await;
    println!("{}: append, 1000 at once: {:?} each", log.kind(), began.elapsed() / 1000);
}

/// A log that keeps `keep` records or somewhat more, and `slack` at most.
pub async fn check_overflow(log: Arc<dyn Log>, keep: u64, slack: u64) {
    let start = head(&*log).await;
    for number in 0..keep + slack {
        append(&*log, &[tag(number)]).await;
    }
    let end = append(&*log, &[tag(0)]).await;
    let read = log.read(start.log, start.sequence, 10, DEADLINE).await.unwrap();
    let Read::TooOld { head, floor } = read else { panic!("{read:?}") };
    assert_eq!(head, end);
    assert!(floor > start.sequence && floor.0 <= end.sequence.0 - keep, "{floor:?} {end:?}");
    // The floor can be read from, what is before it cannot.
    let kept = all(&*log, Position { sequence: floor, ..end }, end.sequence).await;
    assert_eq!(kept.len() as u64, end.sequence.0 - floor.0);
    let before = log.read(start.log, Sequence(floor.0 - 1), 10, DEADLINE).await.unwrap();
    assert_eq!(before, Read::TooOld { head, floor });
}
