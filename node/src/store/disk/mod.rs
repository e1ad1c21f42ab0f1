//! The store on disk: memory before files, bounded in both, there again after a restart.
//!
//! **What it is.** A log of segment files with an index in memory (Bitcask's design, with the oldest file
//! dropped instead of files merged). A put is one write at the end of one file; a get is one
//! read at a known place; room is made by unlinking the oldest file, of which what is in use is written again; nothing is ever scanned. `record` is the format,
//! `log` the files, `index` where names are, `recovery` the start.
//!
//! **What holds.** When `put` or `remove` returns, the kernel has the bytes: they survive the process being killed at any moment,
//! though not the machine losing power (no fsync per put: a cache does not need it). What was replaced or removed does not come back with a
//! restart. Every record carries its name, length, expiry and checksums, so damaged, cut or foreign bytes are a miss, never a panic
//! and never other bytes under a name. (Where a damaged head hides later records of its file, an older value of a name may be found
//! in their place.) One process at a time: the folder is locked. Every operation has a time limit, though the disk may not.
//!
//! **Memory.** `memory=` holds both the index (64 bytes a record, three quarters of the memory at most: beyond that the oldest file
//! goes) and, with what is left, the values last put or read. 10 GiB of 1 KB values want 700 MiB; of 16 KB values, 40 MiB.
//!
//! **Why not a crate.** Looked at in November 2026. foyer 0.22.6 acknowledges before it writes, and drops what does not fit its flush
//! buffer under a burst in its default configuration, reporting success (foyer-rs/foyer#1334, open); so "what was acknowledged
//! survives" cannot be had. fjall 3.1.13 has the FIFO compaction that bounds bytes, but only for keys in rising order and without
//! updates (its documentation); otherwise it asserts, and its locks are poisoned (fjall-rs/lsm-tree#310, open). redb and cacache
//! were not tried: neither has a bound in bytes or an order of age. What a cache needs of these is less than what they are: this
//! folder is a thousand lines.

mod index;
mod log;
pub(crate) mod record;
mod recovery;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::time::Timestamp;
use tokio::sync::Semaphore;

use self::index::{ENTRY_BYTES, Index, Touched};
use self::log::{Failure, Files, Limits, Log, RECORD_BYTES};
use self::record::{HEAD_AND_NAME_BYTES_MAX, Head, name_hash};
use super::memory::{self, Shelf};
use super::{Name, Store, StoreError, Usage};
use crate::clock::{Clock, millis};

/// What the disk store calls itself.
pub const KIND: &str = "disk";

/// The limit on files when none is given.
pub const BYTES_DEFAULT: u64 = 10 << 30;

/// The least limit on files.
pub const BYTES_MIN: u64 = 1 << 20;

/// How long an operation may take when nothing is said: a disk that is busy takes tens of milliseconds.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// Operations at the disk at once; more wait for their turn. (Memory answers without.)
const AT_ONCE_MAX: usize = 64;

/// When the index has grown by such a share of the memory, it is taken from the values. As much is kept in reserve for it.
const FITTING_SHARE: u64 = 64;

/// How a disk store is to be.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Bytes of files.
    pub bytes_max: u64,
    /// Bytes of memory, for the index and for values.
    pub memory_bytes_max: u64,
    /// For each operation.
    pub timeout: Duration,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { bytes_max: BYTES_DEFAULT, memory_bytes_max: memory::BYTES_DEFAULT, timeout: TIMEOUT_DEFAULT }
    }
}

/// `disk:`, the store that survives.
pub struct DiskStore {
    disk: Arc<Disk>,
    at_once: Arc<Semaphore>,
    timeout: Duration,
}

impl DiskStore {
    /// Opens a folder, which is made if it is not there, and reads what is in it. Blocks for as long as that takes.
    pub fn open(folder: &Path, options: &DiskOptions, clock: impl Clock) -> Result<Self, StoreError> {
        let disk = Arc::new(Disk::open(folder, options, Box::new(clock))?);
        Ok(Self { disk, at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)), timeout: options.timeout })
    }

    /// The largest value it takes.
    pub fn value_bytes_max(&self) -> u64 {
        self.disk.value_bytes_max()
    }

    /// Runs something that may block on the disk, within the time limit. What is late is not waited for, but goes on.
    async fn at_disk<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Disk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = async {
            let permit = self.at_once.clone().acquire_owned().await;
            let disk = self.disk.clone();
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                run(&disk)
            });
            task.await
        };
        match tokio::time::timeout(self.timeout, done).await {
            Err(_) => Err(StoreError::TimedOut { store: KIND }),
            Ok(Err(stopped)) => Err(StoreError::Unreachable { store: KIND, why: stopped.to_string() }),
            Ok(Ok(result)) => result.map_err(refused),
        }
    }
}

fn refused(failure: Failure) -> StoreError {
    StoreError::Refused { store: KIND, why: failure.to_string() }
}

#[async_trait]
impl Store for DiskStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError> {
        if let Some(value) = self.disk.in_memory(name) {
            return Ok(Some(value));
        }
        if !self.disk.is_on_disk(name) {
            return Ok(None);
        }
        let name = name.clone();
        self.at_disk(move |disk| disk.read(&name)).await
    }

    async fn get_many(&self, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut values: Vec<_> = names.iter().map(|name| self.disk.in_memory(name)).collect();
        let elsewhere = |(value, name): &(&Option<Bytes>, &Name)| value.is_none() && self.disk.is_on_disk(name);
        if !values.iter().zip(names).any(|pair| elsewhere(&pair)) {
            return Ok(values);
        }
        let names = names.to_vec();
        self.at_disk(move |disk| {
            for (value, name) in values.iter_mut().zip(&names).filter(|(value, _)| value.is_none()) {
                *value = disk.read(name)?;
            }
            Ok(values)
        })
        .await
    }

    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError> {
        let (bytes, bytes_max) = (value.len() as u64, self.disk.value_bytes_max());
        if bytes > bytes_max {
            return Err(StoreError::TooLarge { store: KIND, bytes, bytes_max });
        }
        if keep.is_zero() {
            return self.remove(name).await;
        }
        let name = name.clone();
        self.at_disk(move |disk| disk.put(&name, &value, keep)).await
    }

    async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let name = name.clone();
        self.at_disk(move |disk| disk.remove(&name)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.at_disk(Disk::check).await
    }

    fn usage(&self) -> Usage {
        self.disk.usage()
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Syncing a large folder may well take longer than any put.
        let disk = self.disk.clone();
        let synced = tokio::task::spawn_blocking(move || disk.log().sync()).await;
        synced.map_err(|stopped| StoreError::Unreachable { store: KIND, why: stopped.to_string() })?.map_err(refused)
    }
}

/// The store without the runtime.
struct Disk {
    log: Mutex<Log>,
    files: Arc<Files>,
    index: Arc<Index>,
    touched: Arc<Touched>,
    shelf: Shelf,
    clock: Box<dyn Clock>,
    limits: Limits,
    memory_bytes_max: u64,
    /// What the index took when the values were last made to fit beside it.
    index_bytes_fitted: AtomicU64,
    /// Copies of what the log counts, for whoever must not wait for it.
    disk_bytes: AtomicU64,
    records: AtomicU64,
    evictions: AtomicU64,
    /// Held for as long as the store is open; the lock goes with the process, however it ends.
    _lock: File,
}

impl Disk {
    fn open(folder: &Path, options: &DiskOptions, clock: Box<dyn Clock>) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(Failure::at(folder)).map_err(refused)?;
        let lock = lock(folder)?;
        let memory_bytes_max = options.memory_bytes_max.max(memory::BYTES_MIN);
        let limits = Limits::new(options.bytes_max.max(BYTES_MIN), memory_bytes_max / 4 * 3);
        let index = Arc::new(Index::new());
        let found = recovery::recover(folder, &index, clock.now()).map_err(refused)?;
        let touched = Arc::new(Touched::new(limits.records_max));
        let mut log = Log::new(PathBuf::from(folder), limits, index.clone(), touched.clone(), found);
        // Also what a smaller limit than the last time leaves no room for.
        log.drop_expired(clock.now()).and_then(|()| log.make_room(0, clock.now())).map_err(refused)?;
        let disk = Self {
            files: log.files(),
            index,
            touched,
            shelf: Shelf::new(memory_bytes_max),
            clock,
            limits,
            memory_bytes_max,
            index_bytes_fitted: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(log.bytes()),
            records: AtomicU64::new(log.records()),
            evictions: AtomicU64::new(0),
            log: Mutex::new(log),
            _lock: lock,
        };
        disk.fit_shelf();
        Ok(disk)
    }

    fn value_bytes_max(&self) -> u64 {
        self.limits.record_bytes_max() - HEAD_AND_NAME_BYTES_MAX as u64
    }

    fn in_memory(&self, name: &Name) -> Option<Bytes> {
        let value = self.shelf.get(name, self.clock.now())?;
        self.touched.touch(name_hash(name));
        Some(value)
    }

    fn is_on_disk(&self, name: &Name) -> bool {
        let now = self.clock.now();
        self.index.find(name_hash(name)).is_some_and(|slot| slot.until() > now)
    }

    fn read(&self, name: &Name) -> Result<Option<Bytes>, Failure> {
        // Meanwhile another may have read it.
        if let Some(value) = self.in_memory(name) {
            return Ok(Some(value));
        }
        let hash = name_hash(name);
        let Some(slot) = self.index.find(hash) else { return Ok(None) };
        // A file that went is a value that went.
        let Some(file) = self.files.find(slot.segment) else { return Ok(None) };
        let mut record = vec![0; slot.bytes as usize];
        let read = file.read_exact_at(&mut record, u64::from(slot.offset));
        match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Failure::at(Path::new(&format!("segment {:08x}", slot.segment)))(error));
            }
            _ => {}
        }
        let head = Head::decode(&record);
        let value = head.as_ref().and_then(|head| record.get(head.value_at()..));
        let (Ok(()), Some(head), Some(value)) = (read, &head, value) else {
            self.index.forget_if(hash, |there| *there == slot);
            return Ok(None);
        };
        if !head.vouches_for(value) {
            self.index.forget_if(hash, |there| *there == slot);
            return Ok(None);
        }
        if head.name != *name || head.until <= self.clock.now() {
            return Ok(None);
        }
        self.touched.touch(hash);
        let value = Bytes::from(record).slice(head.value_at()..);
        self.index.while_it_is(hash, slot, || self.keep_in_memory(name, &value, head.until));
        Ok(Some(value))
    }

    fn put(&self, name: &Name, value: &Bytes, keep: Duration) -> Result<(), Failure> {
        let now = self.clock.now();
        let until = now.plus(millis(keep));
        if let Some(head) = Head::put(name, value, until) {
            let mut log = self.log();
            log.append(&head, value, now, || self.keep_in_memory(name, value, until))?;
            self.note(&log);
        }
        let changed = self.index_bytes().abs_diff(self.index_bytes_fitted.load(Ordering::Relaxed));
        if changed >= self.memory_bytes_max / FITTING_SHARE {
            self.fit_shelf();
        }
        Ok(())
    }

    fn remove(&self, name: &Name) -> Result<(), Failure> {
        let mut log = self.log();
        let Some(slot) = self.index.find(name_hash(name)) else {
            self.shelf.remove(name);
            return Ok(());
        };
        let head = Head::remove(name, slot.until());
        log.append(&head, &[], self.clock.now(), || self.shelf.remove(name))?;
        self.note(&log);
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        let mut log = self.log();
        log.check()?;
        log.drop_expired(self.clock.now())?;
        self.note(&log);
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage {
            memory_bytes: Some(self.shelf.bytes() + self.index_bytes()),
            memory_bytes_max: Some(self.memory_bytes_max),
            disk_bytes: Some(self.disk_bytes.load(Ordering::Relaxed)),
            disk_bytes_max: Some(self.limits.bytes_max),
            items: Some(self.index.entries()),
            evictions: Some(self.evictions.load(Ordering::Relaxed)),
        }
    }

    fn keep_in_memory(&self, name: &Name, value: &Bytes, until: Timestamp) {
        if value.len() as u64 <= self.shelf.value_bytes_max() {
            self.shelf.put(name, value, until);
        } else {
            self.shelf.remove(name);
        }
    }

    fn fit_shelf(&self) {
        let index_bytes = self.index_bytes();
        self.index_bytes_fitted.store(index_bytes, Ordering::Relaxed);
        let reserved = index_bytes + self.memory_bytes_max / FITTING_SHARE;
        self.shelf.set_bytes_max(self.memory_bytes_max.saturating_sub(reserved));
    }

    fn index_bytes(&self) -> u64 {
        self.index.entries() * ENTRY_BYTES + self.records.load(Ordering::Relaxed) * RECORD_BYTES
    }

    fn note(&self, log: &Log) {
        self.disk_bytes.store(log.bytes(), Ordering::Relaxed);
        self.records.store(log.records(), Ordering::Relaxed);
        self.evictions.store(log.evictions(), Ordering::Relaxed);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // The log's fields are right between any two statements: a panic elsewhere does not make it unusable.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the folder ours. Two processes would cut back one another's files.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("larder.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Failure::at(&path)).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let why = format!("{} is in use by another process (it holds {})", folder.display(), path.display());
            Err(StoreError::Refused { store: KIND, why })
        }
        Err(TryLockError::Error(error)) => Err(refused(Failure::at(&path)(error))),
    }
}

#[cfg(test)]
mod tests;
