//! Moving Envoy's wall clock: a small library, preloaded, adds what a mapped file says to every look at the clock.
//!
//! Only the wall clock moves; timers (monotonic) run on, so that Envoy stays healthy. Decides nothing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A clock that a test moves.
#[derive(Debug)]
pub(super) struct Clock {
    file: PathBuf,
    library: PathBuf,
    ahead: Duration,
}

impl Clock {
    /// A clock that shows the true time, its files in `folder`.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let library = folder.join("libwallclock.so");
        compile(&folder.join("preload.rs"), &library)?;
        let file = folder.join("clock");
        fs::write(&file, 0i64.to_ne_bytes())?;
        Ok(Self { file, library, ahead: Duration::ZERO })
    }

    /// Moves the clock forward.
    pub fn advance(&mut self, by: Duration) -> io::Result<()> {
        self.ahead += by;
        let nanos = i64::try_from(self.ahead.as_nanos()).map_err(io::Error::other)?;
        // Written in place, in one piece: the file is mapped by the process whose clock it is.
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all(&nanos.to_ne_bytes())
    }

    /// What Envoy's environment needs.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.library.clone().into()), ("LARDER_CLOCK", self.file.clone().into())]
    }
}

fn compile(source: &Path, library: &Path) -> io::Result<()> {
    fs::write(source, include_str!("preload.rs"))?;
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "panic=abort", "-o"])
        .arg(library)
        .arg(source);
    let output = command.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("the wall clock: {}", String::from_utf8_lossy(&output.stderr))))
    }
}
