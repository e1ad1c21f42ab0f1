//! The memory store as a subject, on a simulated clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_node::clock::ManualClock;
use larder_node::store::Store;
use larder_node::store::memory::MemoryStore;

use super::Subject;

const BYTES_MAX: u64 = 128 << 20;

pub struct Memory {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl Memory {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        Self { store: Arc::new(MemoryStore::new(BYTES_MAX, clock.clone())), clock }
    }
}

#[async_trait]
impl Subject for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn value_bytes_max(&self) -> u64 {
        self.store.value_bytes_max()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}
