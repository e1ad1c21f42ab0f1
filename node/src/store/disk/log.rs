//! The segment files: records are appended to the newest, and whole files go, oldest first, when space is short.
//!
//! Invariants. A record stands in the index only once it is written whole. A file goes only when every older one has gone before it
//! (short of space), or when nothing in it counts any more: neither its values nor what it says of values in older files
//! (`counts_until`). So neither going nor a restart brings back what was replaced or removed.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use larder_core::time::Timestamp;

use super::index::{ENTRY_BYTES, Index, Slot};
use super::record::{FILE_HEAD, Head, Kind, name_hash};

/// Records up to this size are copied together and written by one call.
const JOINED_BYTES_MAX: usize = 64 << 10;

/// How large the log may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All files together.
    pub bytes_max: u64,
    /// A file is full when it has as many.
    pub segment_bytes: u64,
    /// Entries in the index.
    pub entries_max: u64,
}

impl Limits {
    pub fn new(bytes_max: u64, index_bytes_max: u64) -> Self {
        // About 128 files: what goes at once is small beside the whole, and there are few to keep open.
        let segment_bytes = (bytes_max / 128).clamp(64 << 10, 1 << 30);
        Self { bytes_max, segment_bytes, entries_max: (index_bytes_max / ENTRY_BYTES).max(1) }
    }

    /// The largest record: an eighth of the whole, so that one does not throw out everything else.
    pub fn record_bytes_max(&self) -> u64 {
        (self.bytes_max / 8).min(1 << 30)
    }
}

/// What went wrong, and with which file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct Failure {
    path: String,
    error: io::Error,
}

impl Failure {
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self { path, error }
    }
}

/// Files that can be read, by their numbers. Apart from the log, so that reading does not wait for writing.
#[derive(Default)]
pub struct Files(RwLock<HashMap<u32, Arc<File>>>);

impl Files {
    pub fn find(&self, id: u32) -> Option<Arc<File>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn add(&self, id: u32, file: Arc<File>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, file);
    }

    fn forget(&self, id: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// One file.
pub struct Segment {
    pub id: u32,
    pub path: PathBuf,
    pub file: Arc<File>,
    /// Its length: of whole records.
    pub bytes: u64,
    /// Until then something in it counts.
    pub counts_until: Timestamp,
    /// The names put in it, by hash, to take them out of the index when it goes.
    pub names: Vec<u64>,
}

/// The files, under one writer.
pub struct Log {
    folder: PathBuf,
    limits: Limits,
    files: Arc<Files>,
    index: Arc<Index>,
    /// Oldest first. Nothing is appended to these.
    full: VecDeque<Segment>,
    /// What is appended to; none after a failure and at the start.
    open: Option<Segment>,
    next_id: u32,
    bytes: u64,
    evictions: u64,
}

impl Log {
    /// Takes over what recovery found, oldest first.
    pub fn new(folder: PathBuf, limits: Limits, index: Arc<Index>, found: VecDeque<Segment>) -> Self {
        let files = Arc::new(Files::default());
        for segment in &found {
            files.add(segment.id, segment.file.clone());
        }
        let next_id = found.back().map_or(1, |newest| newest.id.wrapping_add(1));
        let bytes = found.iter().map(|segment| segment.bytes).sum();
        Self { folder, limits, files, index, full: found, open: None, next_id, bytes, evictions: 0 }
    }

    pub fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Appends a record and enters it into the index; `then` runs before anybody sees it there.
    pub fn append(&mut self, head: &Head, value: &[u8], now: Timestamp, then: impl FnOnce()) -> Result<(), Failure> {
        let bytes = head.record_bytes();
        self.drop_expired(now)?;
        self.make_room(bytes, now)?;
        let (segment, offset) = self.write(head, value)?;
        let hash = name_hash(&head.name);
        let slot = match (head.kind, u32::try_from(offset), u32::try_from(bytes)) {
            (Kind::Put, Ok(offset), Ok(bytes)) => Some(Slot::new(segment, offset, bytes, head.until)),
            _ => None,
        };
        let before = self.index.set(hash, slot, then);
        if let Some(open) = &mut self.open {
            // What it replaces counts until then, were it not for this record.
            let replaced = before.map_or(Timestamp(0), |before| before.until());
            open.counts_until = open.counts_until.max(head.until).max(replaced);
            if slot.is_some() {
                open.names.push(hash);
            }
        }
        Ok(())
    }

    /// Removes files in which nothing counts any more.
    pub fn drop_expired(&mut self, now: Timestamp) -> Result<(), Failure> {
        if self.open.as_ref().is_some_and(|open| open.counts_until <= now && open.bytes > FILE_HEAD.len() as u64) {
            self.full.extend(self.open.take());
        }
        while let Some(at) = self.full.iter().position(|segment| segment.counts_until <= now) {
            self.drop_segment(at, now)?;
        }
        Ok(())
    }

    /// Writes what the kernel still has in memory. Not needed to survive the process, only the machine.
    pub fn sync(&self) -> Result<(), Failure> {
        for segment in self.full.iter().chain(&self.open) {
            segment.file.sync_data().map_err(Failure::at(&segment.path))?;
        }
        Ok(())
    }

    /// Whether the folder is still there to write to.
    pub fn check(&self) -> Result<(), Failure> {
        let path = self.open.as_ref().map_or(&self.folder, |open| &open.path);
        fs::metadata(path).map(drop).map_err(Failure::at(path))
    }

    /// Removes the oldest files until a record of so many bytes fits.
    pub fn make_room(&mut self, bytes: u64, now: Timestamp) -> Result<(), Failure> {
        // A new file's head, should one be begun.
        let bytes = bytes + FILE_HEAD.len() as u64;
        while self.bytes + bytes > self.limits.bytes_max || self.index.entries() >= self.limits.entries_max {
            if self.full.is_empty() {
                self.full.extend(self.open.take());
            }
            if self.full.is_empty() {
                break;
            }
            self.drop_segment(0, now)?;
        }
        Ok(())
    }

    fn drop_segment(&mut self, at: usize, now: Timestamp) -> Result<(), Failure> {
        let Some(segment) = self.full.get(at) else { return Ok(()) };
        match fs::remove_file(&segment.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::at(&segment.path)(error)),
        }
        let Some(segment) = self.full.remove(at) else { return Ok(()) };
        self.files.forget(segment.id);
        self.bytes = self.bytes.saturating_sub(segment.bytes);
        for hash in segment.names {
            let mut valid = false;
            let gone = self.index.forget_if(hash, |slot| {
                valid = slot.until() > now;
                slot.segment == segment.id
            });
            self.evictions += u64::from(gone && valid);
        }
        Ok(())
    }

    /// Writes a record whole, or leaves nothing of it that a later record would stand behind.
    fn write(&mut self, head: &Head, value: &[u8]) -> Result<(u32, u64), Failure> {
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.limits.segment_bytes) {
            self.full.extend(self.open.take());
        }
        if self.open.is_none() {
            self.open = Some(self.begin_segment()?);
        }
        let Some(open) = &mut self.open else { return Err(Failure::at(&self.folder)(io::ErrorKind::Other.into())) };
        let offset = open.bytes;
        match write_at(&open.file, offset, head, value) {
            Ok(()) => {
                open.bytes += head.record_bytes();
                self.bytes += head.record_bytes();
                Ok((open.id, offset))
            }
            Err(error) => {
                let failure = Failure::at(&open.path)(error);
                // A piece of a record at the end is what recovery expects of a crash, so it may stay if it must; but
                // nothing may be written behind it.
                if open.file.set_len(offset).is_err() {
                    self.full.extend(self.open.take());
                }
                Err(failure)
            }
        }
    }

    fn begin_segment(&mut self) -> Result<Segment, Failure> {
        let id = self.next_id;
        let path = path_of(&self.folder, id);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(Failure::at(&path))?;
        if let Err(error) = file.write_all_at(FILE_HEAD, 0) {
            // An empty file is nothing to keep; recovery would remove it too.
            let _ = fs::remove_file(&path);
            return Err(Failure::at(&path)(error));
        }
        self.next_id = id.wrapping_add(1);
        let file = Arc::new(file);
        self.files.add(id, file.clone());
        let bytes = FILE_HEAD.len() as u64;
        self.bytes += bytes;
        Ok(Segment { id, path, file, bytes, counts_until: Timestamp(0), names: Vec::new() })
    }
}

/// Where a segment is.
pub fn path_of(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("larder-{id:08x}.seg"))
}

/// Which segment a file is, if it is one.
pub fn id_of(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_prefix("larder-")?.strip_suffix(".seg")?;
    (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn write_at(file: &File, offset: u64, head: &Head, value: &[u8]) -> io::Result<()> {
    let joined = value.len() <= JOINED_BYTES_MAX;
    let mut bytes = Vec::with_capacity(head.value_at() + if joined { value.len() } else { 0 });
    head.encode(&mut bytes);
    if joined {
        bytes.extend_from_slice(value);
        return file.write_all_at(&bytes, offset);
    }
    file.write_all_at(&bytes, offset)?;
    file.write_all_at(value, offset + bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Name;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn log(folder: &Path, bytes_max: u64) -> Log {
        Log::new(folder.to_owned(), Limits::new(bytes_max, 1 << 20), Arc::new(Index::new()), VecDeque::new())
    }

    fn append(log: &mut Log, name: &str, bytes: usize, seconds: u64) -> Result<(), Failure> {
        let value = vec![7; bytes];
        let until = Timestamp(NOW.0 + seconds * 1000);
        let head = Head::put(&Name::new(name).expect("a name"), &value, until).expect("small");
        log.append(&head, &value, NOW, || {})
    }

    fn on_disk(folder: &Path) -> u64 {
        let files = fs::read_dir(folder).expect("a folder");
        files.map(|file| file.expect("a file").metadata().expect("metadata").len()).sum()
    }

    #[test]
    fn files_stay_within_the_limit_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 1 << 20);
        for number in 0..1000 {
            append(&mut log, &format!("n{number}"), 10_000, 60).expect("append");
            assert_eq!(log.bytes(), on_disk(folder.path()));
            assert!(log.bytes() <= 1 << 20);
        }
        assert!(log.evictions() > 800);
        let there =
            |number: u32| log.index.find(name_hash(&Name::new(&format!("n{number}")).expect("a name"))).is_some();
        assert!(!there(0) && there(999) && there(950));
        assert_eq!(log.index.entries(), 1000 - log.evictions());
    }

    #[test]
    fn the_index_stays_within_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 8 << 20);
        log.limits.entries_max = 2000;
        for number in 0..10_000 {
            append(&mut log, &format!("n{number}"), 10, 60).expect("append");
            assert!(log.index.entries() <= 2000);
        }
        assert!(log.index.entries() > 500);
    }

    #[test]
    fn a_full_disk_is_an_error_and_later_records_are_right() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 1 << 20);
        append(&mut log, "a", 100, 60).expect("append");
        let good = log.open.as_ref().expect("open").file.clone();
        // A device that is always full.
        let full = OpenOptions::new().read(true).write(true).open("/dev/full").expect("Linux has it");
        log.open.as_mut().expect("open").file = Arc::new(full);
        let failure = append(&mut log, "b", 100, 60).expect_err("full");
        assert!(failure.to_string().contains("No space left"), "{failure}");
        assert!(failure.to_string().contains("larder-00000001.seg"), "{failure}");
        assert_eq!(log.index.entries(), 1);
        // It could not be cut back, so another file is begun.
        append(&mut log, "c", 100, 60).expect("append");
        assert_eq!(log.open.as_ref().expect("open").id, 2);
        assert_eq!(good.metadata().expect("metadata").len(), log.full[0].bytes);
    }

    #[test]
    fn files_of_expired_values_go_though_nothing_is_short() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 8 << 20);
        for number in 0..100 {
            append(&mut log, &format!("n{number}"), 10_000, 60).expect("append");
        }
        log.drop_expired(Timestamp(NOW.0 + 60_000)).expect("drop");
        assert_eq!((log.bytes(), on_disk(folder.path()), log.index.entries()), (0, 0, 0));
    }

    #[test]
    fn what_replaces_a_value_stays_for_as_long_as_that_would() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 8 << 20);
        append(&mut log, "a", 100_000, 3600).expect("append");
        append(&mut log, "a", 100_000, 60).expect("append");
        append(&mut log, "b", 100_000, 60).expect("append");
        log.drop_expired(Timestamp(NOW.0 + 60_000)).expect("drop");
        let ids: Vec<_> = log.full.iter().map(|segment| segment.id).collect();
        assert_eq!(ids, [1, 2], "the second says that the first value of a is not to be used");
    }
}
