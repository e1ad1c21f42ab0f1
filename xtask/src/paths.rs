//! Where things lie: the workspace, cargo's target folder, the one built module, the user's cache folder.
//! Decides no versions and creates nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's root folder. Commands work on this checkout from whatever folder they are called.
pub fn root() -> PathBuf {
    // Cargo sets the variable at run time too; that value is right even if two checkouts share a target folder.
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
}

/// Cargo's target folder: `$CARGO_TARGET_DIR`, else `target/` in the workspace.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir)),
        None => root().join("target"),
    }
}

/// The plugin module that `cargo xtask build` writes and everything else reads.
pub fn wasm() -> PathBuf {
    target().join("larder.wasm")
}

/// Logs and scratch files of our commands, below the target folder.
pub fn scratch(name: &str) -> PathBuf {
    target().join("xtask").join(name)
}

/// The folder for downloaded tools, shared by all checkouts of this user: `$XDG_CACHE_HOME/larder`, else `~/.cache/larder`.
pub fn cache() -> Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|folder| folder.join("larder"))
        .context("no cache folder: set HOME or XDG_CACHE_HOME to an absolute path")
}

/// The first executable file called `name` in `$PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // Debian keeps servers (nginx) in sbin folders, which a user's PATH often lacks.
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether `file` is a regular file that somebody may execute.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
