//! The disk store as a subject, on a simulated clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_node::clock::ManualClock;
use larder_node::store::Store;
use larder_node::store::disk::{DiskOptions, DiskStore};

use super::Subject;

pub struct Disk {
    store: Arc<DiskStore>,
    clock: Arc<ManualClock>,
    /// Removed when the test ends.
    _folder: tempfile::TempDir,
}

impl Disk {
    /// With memory for everything, or for so little that nearly everything comes from the files.
    pub fn new(memory_bytes_max: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new());
        // The contracts say something of the store, not of how busy the machine's disk is.
        let options = DiskOptions { bytes_max: 128 << 20, memory_bytes_max, timeout: Duration::from_secs(10) };
        let store = DiskStore::open(folder.path(), &options, clock.clone()).expect("opens");
        Self { store: Arc::new(store), clock, _folder: folder }
    }
}

#[async_trait]
impl Subject for Disk {
    async fn open(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn value_bytes_max(&self) -> u64 {
        self.store.value_bytes_max()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}
