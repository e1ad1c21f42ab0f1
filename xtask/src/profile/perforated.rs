//! An Envoy whose V8 tells perf the names of the module's functions.
//!
//! Envoy offers no way to give V8 flags. It formats its own from a string in its binary; in a copy of the binary the last of them, which limits
//! stack traces, gives its place to `--perf-basic-prof`, with which V8 writes a map of its code for perf. The module keeps its
//! name section for it. Envoy is otherwise what it is; the copy is not for serving.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const FLAGS: &[u8] = b"--no-liftoff --wasm_max_mem_pages=%u --stack-trace-limit=%u";
const WANTED: &[u8] = b"--no-liftoff --wasm_max_mem_pages=%u --perf-basic-prof     ";
const _: () = assert!(FLAGS.len() == WANTED.len());

/// Makes the copy.
pub fn copy(envoy: &Path, folder: &Path) -> Result<PathBuf> {
    let mut bytes = fs::read(envoy).with_context(|| format!("cannot read {}", envoy.display()))?;
    replace(&mut bytes).with_context(|| format!("{} gives V8 other flags than expected", envoy.display()))?;
    let path = folder.join("envoy");
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, executable).with_context(|| format!("cannot make {} executable", path.display()))?;
    Ok(path)
}

/// Where V8 writes and perf reads the names.
pub fn map(pid: u32) -> PathBuf {
    Path::new("/tmp").join(format!("perf-{pid}.map"))
}

fn replace(bytes: &mut [u8]) -> Result<()> {
    let found: Vec<usize> =
        (bytes.windows(FLAGS.len()).enumerate()).filter_map(|(at, window)| (window == FLAGS).then_some(at)).collect();
    let [at] = found[..] else { bail!("they are there {} times", found.len()) };
    bytes[at..at + FLAGS.len()].copy_from_slice(WANTED);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_replaced_where_they_are_once() {
        let around = |flags: &[u8]| [b"\0before\0", flags, b"\0after"].concat();
        let mut bytes = around(FLAGS);
        replace(&mut bytes).unwrap();
        assert_eq!(bytes, around(WANTED));
        assert!(replace(&mut bytes).is_err(), "not there any more");
        assert!(replace(&mut [FLAGS, FLAGS].concat()).is_err(), "which one?");
    }
}
