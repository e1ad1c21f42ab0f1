//! Policies in a folder: for one node alone that keeps them over a restart.
//!
//! In the folder: `policies.lock` (one process at a time), and a folder for each name with `record` and a file for each version's text,
//! `3.json`. A file is written beside its place, synced, and renamed into it, the text before the record that names it; so a crash
//! leaves the record before or the record after.
//!
//! What is not what was written is set aside under a name of its own (`shop.damaged`, `3.json.damaged`), said, and never written over.

pub(crate) mod file;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::file::{Folder, Found};
use super::open::OpenError;
use super::record::{Next, Version, is_name, sha256};
use super::{NAMES_MAX, PoliciesError, PolicyStore, Records};

const KIND: &str = "disk";

/// Policies on disk.
pub struct DiskPolicies {
    shared: Arc<Shared>,
    /// One change at a time.
    writing: tokio::sync::Mutex<()>,
    _lock: File,
}

struct Shared {
    folder: PathBuf,
    held: Mutex<Held>,
}

/// What is on disk, but for the texts.
#[derive(Default)]
struct Held {
    changes: u64,
    records: Records,
}

impl DiskPolicies {
    /// Opens a folder, or makes it. Reads the records: blocks.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| OpenError::Disk { path, action, source }
        };
        fs::create_dir_all(folder).map_err(failed("make the folder of", folder))?;
        let path = folder.join("policies.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("open the lock of", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        let mut held = Held::default();
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let path = entry.map_err(failed("list", folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
            let Some(name) = name.filter(|_| path.is_dir()) else { continue };
            let found = Folder(path.clone()).load().map_err(failed("read", &path))?;
            match found {
                Found::Nothing => {}
                Found::Record(record) => {
                    held.records.records.insert(name.to_owned(), record);
                }
                Found::Damaged(why) => {
                    let kept = file::set_aside(&path).map_err(failed("set aside", &path))?;
                    let (path, kept) = (path.display(), kept.display());
                    tracing::error!(policy = name, %path, why, %kept, "a pushed policy is damaged: workers keep what they have");
                }
            }
        }
        let shared = Arc::new(Shared { folder: folder.to_owned(), held: Mutex::new(held) });
        Ok(Self { shared, writing: tokio::sync::Mutex::default(), _lock: lock })
    }

    /// Does something that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, PoliciesError> + Send + 'static,
    ) -> Result<T, PoliciesError> {
        let shared = self.shared.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(|error| PoliciesError::Refused { store: KIND, why: error.to_string() })?
    }
}

#[async_trait]
impl PolicyStore for DiskPolicies {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn records(&self, seen: Option<&str>) -> Result<Option<Records>, PoliciesError> {
        let held = self.shared.lock();
        Ok((seen != Some(held.records.mark.as_str())).then(|| held.records.clone()))
    }

    async fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError> {
        let (name, version) = (name.to_owned(), version.clone());
        self.blocking(move |shared| shared.text(&name, &version)).await
    }

    async fn replace(&self, name: &str, from: Option<u64>, next: &Next) -> Result<bool, PoliciesError> {
        if !is_name(name) {
            return Err(PoliciesError::Refused { store: KIND, why: format!("{name:?} is no name") });
        }
        let _writing = self.writing.lock().await;
        let (name, next) = (name.to_owned(), next.clone());
        self.blocking(move |shared| shared.replace(&name, from, &next)).await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, name: &str) -> Folder {
        Folder(self.folder.join(name))
    }

    fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError> {
        let path = self.folder(name).text(version.version);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(&path, &error)),
        };
        match String::from_utf8(bytes) {
            Ok(text) if sha256(&text) == version.sha256 => Ok(Some(text)),
            _ => {
                let kept = file::set_aside(&path).map_err(|error| refused(&path, &error))?;
                let why = format!("{} is not what was pushed; it is {} now", path.display(), kept.display());
                Err(PoliciesError::Damaged { store: KIND, why })
            }
        }
    }

    fn replace(&self, name: &str, from: Option<u64>, next: &Next) -> Result<bool, PoliciesError> {
        let (there, names) = {
            let held = self.lock();
            (held.records.records.get(name).map(|record| record.generation), held.records.records.len())
        };
        if there != from {
            return Ok(false);
        }
        if there.is_none() && names >= NAMES_MAX {
            return Err(PoliciesError::TooManyNames);
        }
        let folder = self.folder(name);
        let written = folder.store(&self.folder, next);
        // What is on disk counts, whether or not all went well.
        let record = match (&written, folder.load()) {
            (Ok(()), _) => Some(next.record.clone()),
            (Err(_), Ok(Found::Record(record))) => Some(record),
            (Err(_), _) => None,
        };
        let mut held = self.lock();
        if let Some(record) = record {
            held.records.records.insert(name.to_owned(), record);
            held.changes = held.changes.saturating_add(1);
            held.records.mark = held.changes.to_string();
        }
        drop(held);
        written.map(|()| true).map_err(|error| refused(&folder.0, &error))
    }
}

fn refused(path: &Path, error: &io::Error) -> PoliciesError {
    PoliciesError::Refused { store: KIND, why: format!("{}: {error}", path.display()) }
}
