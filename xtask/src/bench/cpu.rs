//! Processor time of other processes and the cores a bench may use, from /proc. Linux only, as Envoy's wheel is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// The processor time that all living threads of a process have had.
pub fn time(pid: u32) -> Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let gone = || format!("process {pid} is gone");
    let mut total = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(gone)? {
        let file = task.with_context(gone)?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        total += on_core(&text).with_context(|| format!("{} says {text:?}", file.display()))?;
    }
    ensure!(
        !total.is_zero(),
        "the kernel keeps no scheduler statistics ({tasks}/*/schedstat are 0): CPU cannot be measured here"
    );
    Ok(total)
}

/// `schedstat`: nanoseconds on a core, nanoseconds waiting for one, time slices.
fn on_core(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Which core each part of a bench stays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The servers under test; only one of them has work at a time.
    pub server: usize,
    /// The load generator.
    pub client: usize,
    /// The origin: on a core of its own where there are three, else beside the servers, so that the client's speed stays its own.
    pub origin: usize,
}

/// Chooses among the cores that we may use.
pub fn cores() -> Result<Cores> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).context("cannot read /proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed = list.and_then(|list| parse_list(list.trim())).context("/proc/self/status lists no cores")?;
    choose(&allowed)
}

fn choose(allowed: &[usize]) -> Result<Cores> {
    match *allowed {
        [server, .., origin, client] => Ok(Cores { server, client, origin }),
        [server, client] => Ok(Cores { server, client, origin: server }),
        _ => bail!("a bench needs two processor cores, one for the server and one for the client"),
    }
}

/// `0-3,8`.
fn parse_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cores_are_listed_as_ranges() {
        assert_eq!(parse_list("0-2,8,10-11"), Some(vec![0, 1, 2, 8, 10, 11]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        assert_eq!(parse_list("a-b"), None);
    }

    #[test]
    fn server_and_client_never_share_a_core() {
        assert_eq!(choose(&[2, 5]).unwrap(), Cores { server: 2, client: 5, origin: 2 });
        assert_eq!(choose(&[0, 1, 2]).unwrap(), Cores { server: 0, client: 2, origin: 1 });
        assert_eq!(choose(&[0, 1, 2, 3]).unwrap(), Cores { server: 0, client: 3, origin: 2 });
        assert!(choose(&[0]).is_err());
    }

    /// A process with one thread: where threads end, as those of other tests do, their time is gone with them.
    #[test]
    fn a_process_that_worked_has_had_time_and_it_does_not_run_back() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut echoed = [0; 1];
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut echoed).unwrap();
        let before = time(child.id()).unwrap();
        assert!(before > Duration::ZERO);
        assert!(time(child.id()).unwrap() >= before);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(time(child.id()).is_err(), "it is gone");
        assert_eq!(on_core("1500 20 3\n"), Some(Duration::from_nanos(1500)));
    }
}
