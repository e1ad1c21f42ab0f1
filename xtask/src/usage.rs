//! What a process takes, as the kernel tells: memory, file descriptors, threads. Linux only, as Envoy's wheel is.

use std::fs;

use anyhow::{Context, Result};

/// What a process has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

/// Looks at a process.
pub fn of(pid: u32) -> Result<Usage> {
    let gone = || format!("process {pid} is gone");
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).with_context(gone).map(Iterator::count);
    Ok(Usage { resident: resident(pid)?, descriptors: count("fd")?, threads: count("task")? })
}

/// The resident memory of a process in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    resident_of(&text).with_context(|| format!("process {pid} has no resident memory"))
}

fn resident_of(status: &str) -> Option<u64> {
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_what_the_kernel_says() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_of("Name:\tx\n"), None);
        let own = of(std::process::id()).unwrap();
        assert!(own.resident > 0 && own.descriptors > 0 && own.threads > 0, "{own:?}");
        assert!(of(u32::MAX).is_err());
    }
}
