//! Two files that take turns: one is appended to, and when it holds as much as is to be kept, it takes the place of the older one.
//! So what is kept is never rewritten, and never takes more than twice its room.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files that take turns.
#[derive(Debug)]
pub(super) struct Pair {
    current: PathBuf,
    older: PathBuf,
    /// Open for appending; `None` after a failure, until it can be opened again.
    file: Option<File>,
    pub(super) frames: usize,
    pub(super) bytes: u64,
    frames_max: usize,
    bytes_max: u64,
    /// Series that the current file names.
    pub(super) named: HashSet<u32>,
}

impl Pair {
    /// What both hold, the older first.
    pub(super) fn read(folder: &Path, name: &str) -> io::Result<[Vec<u8>; 2]> {
        let (current, older) = paths(folder, name);
        Ok([bytes(&older)?, bytes(&current)?])
    }

    /// Opens the current one for appending, which holds so many frames.
    pub(super) fn open(
        folder: &Path,
        name: &str,
        (frames_max, bytes_max): (usize, u64),
        frames: usize,
        named: HashSet<u32>,
    ) -> io::Result<Self> {
        let (current, older) = paths(folder, name);
        let file = appendable(&current)?;
        let bytes = file.metadata()?.len();
        Ok(Self { current, older, file: Some(file), frames, bytes, frames_max, bytes_max, named })
    }

    /// Begins a new file where the current one is full.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        if self.frames < self.frames_max && self.bytes < self.bytes_max {
            return Ok(());
        }
        self.file = None;
        match fs::rename(&self.current, &self.older) {
            // Somebody has removed it: there is nothing to keep.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        (self.frames, self.bytes) = (0, 0);
        self.named.clear();
        Ok(())
    }

    /// Appends frames. After a failure, what the file's end is like is unknown, and what it names, too; readers skip over that.
    pub(super) fn append(&mut self, bytes: &[u8], frames: usize) -> io::Result<()> {
        let appended = self.file().and_then(|file| file.write_all(bytes));
        match appended {
            Ok(()) => {
                self.frames = self.frames.saturating_add(frames);
                self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                self.file = None;
                self.named.clear();
                Err(error)
            }
        }
    }

    /// Waits until the system has written everything.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn file(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(appendable(&self.current)?)),
        }
    }
}

fn paths(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(name), folder.join(format!("{name}.older")))
}

fn appendable(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}
