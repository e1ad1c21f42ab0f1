//! A disk that can be full: 32 MiB of memory (tmpfs), mounted where only one process and its children see it (a mount namespace), so that
//! nothing is left behind. As root, or in a user namespace where the machine permits that.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, process};

const SIZE: &str = "32m";
/// Mounts over a folder and becomes the program.
const SCRIPT: &str = r#"mount -t tmpfs -o "size=$1" larder-chaos "$2" && shift 2 && exec "$@""#;
const BALLAST: &str = "ballast";

/// A way to such a disk.
#[derive(Debug)]
pub struct SmallDisk {
    words: Vec<String>,
    folder: PathBuf,
}

impl SmallDisk {
    /// Finds out whether this machine permits it; the error says why it does not.
    pub fn permitted() -> Result<Self> {
        let folder = paths::scratch("chaos-disk");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let root = nix::unistd::geteuid().is_root();
        let unshare: &[&str] =
            if root { &["unshare", "--mount"] } else { &["unshare", "--user", "--map-root-user", "--mount"] };
        let mut words: Vec<String> = unshare.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["sh", "-c", SCRIPT, "sh", SIZE].map(str::to_owned));
        words.push(folder.display().to_string());
        let disk = Self { words, folder };
        let (status, text) =
            process::capture(&mut disk.command(Path::new("true")), &paths::scratch("chaos-mount.txt"))?;
        ensure!(status.success(), "a small disk cannot be mounted here: {}", text.trim());
        Ok(disk)
    }

    /// A command that runs with the disk, under the process id that it is started with.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg(program);
        command
    }

    /// A place on the disk for that command; it may put others beside it.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("entries")
    }

    /// Fills what is left of the disk that this process sees, to the last byte.
    pub fn fill(&self, pid: u32) -> Result<u64> {
        let mut file = File::create(self.seen_by(pid)).context("cannot reach the disk of the node")?;
        let mut written = 0;
        for block in [vec![0u8; 1 << 16], vec![0u8; 1]] {
            while file.write_all(&block).is_ok() {
                written += block.len() as u64;
            }
        }
        Ok(written)
    }

    /// Frees it again.
    pub fn free(&self, pid: u32) -> Result<()> {
        fs::remove_file(self.seen_by(pid)).context("cannot reach the disk of the node")
    }

    fn seen_by(&self, pid: u32) -> PathBuf {
        let inner = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        Path::new("/proc").join(pid.to_string()).join("root").join(inner).join(BALLAST)
    }
}
