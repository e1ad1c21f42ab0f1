//! Purges that a node refused for good, for whoever has to find out why: a file with a line of JSON for each.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::purge::body;
use super::queue::Batch;

/// A longer file becomes the old one (`….1`), and the old one goes.
const BYTES_MAX: u64 = 16 << 20;

/// Where they go. Without a file, to the log only.
#[derive(Debug)]
pub(super) struct DeadLetters {
    file: Option<PathBuf>,
}

impl DeadLetters {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// Writes one down. Blocks. A disk that does not take it leaves the line in the log.
    pub(super) fn add(&self, batch: &Batch, status: u16, detail: &str) {
        let purge = body(&batch.scopes, batch.mode);
        tracing::error!(target: "larder::invalidator", %purge, status, detail, "a node refused a purge for good: it is dropped");
        let Some(file) = &self.file else { return };
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let line = json!({
            "asked_ms": batch.asked_ms,
            "refused_ms": u64::try_from(now_ms).unwrap_or(u64::MAX),
            "status": status,
            "detail": detail,
            "purge": purge,
        });
        if let Err(error) = append(file, &line.to_string()) {
            tracing::error!(target: "larder::invalidator", file = %file.display(), %error, "it is not with the dead letters");
        }
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() >= BYTES_MAX) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        std::fs::rename(path, old)?;
    }
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}
