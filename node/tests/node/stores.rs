//! Stores that hand out garbage, fail, or never answer: a miss, never an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::Refusal;
use larder_node::store::memory::MemoryStore;
use larder_node::store::{Name, Store, StoreError, Usage};

use crate::support::{Made, World, body, looks, looks_with, refused};

const WELL: u8 = 0;
const FAILING: u8 = 1;
const SILENT: u8 = 2;

/// A store in memory that may fail, or never answer.
struct Moody {
    store: MemoryStore,
    mood: AtomicU8,
}

impl Moody {
    fn new() -> Arc<Self> {
        let store = MemoryStore::new(1 << 20, larder_node::clock::SystemClock);
        Arc::new(Self { store, mood: AtomicU8::new(WELL) })
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    async fn mood(&self) -> Result<(), StoreError> {
        match self.mood.load(Ordering::SeqCst) {
            WELL => Ok(()),
            FAILING => Err(StoreError::Unreachable { store: "moody", why: "it is in a mood".into() }),
            _ => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Store for Moody {
    fn kind(&self) -> &'static str {
        "moody"
    }

    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError> {
        self.mood().await?;
        self.store.get(name).await
    }

    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError> {
        self.mood().await?;
        self.store.put(name, value, keep).await
    }

    async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        self.mood().await?;
        self.store.remove(name).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.mood().await
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_store_is_a_miss_and_counted() {
    let store = Moody::new();
    let world = World::with(|config| config.store = store.clone()).await;
    let good = Made::default().record("k", world.lookup(&looks("other")).await.position, world.now());
    let mut bent = good.to_vec();
    *bent.last_mut().expect("bytes") ^= 1;
    let garbage: [Bytes; 7] = [
        Bytes::new(),
        Bytes::from_static(b"not a record"),
        Bytes::from_static(b"LRDR"),
        Bytes::from_static(b"LRDX\x01\0\0\0\0\xff\xff\xff\xff"),
        good.slice(..good.len() - 1),
        bent.into(),
        // Whole, and another key's.
        Made::default().record("other", world.lookup(&looks("other")).await.position, world.now()),
    ];
    let name = Name::new("k").expect("a name");
    for (number, bytes) in garbage.iter().enumerate() {
        store.store.put(&name, bytes.clone(), Duration::from_secs(60)).await.expect("put");
        let mut lookup = looks("k");
        lookup.lease_for = larder_core::time::Millis(0);
        let answer = world.lookup(&lookup).await;
        assert!(answer.found.is_none(), "{bytes:?}");
        assert_eq!(world.stats().await["counts"]["lookups"]["damaged"], number + 1, "{bytes:?}");
    }
    world.fill("k", Made::default()).await;
    assert!(world.lookup(&looks("k")).await.found.is_some());
    // A variant stored over garbage, and an index whose variant is garbage.
    store.store.put(&name, garbage[1].clone(), Duration::from_secs(60)).await.expect("put");
    for value in ["a", "b"] {
        world.fill("k", Made::varying(value)).await;
    }
    assert_eq!(body(&world.lookup(&looks_with("k", ("accept", "a"))).await).as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_or_never_answers_is_a_miss_in_time() {
    let store = Moody::new();
    let world = World::with(|config| {
        config.store = store.clone();
        config.limits.lookup_timeout_ms = 40;
        config.limits.store_timeout_ms = 40;
    })
    .await;
    for mood in [FAILING, SILENT] {
        store.is(mood);
        let began = tokio::time::Instant::now();
        let answer = world.lookup(&looks("k")).await;
        assert!(answer.found.is_none() && answer.lease == Lease::None, "nobody waits for what cannot be stored");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(world.store(&world.made("k", &answer, Made::default())).await, refused(Refusal::Store));
        let varying = world.made("k", &answer, Made::varying("a"));
        assert_eq!(world.store(&varying).await, refused(Refusal::Store));
        assert_eq!(ready(&world).await, 503);
    }
    let counts = world.stats().await["counts"].clone();
    assert_eq!((&counts["lookups"]["store_failed"], &counts["refusals"]["store"]), (&2.into(), &4.into()));
    store.is(WELL);
    assert_eq!(ready(&world).await, 200);
    world.fill("k", Made::default()).await;
    assert!(world.lookup(&looks("k")).await.found.is_some());
}

async fn ready(world: &World) -> u16 {
    let admin = world.node.admin.expect("an admin plane");
    let request = hyper::Request::get(format!("http://{admin}/ready")).body(Default::default());
    world.send(request.expect("a request")).await.status().as_u16()
}
