//! The series on disk, so that a restart keeps them.
//!
//! In the folder: `1s.series`, `10s.series`, `5m.series` and `marks.series`, each with an older one beside it, and `lock` (one process
//! at a time). Every second, what the last one counted is appended; of longer steps, a column is appended when the step has ended.
//! What a step that had not ended had counted when the process did is put together from the seconds: for this, columns are numbered.
//! So a process that is killed loses the last second, and a machine that loses power up to the last ten.
//!
//! A folder that cannot be written costs what would have been written and a line in the log, never an answer.

pub(super) mod form;
pub(super) mod frame;
mod pair;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::form::Written;
use self::frame::Frames;
use self::pair::Pair;
use super::column::Cells;
use super::marks::{MARKS_MAX, Mark};
use super::names::Series;
use super::resolution::{RESOLUTIONS, Resolution};
use super::sharing::Place;

const MARKS: &str = "marks.series";

/// Why a folder for series cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be read or written.
    #[error("cannot {action} the folder for analytics {folder}: {source}", folder = folder.display())]
    Disk {
        /// Where.
        folder: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the folder for analytics {folder} is in use by another process", folder = folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Columns by resolution, each with its number.
    pub(super) columns: [Vec<(u64, u64, Cells)>; RESOLUTIONS.len()],
    pub(super) marks: Vec<Mark>,
    /// The series that occur.
    pub(super) names: HashMap<u32, Arc<Series>>,
    /// Up to where others' reports were read, which are in the columns.
    pub(super) place: Option<Place>,
    /// Whether to wait until the system has written it.
    pub(super) sync: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) names: Vec<Series>,
    /// Columns by resolution, in the order of writing.
    pub(super) columns: [Vec<(u64, Cells)>; RESOLUTIONS.len()],
    /// Seconds that longer steps do not contain yet, by resolution.
    pub(super) not_contained: [Vec<(u64, Cells)>; RESOLUTIONS.len()],
    pub(super) marks: Vec<Mark>,
    /// Up to where others' reports were read.
    pub(super) place: Option<Place>,
    /// The next column's number.
    pub(super) next_number: u64,
    /// The highest number of a series that is in use, named or not.
    pub(super) id_max: u32,
}

/// The folder, open for writing.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    columns: [Pair; RESOLUTIONS.len()],
    marks: Pair,
    in_trouble: bool,
    _lock: File,
}

impl Disk {
    /// Opens a folder, or makes it, and reads what is there. Blocks.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<(Self, Found), OpenError> {
        let failed = |action: &'static str| {
            let folder = folder.to_owned();
            move |source: io::Error| OpenError::Disk { folder, action, source }
        };
        fs::create_dir_all(folder).map_err(failed("make"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"));
        let lock = lock.map_err(failed("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let mut read = Reading::default();
        let mut pairs = Vec::new();
        for resolution in RESOLUTIONS {
            let name = resolution.file();
            let limits = (resolution.columns(), bytes_max);
            let (frames, named) = read.files(folder, name, Some(resolution)).map_err(failed("read"))?;
            pairs.push(Pair::open(folder, name, limits, frames, named).map_err(failed("write"))?);
        }
        let columns: [Pair; RESOLUTIONS.len()] = pairs.try_into().map_err(|_| failed("open")(io::Error::other("")))?;
        let (frames, named) = read.files(folder, MARKS, None).map_err(failed("read"))?;
        let marks = Pair::open(folder, MARKS, (MARKS_MAX, bytes_max), frames, named).map_err(failed("write"))?;
        if read.skipped > 0 {
            let (folder, bytes) = (folder.display(), read.skipped);
            tracing::warn!(%folder, bytes, "some of the analytics on disk is damaged, or was cut short, and is left out");
        }
        Ok((Self { folder: folder.to_owned(), columns, marks, in_trouble: false, _lock: lock }, read.found()))
    }

    /// Writes. What goes wrong is said once, and again when it goes well.
    pub(super) fn write(&mut self, batch: &Batch) {
        let written = self.try_write(batch);
        let folder = self.folder.display();
        match &written {
            Ok(()) if self.in_trouble => tracing::info!(%folder, "analytics are written again"),
            Err(error) if !self.in_trouble => tracing::error!(%folder, %error, "analytics are not written"),
            Ok(()) | Err(_) => {}
        }
        self.in_trouble = written.is_err();
    }

    fn try_write(&mut self, batch: &Batch) -> io::Result<()> {
        let mut done = Ok(());
        for (pair, columns) in self.columns.iter_mut().zip(&batch.columns) {
            for (at_ms, number, cells) in columns {
                done = done.and(append_column(pair, *at_ms, *number, cells, &batch.names));
            }
        }
        if let (Some(place), [seconds, ..]) = (&batch.place, &mut self.columns) {
            let mut bytes = Vec::new();
            frame::put(&mut bytes, form::PLACE, &form::place(place));
            done = done.and(seconds.append(&bytes, 0));
        }
        for mark in &batch.marks {
            let mut bytes = Vec::new();
            frame::put(&mut bytes, form::MARK, &mark.encode());
            done = done.and(self.marks.turn()).and(self.marks.append(&bytes, 1));
        }
        if batch.sync {
            for pair in self.columns.iter_mut().chain([&mut self.marks]) {
                done = done.and(pair.sync());
            }
        }
        done
    }
}

fn append_column(
    pair: &mut Pair,
    at_ms: u64,
    number: u64,
    cells: &Cells,
    names: &HashMap<u32, Arc<Series>>,
) -> io::Result<()> {
    pair.turn()?;
    let mut bytes = Vec::new();
    let unnamed: Vec<u32> = cells.keys().copied().filter(|id| !pair.named.contains(id)).collect();
    for series in unnamed.iter().filter_map(|id| names.get(id)) {
        frame::put(&mut bytes, form::NAME, &form::name(series));
    }
    if !frame::put(&mut bytes, form::COLUMN, &form::column(at_ms, number, cells)) {
        return Err(io::Error::other("a column is too long"));
    }
    pair.append(&bytes, 1)?;
    pair.named.extend(unnamed);
    Ok(())
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reading {
    names: HashMap<u32, Series>,
    columns: [Vec<Written>; RESOLUTIONS.len()],
    marks: Vec<Mark>,
    place: Option<Place>,
    skipped: usize,
}

impl Reading {
    /// Reads two files. Says how many frames with content the current one has, and which series it names.
    fn files(&mut self, folder: &Path, name: &str, of: Option<Resolution>) -> io::Result<(usize, HashSet<u32>)> {
        let mut current = (0, HashSet::new());
        for bytes in Pair::read(folder, name)? {
            current = (0, HashSet::new());
            let mut frames = Frames::new(&bytes);
            for (kind, body) in frames.by_ref() {
                match (kind, of) {
                    (form::NAME, _) => {
                        let Some(series) = form::read_name(body) else { continue };
                        current.1.insert(series.id);
                        self.names.entry(series.id).or_insert(series);
                    }
                    (form::COLUMN, Some(resolution)) => {
                        let columns = self.columns.get_mut(resolution.number());
                        if let Some((columns, written)) = columns.zip(form::read_column(body)) {
                            columns.push(written);
                            current.0 += 1;
                        }
                    }
                    (form::PLACE, Some(Resolution::Second)) => {
                        self.place = form::read_place(body).or(self.place.take())
                    }
                    (form::MARK, None) => {
                        self.marks.extend(Mark::decode(body));
                        current.0 += 1;
                    }
                    _ => {}
                }
            }
            self.skipped = self.skipped.saturating_add(frames.skipped);
        }
        Ok(current)
    }

    fn found(self) -> Found {
        let all = || self.columns.iter().flatten();
        let next_number = all().map(|written| written.number).max().map_or(1, |number| number.saturating_add(1));
        let used = all().filter_map(|written| written.cells.last_key_value()).map(|(id, _)| *id);
        let id_max = used.chain(self.names.keys().copied()).max().unwrap_or_default();
        let mut found = Found { marks: self.marks, place: self.place, next_number, id_max, ..Found::default() };
        let seconds = self.columns.first().cloned().unwrap_or_default();
        for (resolution, columns) in RESOLUTIONS.into_iter().zip(self.columns) {
            let mut contained: HashMap<u64, u64> = HashMap::new();
            for written in &columns {
                let number = contained.entry(written.at_ms).or_default();
                *number = (*number).max(written.number);
            }
            if resolution != Resolution::Second
                && let Some(rest) = found.not_contained.get_mut(resolution.number())
            {
                let is_missing = |second: &&Written| {
                    let begin = second.at_ms / resolution.step_ms() * resolution.step_ms();
                    contained.get(&begin).is_none_or(|number| second.number > *number)
                };
                rest.extend(seconds.iter().filter(is_missing).map(|second| (second.at_ms, second.cells.clone())));
            }
            if let Some(place) = found.columns.get_mut(resolution.number()) {
                place.extend(columns.into_iter().map(|written| (written.at_ms, written.cells)));
            }
        }
        let mut names: Vec<Series> = self.names.into_values().collect();
        // The newest first: they are what is needed where there is no room for all.
        names.sort_by_key(|series| std::cmp::Reverse(series.id));
        found.names = names;
        found
    }
}
