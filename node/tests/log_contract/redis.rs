//! The log in Redis: shared by nodes, and what becomes of it when Redis loses something.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_core::purge::Sequence;
use larder_node::log::{Log, LogError, Position, Read, open};

use crate::contract::{a_waiting_reader_is_woken, all, append, check, check_overflow, head, page, tag};
use crate::servers::{Server, Watched, cluster};
use crate::watch::{DEADLINE, until};

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

async fn opened(url: &str) -> Arc<dyn Log> {
    let log = open(url).await.unwrap();
    until("the log answers", || async { log.head().await.is_ok() }).await;
    log
}

/// Waits until this node has the log's new identity; returns the head.
async fn other_than(log: &dyn Log, old: Position) -> Position {
    until("a new identity", || async { log.head().await.is_ok_and(|now| now.log != old.log) }).await;
    head(log).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_log_keeps_the_contract() {
    let server = Server::redis(&[]);
    check(opened(&url(&server)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_a_cluster_keeps_the_contract() {
    let nodes = cluster();
    let url = format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    check(opened(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_behind_the_stream_is_told_so() {
    // Redis trims whole nodes of the stream, which hold up to 100 entries; this node keeps as many as it is told.
    let server = Server::redis(&[]);
    let log = opened(&format!("{}?keep=10", url(&server))).await;
    check_overflow(log, 10, 1).await;
    // A node that starts now has what the stream has.
    let later = opened(&format!("{}?keep=10", url(&server))).await;
    let now = head(&*later).await;
    assert_eq!(now.sequence, Sequence(12));
    let read = later.read(now.log, Sequence(0), 1, DEADLINE).await.unwrap();
    assert_eq!(read, Read::TooOld { head: now, floor: Sequence(2) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_late_reads_a_trimmed_stream_from_where_it_begins() {
    let server = Server::redis(&[]);
    let log = opened(&format!("{}?keep=100", url(&server))).await;
    let purges: Vec<_> = (0..3000).map(tag).collect();
    let end = append(&*log, &purges).await;
    let later = opened(&url(&server)).await;
    assert_eq!(head(&*later).await, end);
    let read = later.read(end.log, Sequence(0), 1, DEADLINE).await.unwrap();
    let Read::TooOld { floor, .. } = read else { panic!("{read:?}") };
    assert!(floor > Sequence(2000) && floor <= Sequence(2900), "{floor:?}");
    all(&*later, Position { sequence: floor, ..end }, end.sequence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_see_one_anothers_purges_at_once_and_in_one_order() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&url(&server)).await);
    assert_eq!(head(&*a).await, head(&*b).await);
    a_waiting_reader_is_woken(&a, &b).await;
    a_waiting_reader_is_woken(&b, &a).await;
    let start = head(&*a).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let log = if number % 2 == 0 { a.clone() } else { b.clone() };
        tasks.spawn(async move { append(&*log, &[tag(number)]).await.sequence });
    }
    let mut ends = tasks.join_all().await;
    ends.sort();
    assert!(ends.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "one number each");
    let last = *ends.last().unwrap();
    assert_eq!(all(&*a, start, last).await, all(&*b, start, last).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_knows_more_than_its_node_waits_for_it() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&url(&server)).await);
    for number in 0..100 {
        let end = append(&*a, &[tag(number)]).await;
        let none = page(&*b, end, 1, Duration::ZERO).await;
        assert!(none.records.is_empty());
    }
    assert_eq!(head(&*a).await.log, head(&*b).await.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_larders_share_a_redis_by_prefix() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&format!("{}?prefix=other", url(&server))).await);
    assert_ne!(head(&*a).await.log, head(&*b).await.log);
    append(&*a, &[tag(1)]).await;
    assert_eq!(head(&*b).await.sequence, Sequence(0));
}

/// Errors that are said on this thread.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, about: &tracing::Metadata<'_>) -> bool {
        *about.level() == tracing::Level::ERROR
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// On one thread, so that all that is said is heard.
#[tokio::test]
async fn a_log_that_begins_is_no_loss_and_one_that_is_gone_is() {
    let errors = Errors::default();
    let _heard = tracing::subscriber::set_default(errors.clone());
    let said = || errors.0.lock().unwrap().clone();
    let server = Server::redis(&[]);
    let a = opened(&url(&server)).await;
    let b = opened(&url(&server)).await;
    let old = append(&*a, &[tag(1)]).await;
    until("the other has it", || async { b.head().await.is_ok_and(|head| head == old) }).await;
    assert_eq!(said(), Vec::<String>::new());
    // Half of it, to somebody who knows of nothing: the stream is there, and what it says of itself is not.
    drop((a, b));
    server.cli(&["DEL", "{larder}:log-id"]);
    let a = opened(&url(&server)).await;
    assert_eq!(said().len(), 1, "{:?}", said());
    assert!(said()[0].contains("purges were lost"), "{:?}", said());
    // All of it, to somebody who knew it.
    let old = append(&*a, &[tag(2)]).await;
    server.cli(&["FLUSHALL"]);
    other_than(&*a, old).await;
    assert_eq!(said().len(), 2, "{:?}", said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_is_a_new_identity_for_all_nodes() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&url(&server)).await);
    let old = append(&*a, &[tag(1), tag(2)]).await;
    server.kill();
    server.start_again();
    let now = other_than(&*a, old).await;
    assert_eq!(other_than(&*b, old).await, now, "one new identity");
    assert_eq!(a.read(old.log, old.sequence, 1, DEADLINE).await.unwrap(), Read::Other { head: now });
    let next = append(&*b, &[tag(3)]).await;
    assert_eq!(next, Position { sequence: Sequence(1), ..now });
    assert_eq!(all(&*a, now, next.sequence).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_with_its_data_is_the_same_log() {
    let server = Server::redis(&["--appendonly", "yes", "--appendfsync", "always"]);
    let log = opened(&url(&server)).await;
    let start = head(&*log).await;
    let old = append(&*log, &[tag(1), tag(2)]).await;
    server.kill();
    until("the log says that it is not heard", || async { log.head().await.is_err() }).await;
    let refused = log.append(&[tag(9)]).await;
    assert!(matches!(refused, Err(LogError::Unreachable { .. } | LogError::TimedOut { .. })), "{refused:?}");
    server.start_again();
    until("the log is heard again", || async { log.head().await.is_ok() }).await;
    assert_eq!(head(&*log).await, old);
    until("an append works", || async { log.append(&[tag(3)]).await.is_ok() }).await;
    let end = head(&*log).await;
    assert_eq!((end.log, end.sequence), (old.log, Sequence(3)));
    // A node that starts now sees the same.
    let later = opened(&url(&server)).await;
    assert_eq!(all(&*later, start, end.sequence).await, all(&*log, start, end.sequence).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_while_the_connection_lives_is_noticed() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&url(&server)).await);
    for command in [
        &["FLUSHALL"][..],
        &["DEL", "{larder}:log"],
        &["DEL", "{larder}:log-id"],
        &["XTRIM", "{larder}:log", "MAXLEN", "0"],
    ] {
        let old = append(&*a, &[tag(1), tag(2)]).await;
        until("b has them", || async { b.head().await == Ok(old) }).await;
        server.cli(command);
        let now = other_than(&*a, old).await;
        assert_eq!(other_than(&*b, old).await, now, "{command:?}");
    }
}

/// As after a failover to a replica that was behind: this node saw records that are not there, and others are in their place.
#[tokio::test(flavor = "multi_thread")]
async fn other_records_under_numbers_that_were_seen_are_noticed() {
    let server = Server::redis(&["--appendonly", "yes", "--appendfsync", "always"]);
    let log = opened(&url(&server)).await;
    append(&*log, &[tag(1)]).await;
    let manifest = server.folder.path().join("appendonlydir");
    let incr = std::fs::read_dir(&manifest).unwrap().map(|entry| entry.unwrap().path());
    let incr = incr.into_iter().find(|path| path.to_string_lossy().contains("incr")).unwrap();
    let before = std::fs::read(&incr).unwrap();
    let old = append(&*log, &[tag(2)]).await;
    // Time goes back: the second purge never was. Another node, that knows of the first only, appends its own.
    server.kill();
    std::fs::write(&incr, before).unwrap();
    let frozen = log; // its follower tries to connect meanwhile; whoever is first, the outcome is the same
    server.start_again();
    let other = opened(&url(&server)).await;
    append(&*other, &[tag(7)]).await;
    let now = other_than(&*frozen, old).await;
    until("both nodes agree", || async { other.head().await.map(|head| head.log) == Ok(now.log) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_a_position_that_the_log_never_reached_proves_a_loss() {
    let server = Server::redis(&[]);
    let log = opened(&url(&server)).await;
    let old = append(&*log, &[tag(1)]).await;
    let read = log.read(old.log, Sequence(5), 1, DEADLINE).await.unwrap();
    let Read::Other { head } = read else { panic!("{read:?}") };
    assert_ne!(head.log, old.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_things_under_the_logs_keys_do_no_harm() {
    let server = Server::redis(&[]);
    server.cli(&["SET", "{larder}:log-id", "garbage"]);
    server.cli(&["XADD", "{larder}:log", "*", "some", "thing"]);
    let log = opened(&url(&server)).await;
    let end = append(&*log, &[tag(1)]).await;
    assert_eq!(end.sequence, Sequence(1));
    // Somebody writes into the stream behind the log's back.
    server.cli(&["XADD", "{larder}:log", "0-2", "some", "thing"]);
    let now = other_than(&*log, end).await;
    assert_eq!(now.sequence, Sequence(0));
    append(&*log, &[tag(2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_costs_its_time_limit_and_is_named() {
    let server = Server::redis(&[]);
    let log = opened(&format!("{}?timeout=200ms&lag=300ms", url(&server))).await;
    let end = append(&*log, &[tag(1)]).await;
    server.freeze();
    let began = Instant::now();
    let refused = log.append(&[tag(2)]).await;
    assert_eq!(refused, Err(LogError::TimedOut { log: "redis" }));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // A reader that waits is told, too, long before its wait is over.
    let refused = log.read(end.log, end.sequence, 1, DEADLINE).await;
    assert!(matches!(refused, Err(LogError::Unreachable { .. })), "{refused:?}");
    assert!(began.elapsed() < DEADLINE / 2, "{:?}", began.elapsed());
    server.thaw();
    until("the log is heard again", || async { log.head().await.is_ok() }).await;
    assert_eq!(head(&*log).await.log, end.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_may_be_opened_before_its_redis_is_there() {
    let server = Server::redis(&[]);
    server.kill();
    let began = Instant::now();
    let log = open(&url(&server)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(log.head().await, Err(LogError::Unreachable { .. })));
    server.start_again();
    until("the log answers", || async { log.head().await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_used_and_never_shown() {
    let server = Server::redis(&["--requirepass", "s3cret"]);
    let address = format!("127.0.0.1:{}", server.port);
    opened(&format!("redis://:s3cret@{address}")).await;
    let wrong = open(&format!("redis://:wr0ng@{address}")).await.unwrap();
    let error = wrong.head().await.unwrap_err().to_string();
    assert!(!error.contains("wr0ng"), "{error}");
    let error = open(&format!("redis://:wr0ng@{address}?x=1")).await.err().unwrap();
    assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_sentinel_is_followed() {
    let watched = Watched::start();
    let url = format!("redis-sentinel://{}", watched.address());
    let (a, b) = (opened(&url).await, opened(&url).await);
    let start = head(&*a).await;
    let old = append(&*a, &[tag(1), tag(2)]).await;
    crate::servers::until("the replica has them", || {
        watched.replica.cli(&["XLEN", "{larder}:log"]).ends_with('2').then_some(())
    });
    watched.master.kill();
    let began = Instant::now();
    until("an append works", || async { a.append(&[tag(3)]).await.is_ok() }).await;
    println!("redis-sentinel: from the master's death to the next append: {:?}", began.elapsed());
    // Reading goes over a connection of its own, which comes back by itself.
    until("reading works", || async { a.head().await.is_ok() }).await;
    let end = head(&*a).await;
    assert_eq!(end.log, old.log, "nothing was lost");
    until("the other node has it, too", || async { b.head().await.is_ok_and(|now| now.sequence >= end.sequence) })
        .await;
    assert_eq!(all(&*b, start, end.sequence).await, all(&*a, start, end.sequence).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_a_purge_is_a_new_identity() {
    let watched = Watched::start();
    let url = format!("redis-sentinel://{}", watched.address());
    let log = opened(&url).await;
    append(&*log, &[tag(1)]).await;
    crate::servers::until("the replica has it", || {
        watched.replica.cli(&["XLEN", "{larder}:log"]).ends_with('1').then_some(())
    });
    // The replica stops hearing; the master goes on, acknowledges, and dies. A replica that may not PSYNC asks again
    // with SYNC at once, and would have all of it.
    watched.master.cli(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    watched.master.cli(&["CLIENT", "KILL", "TYPE", "replica"]);
    let old = append(&*log, &[tag(2)]).await;
    assert!(watched.replica.cli(&["XLEN", "{larder}:log"]).ends_with('1'), "the replica did not hear of it");
    watched.master.kill();
    let now = other_than(&*log, old).await;
    assert_eq!(log.read(old.log, old.sequence, 1, DEADLINE).await.unwrap(), Read::Other { head: now });
    until("an append works", || async { log.append(&[tag(3)]).await.is_ok() }).await;
    assert_eq!(head(&*log).await.log, now.log);
}
