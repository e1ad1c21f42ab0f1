//! A name's folder: its record, checked by a sum, and its texts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::policies::record::{Next, Record};

const MAGIC: &str = "larder policy 1\n";

/// A name's folder.
pub(super) struct Folder(pub(super) PathBuf);

/// What is in it.
pub(super) enum Found {
    /// No record: nothing was ever said to be pushed.
    Nothing,
    Record(Record),
    /// A record that is not what was written, for this reason.
    Damaged(&'static str),
}

impl Folder {
    /// Where a version's text is.
    pub(super) fn text(&self, version: u64) -> PathBuf {
        self.0.join(format!("{version}.json"))
    }

    fn record(&self) -> PathBuf {
        self.0.join("record")
    }

    /// Reads the record.
    pub(super) fn load(&self) -> io::Result<Found> {
        match fs::read(self.record()) {
            Ok(bytes) => Ok(read(&bytes).map_or_else(Found::Damaged, Found::Record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Writes what is new, the record last; then removes what is no longer kept.
    pub(super) fn store(&self, parent: &Path, next: &Next) -> io::Result<()> {
        if !self.0.is_dir() {
            fs::create_dir_all(&self.0)?;
            File::open(parent)?.sync_all()?;
        }
        if let Some(text) = &next.text {
            write(&self.text(next.record.last), text.as_bytes())?;
        }
        let json = serde_json::to_string(&next.record)?;
        let text = format!("{MAGIC}{:08x}\n{json}\n", crc32fast::hash(json.as_bytes()));
        write(&self.record(), text.as_bytes())?;
        // The new names are not there after a crash before the folder is.
        File::open(&self.0)?.sync_all()?;
        for version in &next.dropped {
            if let Err(error) = fs::remove_file(self.text(*version)) {
                let path = self.text(*version);
                tracing::warn!(path = %path.display(), %error, "a policy that is no longer kept was not removed");
            }
        }
        Ok(())
    }
}

/// Writes a file beside its place, syncs it, and puts it there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// Gives a file or folder a name that nothing else has; says which.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for number in 0..1000 {
        let kept = match number {
            0 => path.with_file_name(format!("{name}.damaged")),
            _ => path.with_file_name(format!("{name}.damaged.{number}")),
        };
        if !kept.exists() {
            fs::rename(path, &kept)?;
            return Ok(kept);
        }
    }
    Err(io::Error::other("there are a thousand damaged ones already"))
}

pub(crate) fn read(bytes: &[u8]) -> Result<Record, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the record is no text")?;
    let rest = text.strip_prefix(MAGIC).ok_or("the record does not begin as a record does")?;
    let (sum, json) = rest.split_once('\n').ok_or("the record is cut short")?;
    let json = json.strip_suffix('\n').ok_or("the record is cut short")?;
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(json.as_bytes())) {
        return Err("the record does not check");
    }
    let record: Record = serde_json::from_str(json).map_err(|_| "the record is none of this version")?;
    if record.is_sound() { Ok(record) } else { Err("the record contradicts itself") }
}
