//! Moving Envoy's wall clock: libfaketime, preloaded, reads an offset from a file on every look at the clock.
//!
//! Only the wall clock moves; timers (monotonic) run on, so that Envoy stays healthy. Decides nothing.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A clock that a test moves.
#[derive(Debug)]
pub(super) struct Clock {
    file: PathBuf,
    ahead: Duration,
}

impl Clock {
    /// A clock that shows the true time, its file in `folder`.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let clock = Self { file: folder.join("clock"), ahead: Duration::ZERO };
        clock.write()?;
        Ok(clock)
    }

    /// Moves the clock forward.
    pub fn advance(&mut self, by: Duration) -> io::Result<()> {
        self.ahead += by;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        // Renamed into place: the reader never sees half a file.
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("+{}.{:03}s\n", self.ahead.as_secs(), self.ahead.subsec_millis()))?;
        fs::rename(fresh, &self.file)
    }

    /// What Envoy's environment needs.
    pub fn environment(&self) -> io::Result<Vec<(&'static str, OsString)>> {
        Ok(vec![
            ("LD_PRELOAD", library()?.into_os_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into_os_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DONT_RESET", "1".into()),
        ])
    }
}

/// The library for programs with threads: `$LARDER_FAKETIME`, else where Debian puts it.
fn library() -> io::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LARDER_FAKETIME") {
        return Ok(path.into());
    }
    let folders = fs::read_dir("/usr/lib")?.filter_map(Result::ok).map(|entry| entry.path());
    folders
        .chain([PathBuf::from("/usr/lib")])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|file| file.exists())
        .ok_or_else(|| io::Error::other("libfaketimeMT.so.1 not found: install the package `faketime`"))
}
