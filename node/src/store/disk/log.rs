//! The segment files: records are appended to the newest, and whole files go, oldest first, when space is short.
//!
//! Of a file that goes for want of space, what was asked for since it was put is written again, at the end. So what is in use
//! stays, and nothing has to be noted on disk when something is read.
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

use super::index::{ENTRY_BYTES, Index, Slot, Touched};
use super::record::{FILE_HEAD, Head, Kind, name_hash};

/// What the names of the files end in: segments, and lists of a segment's heads.
pub const SEGMENT: &str = "seg";
pub const LIST: &str = "heads";

/// Records up to this size are copied together and written by one call.
const JOINED_BYTES_MAX: usize = 64 << 10;

/// What a record costs in memory beside its entry in the index: its name's hash in the segment's list, which grows by doubling.
pub const RECORD_BYTES: u64 = 16;

/// Of a file that goes for want of space, what was asked for meanwhile is kept, up to such a share of the file: the rest is room
/// made.
const KEPT_SHARE: u64 = 2;

/// How large the log may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All files together.
    pub bytes_max: u64,
    /// A file is full when it has as many.
    pub segment_bytes: u64,
    /// Records of puts, whether or not they still count.
    pub records_max: u64,
    /// A file is full also when it has as many.
    pub segment_records: u64,
}

impl Limits {
    pub fn new(bytes_max: u64, index_bytes_max: u64) -> Self {
        // About 128 files: what goes at once is small beside the whole, and there are few to keep open.
        let segment_bytes = (bytes_max / 128).clamp(64 << 10, 1 << 30);
        let records_max = (index_bytes_max / (ENTRY_BYTES + RECORD_BYTES)).max(64);
        Self { bytes_max, segment_bytes, records_max, segment_records: records_max / 64 }
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
    /// While it is open: what its list of heads will be.
    pub heads: Vec<u8>,
    /// The length of that list on disk.
    pub list_bytes: u64,
}

impl Segment {
    /// A segment of nothing but its beginning.
    pub fn new(id: u32, path: PathBuf, file: File) -> Self {
        Self {
            id,
            path,
            file: Arc::new(file),
            bytes: FILE_HEAD.len() as u64,
            counts_until: Timestamp(0),
            names: Vec::new(),
            heads: FILE_HEAD.to_vec(),
            list_bytes: 0,
        }
    }

    /// What it takes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.bytes + self.list_bytes
    }

    /// Writes the list of its heads, which spares the next start to look for them. Whoever reads it checks it, so a
    /// list that could not be written is only a slower start.
    fn close(&mut self) {
        let path = list_of(&self.path);
        let heads = std::mem::take(&mut self.heads);
        match fs::write(&path, &heads) {
            Ok(()) => self.list_bytes = heads.len() as u64,
            Err(_) => drop(fs::remove_file(&path)),
        }
    }
}

/// The files, under one writer.
pub struct Log {
    folder: PathBuf,
    limits: Limits,
    files: Arc<Files>,
    index: Arc<Index>,
    touched: Arc<Touched>,
    /// Oldest first. Nothing is appended to these.
    full: VecDeque<Segment>,
    /// What is appended to; none after a failure and at the start.
    open: Option<Segment>,
    next_id: u32,
    bytes: u64,
    /// Of puts, in all files.
    records: u64,
    evictions: u64,
}

impl Log {
    /// Takes over what recovery found, oldest first.
    pub fn new(
        folder: PathBuf,
        limits: Limits,
        index: Arc<Index>,
        touched: Arc<Touched>,
        found: VecDeque<Segment>,
    ) -> Self {
        let files = Arc::new(Files::default());
        for segment in &found {
            files.add(segment.id, segment.file.clone());
        }
        let next_id = found.back().map_or(1, |newest| newest.id.wrapping_add(1));
        let bytes = found.iter().map(Segment::disk_bytes).sum();
        let records = found.iter().map(|segment| segment.names.len() as u64).sum();
        Self { folder, limits, files, index, touched, full: found, open: None, next_id, bytes, records, evictions: 0 }
    }

    pub fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn records(&self) -> u64 {
        self.records
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
                self.records += 1;
            }
        }
        Ok(())
    }

    /// Removes files in which nothing counts any more.
    pub fn drop_expired(&mut self, now: Timestamp) -> Result<(), Failure> {
        if self.open.as_ref().is_some_and(|open| open.counts_until <= now && open.bytes > FILE_HEAD.len() as u64) {
            self.close_segment();
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
        // Should a new file be begun: its head, and the list of the one before.
        let list_bytes = self.open.as_ref().map_or(0, |open| open.heads.len());
        let bytes = bytes + (list_bytes + FILE_HEAD.len()) as u64;
        while self.bytes + bytes > self.limits.bytes_max || self.records >= self.limits.records_max {
            if self.full.is_empty() {
                self.close_segment();
            }
            if self.full.is_empty() {
                break;
            }
            let Some(kept) = self.take_what_is_used(now) else { break };
            self.drop_segment(0, now)?;
            for (head, value) in kept {
                self.put_again(&head, &value)?;
            }
        }
        Ok(())
    }

    /// Out of the oldest file, what was asked for since it was put, as far as half of the room stays made.
    fn take_what_is_used(&mut self, now: Timestamp) -> Option<Vec<(Head, Vec<u8>)>> {
        let oldest = self.full.front()?;
        let (mut bytes_left, mut records_left) = (oldest.bytes / KEPT_SHARE, oldest.names.len() as u64 / KEPT_SHARE);
        let mut kept = Vec::new();
        for hash in &oldest.names {
            let here = |slot: &Slot| slot.segment == oldest.id && slot.until() > now;
            let Some(slot) = self.index.find(*hash).filter(here) else { continue };
            if !self.touched.take(*hash) || u64::from(slot.bytes) > bytes_left || records_left == 0 {
                continue;
            }
            let mut record = vec![0; slot.bytes as usize];
            // What cannot be read is not kept.
            let read = oldest.file.read_exact_at(&mut record, u64::from(slot.offset));
            let head = read.ok().and_then(|()| Head::decode(&record)).filter(|head| name_hash(&head.name) == *hash);
            let Some(head) = head else { continue };
            let value = record.split_off(head.value_at().min(record.len()));
            if head.vouches_for(&value) {
                bytes_left -= u64::from(slot.bytes);
                records_left -= 1;
                kept.push((head, value));
            }
        }
        Some(kept)
    }

    /// Writes again what went with its file. There is room: it is part of what the file took.
    fn put_again(&mut self, head: &Head, value: &[u8]) -> Result<(), Failure> {
        let (segment, offset) = self.write(head, value)?;
        if let (Ok(offset), Ok(bytes)) = (u32::try_from(offset), u32::try_from(head.record_bytes())) {
            let hash = name_hash(&head.name);
            self.index.set(hash, Some(Slot::new(segment, offset, bytes, head.until)), || {});
            if let Some(open) = &mut self.open {
                open.counts_until = open.counts_until.max(head.until);
                open.names.push(hash);
                self.records += 1;
            }
            // It was counted when its file went.
            self.evictions = self.evictions.saturating_sub(1);
        }
        Ok(())
    }

    fn drop_segment(&mut self, at: usize, now: Timestamp) -> Result<(), Failure> {
        let Some(segment) = self.full.get(at) else { return Ok(()) };
        for path in [list_of(&segment.path), segment.path.clone()] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::at(&path)(error)),
            }
        }
        let Some(segment) = self.full.remove(at) else { return Ok(()) };
        self.files.forget(segment.id);
        self.bytes = self.bytes.saturating_sub(segment.disk_bytes());
        self.records = self.records.saturating_sub(segment.names.len() as u64);
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
        let (bytes, records) = (self.limits.segment_bytes, self.limits.segment_records);
        if self.open.as_ref().is_some_and(|open| open.bytes >= bytes || open.names.len() as u64 >= records) {
            self.close_segment();
        }
        if self.open.is_none() {
            self.open = Some(self.begin_segment()?);
        }
        let Some(open) = &mut self.open else { return Err(Failure::at(&self.folder)(io::ErrorKind::Other.into())) };
        let offset = open.bytes;
        match write_at(&open.file, offset, head, value) {
            Ok(()) => {
                open.bytes += head.record_bytes();
                head.encode(&mut open.heads);
                self.bytes += head.record_bytes();
                Ok((open.id, offset))
            }
            Err(error) => {
                let failure = Failure::at(&open.path)(error);
                // A piece of a record at the end is what recovery expects of a crash, so it may stay if it must; but
                // nothing may be written behind it.
                if open.file.set_len(offset).is_err() {
                    self.close_segment();
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
        let segment = Segment::new(id, path, file);
        self.files.add(id, segment.file.clone());
        self.bytes += segment.bytes;
        Ok(segment)
    }

    /// Nothing more is appended to the open file.
    fn close_segment(&mut self) {
        if let Some(mut segment) = self.open.take() {
            segment.close();
            self.bytes += segment.list_bytes;
            self.full.push_back(segment);
        }
    }
}

/// Where a segment is.
pub fn path_of(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("larder-{id:08x}.{SEGMENT}"))
}

/// Where the list of a segment's heads is.
pub fn list_of(segment: &Path) -> PathBuf {
    segment.with_extension(LIST)
}

/// Which segment a file is, or is the list of.
pub fn id_of(file_name: &str, extension: &str) -> Option<u32> {
    let digits = file_name.strip_prefix("larder-")?.strip_suffix(extension)?.strip_suffix('.')?;
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
        let touched = Arc::new(Touched::new(10_000));
        Log::new(folder.to_owned(), Limits::new(bytes_max, 1 << 20), Arc::new(Index::new()), touched, VecDeque::new())
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
        (log.limits.records_max, log.limits.segment_records) = (2000, 100);
        for number in 0..10_000 {
            append(&mut log, &format!("n{number}"), 10, 60).expect("append");
            assert!(log.index.entries() <= 2000);
        }
        assert!(log.index.entries() > 1800);
        // Names put again and again cost memory, too, until their records go.
        for number in 0..10_000 {
            append(&mut log, &format!("n{}", number % 10), 10, 60).expect("append");
            let listed = log.full.iter().chain(&log.open).map(|segment| segment.names.len() as u64).sum::<u64>();
            assert_eq!(log.records(), listed);
            assert!(listed <= 2000);
        }
        assert_eq!(log.index.entries(), 10);
    }

    #[test]
    fn what_is_asked_for_outlives_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), 1 << 20);
        let hash = |text: &str| name_hash(&Name::new(text).expect("a name"));
        for name in ["used", "unused", "replaced"] {
            append(&mut log, name, 5000, 60).expect("append");
        }
        append(&mut log, "replaced", 77, 60).expect("append");
        for number in 0..3000 {
            log.touched.touch(hash("used"));
            append(&mut log, &format!("n{number}"), 1000, 60).expect("append");
            assert!(log.bytes() <= 1 << 20);
        }
        let slot = log.index.find(hash("used")).expect("kept");
        assert!(slot.segment > 30, "{slot:?}");
        assert!(log.index.find(hash("unused")).is_none());
        assert!(log.index.find(hash("replaced")).is_none());
        assert_eq!(log.index.entries() + log.evictions(), 3003);
        // Where everything is used, room is made all the same.
        for number in 0..3000 {
            (0..3000).for_each(|number| log.touched.touch(hash(&format!("n{number}"))));
            append(&mut log, &format!("n{number}"), 1000, 60).expect("append");
            assert!(log.bytes() <= 1 << 20);
        }
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
