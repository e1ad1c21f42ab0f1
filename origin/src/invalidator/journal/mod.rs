//! The queue's folder: a file of records, a lock, and how both are opened, written and kept short. Blocks; the writer's thread calls.
//!
//! Invariant: whatever [`Journal::append`] or [`Journal::rewrite`] has returned `Ok` for is found by the next [`open`], however the
//! process ended. Whatever was begun before may be found. After a failed call the file may hold anything after its last good record:
//! only [`Journal::rewrite`] may follow.

mod record;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use self::record::{MAGIC, Next, Record};
use super::errors::BuildError;
use super::purge::Purge;
use super::queue::Entry;

const FILE: &str = "purges.log";
const FILE_NEW: &str = "purges.new";
const LOCK: &str = "lock";

/// A shorter file is not worth rewriting.
const REWRITE_FROM: u64 = 1 << 20;

/// The file of records, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    bytes: u64,
    /// What the last rewriting has left: the file doubles before the next.
    bytes_kept: u64,
    _lock: File,
}

/// What a folder held.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Purges that are to be sent, in their order.
    pub(super) entries: Vec<Entry>,
    /// Ids from here on are free.
    pub(super) next_id: u64,
    /// Where the file was damaged, and a copy of it is.
    pub(super) damaged: Option<Damaged>,
}

/// A file that says something else than what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) at: u64,
    pub(super) why: &'static str,
    pub(super) copy: PathBuf,
}

/// Opens a folder, or makes it. A torn end is cut off. A file that is damaged anywhere else is put aside, and everything is to be
/// purged in place of what it held.
pub(super) fn open(folder: &Path) -> Result<(Journal, Found), BuildError> {
    let failed = |source| BuildError::Directory { directory: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BuildError::InUse { directory: folder.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let (found, end) = match bytes.as_deref().map(read_all) {
        None => {
            replace(folder, &[]).map_err(failed)?;
            (Found { next_id: 1, ..Found::default() }, MAGIC.len())
        }
        Some(Ok((found, end))) => (found, end),
        Some(Err((at, why))) => {
            let found = put_aside(folder, at, why).map_err(failed)?;
            let end = replace(folder, &found.entries).map_err(failed)?;
            (found, end)
        }
    };
    let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > end as u64 {
        tracing::warn!(
            target: "larder::invalidator",
            file = %path.display(), at = end, cut = length.saturating_sub(end as u64),
            "the last purge was not written to its end, and nobody was told that it is kept: cut off"
        );
        file.set_len(end as u64).and_then(|()| file.sync_data()).map_err(failed)?;
    }
    let journal = Journal { folder: folder.to_owned(), file, bytes: end as u64, bytes_kept: end as u64, _lock: lock };
    Ok((journal, found))
}

impl Journal {
    /// Appends purges and what is settled; with purges, returns when the disk has them.
    pub(super) fn append(&mut self, entries: &[Entry], settled: Option<u64>) -> io::Result<()> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| record::write_purge(entry, &mut bytes));
        if let Some(through) = settled {
            record::write_settled(through, &mut bytes);
        }
        self.file.write_all(&bytes)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if entries.is_empty() {
            // Whoever forgets what was settled purges it once more, which harms nobody.
            return Ok(());
        }
        self.file.sync_data()
    }

    /// Whether most of the file is likely to be settled.
    pub(super) fn is_long(&self) -> bool {
        self.bytes >= REWRITE_FROM && self.bytes / 2 >= self.bytes_kept
    }

    /// Makes these purges all that the file holds. Returns when the disk has them.
    pub(super) fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let bytes = replace(&self.folder, entries)? as u64;
        self.file = OpenOptions::new().append(true).open(self.folder.join(FILE))?;
        self.bytes = bytes;
        self.bytes_kept = bytes;
        Ok(())
    }
}

/// Everything that is to be sent, and where the last whole record ends; or where it is damaged, and how.
fn read_all(bytes: &[u8]) -> Result<(Found, usize), (u64, &'static str)> {
    // The file gets its name after its beginning was written.
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return Err((0, "it does not begin as such a file does")) };
    let at = |rest: &[u8]| bytes.len().saturating_sub(rest.len());
    let (mut entries, mut last, mut settled) = (Vec::<Entry>::new(), 0, 0);
    loop {
        let length = match record::read(rest) {
            Next::Record(Record::Purge(entry), length) if entry.id > last => {
                last = entry.id;
                entries.push(entry);
                length
            }
            Next::Record(Record::Purge(_), _) => return Err((at(rest) as u64, "purges are out of order")),
            Next::Record(Record::Settled(through), length) => {
                settled = settled.max(through);
                length
            }
            Next::End | Next::Torn => break,
            Next::Damaged(why) => return Err((at(rest) as u64, why)),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    entries.retain(|entry| entry.id > settled);
    Ok((Found { entries, next_id: last.max(settled).saturating_add(1), damaged: None }, at(rest)))
}

/// Keeps a copy of a damaged file for whoever wants to know, and says that everything is to be purged.
fn put_aside(folder: &Path, at: u64, why: &'static str) -> io::Result<Found> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let copy = folder.join(format!("purges.damaged-{now_ms}"));
    std::fs::hard_link(folder.join(FILE), &copy).or_else(|_| std::fs::copy(folder.join(FILE), &copy).map(drop))?;
    let asked_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
    let everything = Entry { id: 1, asked_ms, purge: Arc::new(Purge::new().all()) };
    Ok(Found { entries: vec![everything], next_id: 2, damaged: Some(Damaged { at, why, copy }) })
}

/// Puts a whole new file in the old one's place; returns its length.
fn replace(folder: &Path, entries: &[Entry]) -> io::Result<usize> {
    let mut bytes = MAGIC.to_vec();
    entries.iter().for_each(|entry| record::write_purge(entry, &mut bytes));
    let new = folder.join(FILE_NEW);
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(FILE))?;
    // The name is durable with the folder. Not every system lets a folder be opened; those need no such thing.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, tag: &str) -> Entry {
        Entry { id, asked_ms: 7, purge: Arc::new(Purge::new().tag(tag)) }
    }

    fn ids(found: &Found) -> Vec<u64> {
        found.entries.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn what_was_written_and_not_settled_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("made/if/need/be");
        let (mut journal, found) = open(&at).expect("opened");
        assert_eq!((ids(&found), found.next_id), (vec![], 1));
        journal.append(&[entry(1, "a"), entry(2, "b")], None).expect("written");
        journal.append(&[entry(3, "c")], Some(1)).expect("written");
        journal.append(&[], Some(2)).expect("written");
        drop(journal);
        let (mut journal, found) = open(&at).expect("opened");
        assert_eq!((found.entries, found.next_id), (vec![entry(3, "c")], 4));
        journal.append(&[entry(4, "d")], Some(3)).expect("written");
        journal.append(&[], Some(9)).expect("written");
        drop(journal);
        let (_journal, found) = open(&at).expect("opened");
        assert_eq!((ids(&found), found.next_id), (vec![], 10));
    }

    #[test]
    fn two_do_not_get_one_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, _) = open(folder.path()).expect("opened");
        assert!(matches!(open(folder.path()), Err(BuildError::InUse { .. })));
        drop(journal);
        assert!(open(folder.path()).is_ok());
    }

    #[test]
    fn the_file_stays_short_however_much_goes_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, _) = open(folder.path()).expect("opened");
        let long = "x".repeat(40_000);
        let mut largest = 0;
        for id in 1..300 {
            if journal.is_long() {
                journal.rewrite(&[entry(id, &long)]).expect("written");
            } else {
                journal.append(&[entry(id, &long)], Some(id - 1)).expect("written");
            }
            largest = largest.max(std::fs::metadata(folder.path().join(FILE)).expect("a file").len());
        }
        assert!(largest < 2 * REWRITE_FROM, "{largest}");
        drop(journal);
        assert_eq!(ids(&open(folder.path()).expect("opened").1), [299]);
    }

    #[test]
    fn a_torn_end_is_cut_off_and_written_over() {
        for cut in 1..30 {
            let folder = tempfile::tempdir().expect("a folder");
            let (mut journal, _) = open(folder.path()).expect("opened");
            journal.append(&[entry(1, "kept")], None).expect("written");
            let end = journal.bytes;
            journal.append(&[entry(2, "torn")], None).expect("written");
            let file = OpenOptions::new().write(true).open(folder.path().join(FILE)).expect("a file");
            file.set_len(end + cut).expect("cut");
            drop(journal);
            let (mut journal, found) = open(folder.path()).expect("opened");
            assert_eq!((ids(&found), found.next_id, &found.damaged), (vec![1], 2, &None), "cut at {cut}");
            journal.append(&[entry(2, "again")], None).expect("written");
            drop(journal);
            assert_eq!(open(folder.path()).expect("opened").1.entries, [entry(1, "kept"), entry(2, "again")]);
        }
    }

    #[test]
    fn damage_costs_a_purge_of_everything_and_leaves_a_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        for at in [0, 9, 40, 60] {
            let _ = std::fs::remove_file(&path);
            let (mut journal, _) = open(folder.path()).expect("opened");
            journal.append(&[entry(1, "a"), entry(2, "b")], None).expect("written");
            drop(journal);
            let mut bytes = std::fs::read(&path).expect("read");
            bytes[at] ^= 0x20;
            std::fs::write(&path, &bytes).expect("written");
            let (journal, found) = open(folder.path()).expect("opened");
            let damaged = found.damaged.expect("damaged");
            assert_eq!(std::fs::read(&damaged.copy).expect("a copy"), bytes, "byte {at}: {}", damaged.why);
            let everything: Vec<_> = found.entries.iter().map(|entry| (*entry.purge).clone()).collect();
            assert_eq!(everything, [Purge::new().all()]);
            drop(journal);
            // Once: the next one finds the purge of everything, and a file in good order.
            let (_journal, found) = open(folder.path()).expect("opened");
            assert_eq!((found.entries.len(), found.damaged), (1, None));
        }
    }

    #[test]
    fn an_empty_or_foreign_file_is_damaged() {
        for text in ["", "LRD", "something else altogether"] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(FILE), text).expect("written");
            assert!(open(folder.path()).expect("opened").1.damaged.is_some(), "{text:?}");
        }
    }
}
