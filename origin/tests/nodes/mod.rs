//! A node that can be stopped and started at one address, and what is in its purge log.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use larder_core::purge::{Mode, Record, Scope, Sequence};
use larder_node::log::{KEEP_DEFAULT, Log, LogId, MemoryLog, Read};
use larder_node::tokens::Tokens;
use larder_node::{Config, Node, Running};
use larder_origin::Invalidator;
use larder_origin::invalidator::InvalidatorBuilder;
use tokio::time::Instant;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A node and its purge log, which outlives it.
pub struct Cluster {
    pub admin: SocketAddr,
    pub log: Arc<MemoryLog>,
    pub tokens: Option<Tokens>,
    node: Option<Running>,
}

impl Cluster {
    /// A node that runs.
    pub async fn new() -> Self {
        let mut cluster = Self::down();
        cluster.start().await;
        cluster
    }

    /// A node that does not run yet.
    pub fn down() -> Self {
        let log = Arc::new(MemoryLog::new(LogId::random().expect("randomness"), KEEP_DEFAULT));
        Self::sharing(log)
    }

    /// The same with another's purge log.
    pub fn sharing(log: Arc<MemoryLog>) -> Self {
        Self { admin: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), log, tokens: None, node: None }
    }

    pub async fn start(&mut self) {
        let mut config = Config::in_memory().expect("a configuration");
        config.admin = Some(self.admin);
        config.log = self.log.clone();
        config.tokens = self.tokens.clone();
        self.node = Some(Node::start(config).await.expect("a node"));
    }

    pub async fn stop(&mut self) {
        self.node.take().expect("it runs").stop().await.expect("stopped");
    }

    pub fn data(&self) -> SocketAddr {
        self.node.as_ref().expect("it runs").data
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// An invalidator that does not wait long before it tries again.
    pub fn invalidator(&self) -> InvalidatorBuilder {
        quick(Invalidator::builder().node(self.url()))
    }

    /// What is in the purge log, a line each.
    pub async fn purged(&self) -> Vec<String> {
        let head = self.log.head().await.expect("a position");
        let (mut from, mut records) = (Sequence(0), Vec::<Record>::new());
        while from < head.sequence {
            match self.log.read(head.log, from, 10_000, Duration::ZERO).await.expect("records") {
                Read::Page(page) => records.extend(page.records),
                _ => panic!("the log has forgotten its beginning"),
            }
            from = records.last().expect("a record").sequence;
        }
        records.iter().map(shown).collect()
    }
}

pub fn quick(builder: InvalidatorBuilder) -> InvalidatorBuilder {
    builder.backoff(Duration::from_millis(5), Duration::from_millis(50)).timeout(Duration::from_secs(5))
}

fn shown(record: &Record) -> String {
    let soft = if record.mode == Mode::Soft { "soft " } else { "" };
    match &record.scope {
        Scope::Url(text) => format!("{soft}url {text}"),
        Scope::Tag(text) => format!("{soft}{text}"),
        Scope::Prefix(text) => format!("{soft}prefix {text}"),
        Scope::All => format!("{soft}all"),
    }
}

/// A port that nobody listens at just now, from a range that the system does not hand out to clients: a node that is started anew has
/// to find it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 7_000).expect("small");
    for _ in 0..8_000 {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Asks again and again until the answer is yes.
pub async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        let _ = tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
    }
}

/// Waits for something that has to come.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}
