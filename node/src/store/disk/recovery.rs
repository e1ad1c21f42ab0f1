//! What a folder holds when a node starts: the index is built anew by reading the segments' heads, oldest first.
//!
//! A file that was full has a list of its heads beside it, so that a start costs a tenth of reading everything. Where the list is missing,
//! damaged or not of a file of this length, the file itself is read.
//!
//! Total over what it finds. A record cut off at the end of a file is what a killed process leaves: it was never acknowledged, and
//! the file is cut back. A head that is no head in the middle of a file is damage: what lies behind it in this file cannot be found
//! and is lost. Values are not read here; damage in them is found when they are asked for.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use larder_core::time::Timestamp;

use super::index::{Index, Slot};
use super::log::{Failure, LIST, SEGMENT, Segment, id_of, list_of};
use super::record::{FILE_HEAD, HEAD_AND_NAME_BYTES_MAX, Head, Kind, name_hash};

/// Reads this much at once: many heads of small values, one of a large one.
const WINDOW_BYTES: usize = 64 << 10;

/// Reads a folder into an index. Files that are not ours are left alone; segments of another format are removed.
pub fn recover(folder: &Path, index: &Index, now: Timestamp) -> Result<VecDeque<Segment>, Failure> {
    let mut ids = Vec::new();
    let mut lists = Vec::new();
    for file in fs::read_dir(folder).map_err(Failure::at(folder))? {
        let file = file.map_err(Failure::at(folder))?;
        let name = file.file_name();
        let Some(name) = name.to_str() else { continue };
        ids.extend(id_of(name, SEGMENT).map(|id| (id, file.path())));
        lists.extend(id_of(name, LIST).map(|_| file.path()));
    }
    ids.sort();
    let mut segments = VecDeque::new();
    for (id, path) in ids {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Failure::at(&path))?;
        let mut segment = Segment::new(id, path.clone(), file);
        segment.heads = Vec::new();
        if read(&mut segment, index, now).map_err(Failure::at(&path))? {
            segments.push_back(segment);
        } else {
            fs::remove_file(&path).map_err(Failure::at(&path))?;
        }
    }
    // Lists that were of no use, or whose segments are gone.
    let used =
        |list: &PathBuf| segments.iter().any(|segment| segment.list_bytes > 0 && list_of(&segment.path) == *list);
    for list in lists.iter().filter(|list| !used(list)) {
        fs::remove_file(list).map_err(Failure::at(list))?;
    }
    Ok(segments)
}

/// Enters a segment's records into the index. `false` where it is not one of this format.
fn read(segment: &mut Segment, index: &Index, now: Timestamp) -> io::Result<bool> {
    let file = segment.file.clone();
    let length = file.metadata()?.len();
    let mut window = Window { file: &file, at: 0, bytes: Vec::new() };
    if window.look(0, FILE_HEAD.len())? != FILE_HEAD {
        return Ok(false);
    }
    let mut offset = segment.bytes;
    if let Some((heads, list_bytes)) = listed(segment, length) {
        for head in heads {
            enter(segment, index, &head, offset, now);
            offset = offset.saturating_add(head.record_bytes());
        }
        segment.list_bytes = list_bytes;
        segment.bytes = offset;
        return Ok(true);
    }
    while let Some(head) = Head::decode(window.look(offset, HEAD_AND_NAME_BYTES_MAX)?) {
        let end = offset.saturating_add(head.record_bytes());
        if end > length {
            break;
        }
        enter(segment, index, &head, offset, now);
        offset = end;
    }
    if offset < length {
        file.set_len(offset)?;
    }
    segment.bytes = offset;
    Ok(true)
}

/// The heads of a segment by its list, and the list's length, if the list is whole and of a segment of this length.
fn listed(segment: &Segment, length: u64) -> Option<(Vec<Head>, u64)> {
    let list = fs::read(list_of(&segment.path)).ok()?;
    let mut rest = list.strip_prefix(FILE_HEAD)?;
    let mut heads = Vec::new();
    let mut end = segment.bytes;
    while !rest.is_empty() {
        let head = Head::decode(rest)?;
        end = end.checked_add(head.record_bytes())?;
        rest = rest.get(head.value_at()..)?;
        heads.push(head);
    }
    (end == length).then_some((heads, list.len() as u64))
}

fn enter(segment: &mut Segment, index: &Index, head: &Head, offset: u64, now: Timestamp) {
    let hash = name_hash(&head.name);
    let slot = match (head.kind, u32::try_from(offset), u32::try_from(head.record_bytes())) {
        (Kind::Put, Ok(offset), Ok(bytes)) if head.until > now => {
            Some(Slot::new(segment.id, offset, bytes, head.until))
        }
        // An expired value still replaces an older one.
        _ => None,
    };
    let before = index.set(hash, slot, || {});
    let replaced = before.map_or(Timestamp(0), |before| before.until());
    segment.counts_until = segment.counts_until.max(head.until).max(replaced);
    if slot.is_some() {
        segment.names.push(hash);
    }
}

/// A piece of a file in memory, so that heads close to one another cost one read.
struct Window<'a> {
    file: &'a File,
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// Up to so many bytes from there; fewer at the end of the file.
    fn look(&mut self, from: u64, length: usize) -> io::Result<&[u8]> {
        let held = self.at..=self.at + self.bytes.len() as u64;
        if !held.contains(&from) || !held.contains(&(from + length as u64)) {
            self.at = from;
            self.bytes.resize(WINDOW_BYTES, 0);
            let mut filled = 0;
            while let Some(space) = self.bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
                match self.file.read_at(space, from + filled as u64) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.bytes.truncate(filled);
        }
        let start = usize::try_from(from - self.at).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(self.bytes.len());
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }
}
