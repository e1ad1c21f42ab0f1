//! Where the database file is, and the removal of a temporary one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

use anyhow::Context;

/// The database's path; a temporary one lies in a directory of its own.
pub(super) struct DatabaseFile {
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl DatabaseFile {
    pub(super) fn at(path: &Path) -> Self {
        DatabaseFile { path: path.to_owned(), temporary: None }
    }

    /// A new directory that nobody else can have prepared: creating it fails where something has that name.
    pub(super) fn temporary() -> anyhow::Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let directory = env::temp_dir().join(format!("shop-api-{}-{number}", process::id()));
            match create_private(&directory) {
                Ok(()) => return Ok(DatabaseFile { path: directory.join("shop.db"), temporary: Some(directory) }),
                // Left by a killed process that had the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", directory.display())),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a temporary database, with SQLite's side files. Once is enough.
    pub(super) fn remove_if_temporary(&self) {
        if let Some(directory) = &self.temporary
            && let Err(error) = fs::remove_dir_all(directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("shop-api: cannot remove {}: {error}", directory.display());
        }
    }
}

impl Drop for DatabaseFile {
    fn drop(&mut self) {
        self.remove_if_temporary();
    }
}

fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
