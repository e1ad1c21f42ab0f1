//! Child processes: started in a process group of their own, logged to a file, gone when we are gone.
//!
//! Invariant: no child outlives this program on any path but SIGKILL. A `Service` kills its group on drop, a command run by
//! `run` or `capture` is waited for, and Ctrl-C, SIGTERM and SIGHUP (see [`die_with_children`]) kill every group that is alive.
//! Groups, because cargo and Envoy have children of their own. Signals go only to groups in this program's table.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

const POLL: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_secs(5);
const LOG_TAIL_LINES: usize = 30;

/// Process groups alive. The lock is held while a child is started, signalled or reaped, so that no signal follows a reaping.
static GROUPS: LazyLock<Mutex<BTreeSet<i32>>> = LazyLock::new(Mutex::default);

/// From here on Ctrl-C, SIGTERM and SIGHUP stop all children (TERM, then KILL after a grace time) and end us with code 130.
pub fn die_with_children() -> Result<()> {
    ctrlc::set_handler(|| {
        // The lock is kept to the end: nothing may be started any more.
        let groups = groups();
        signal_all(&groups, Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while groups.iter().any(|&group| is_alive(group)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        signal_all(&groups, Signal::SIGKILL);
        std::process::exit(130);
    })
    .context("cannot handle Ctrl-C")
}

/// A server in the background, with its output in a log file. Killed with its whole group on drop.
#[derive(Debug)]
pub struct Service {
    name: String,
    log: PathBuf,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Service {
    /// Starts `command` with standard output and error going to the file `log` (created anew, with its folder).
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = create(log)?;
        let errors = output.try_clone().context("cannot share a log file")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = start(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), log: log.to_path_buf(), child, ended: None })
    }

    /// The process id, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file with everything the process has printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The exit status, once the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = reap(&mut self.child);
        }
        self.ended
    }

    /// Waits until `condition` holds; an error, with the log's last lines, if the process ends or time runs out first.
    pub fn wait_until(&mut self, what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            if condition() {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                bail!("{} ended ({status}) while we waited for {what}. {}", self.name, tail(&self.log));
            }
            if Instant::now() >= deadline {
                bail!("{}: no {what} within {} s. {}", self.name, within.as_secs_f32(), tail(&self.log));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until `port` of 127.0.0.1 accepts connections.
    pub fn wait_for_port(&mut self, port: u16, within: Duration) -> Result<()> {
        self.wait_until(&format!("answer on port {port}"), within, || crate::ports::answers(port))
    }

    /// Stops the process politely (TERM), then by force, and returns how it ended.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.kill();
        self.ended.with_context(|| format!("{} does not end", self.name))
    }

    /// Kills the process and its group at once, as a crash would, and waits for it.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        while self.ended().is_none() {
            thread::sleep(POLL);
        }
    }

    /// Waits until the process has ended by itself.
    pub fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} does not end within {} s. {}", self.name, within.as_secs_f32(), tail(&self.log));
            }
            thread::sleep(POLL);
        }
    }

    /// Tells the process to end, and does not wait.
    pub fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// Halts the process and its group: connections stay, and nothing is answered.
    pub fn halt(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`Service::halt`].
    pub fn go_on(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&mut self, signal: Signal) {
        let groups = groups();
        if self.ended.is_none() {
            signal_one(&groups, group_of(&self.child), signal);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command in the foreground, its output on ours, and waits. Its standard input is empty.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    command.stdin(Stdio::null());
    wait(start(command)?, Duration::MAX)
}

/// Like [`run`], and an error that says `what` failed and which command it was, unless it succeeds.
pub fn run_ok(what: &str, command: &mut Command) -> Result<()> {
    let status = run(command).with_context(|| format!("{what}: cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{what} failed ({status}): {}", line(command));
    }
    Ok(())
}

/// Runs a command with standard output and error, in the order written, in the file `log`; waits and returns both.
pub fn capture(command: &mut Command, log: &Path) -> Result<(ExitStatus, String)> {
    capture_within(command, log, Duration::MAX)
}

/// Like [`capture`]; when the time is up, the command is killed with its whole group.
pub fn capture_within(command: &mut Command, log: &Path, within: Duration) -> Result<(ExitStatus, String)> {
    let output = create(log)?;
    let errors = output.try_clone().context("cannot share a log file")?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = wait(start(command)?, within)?;
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// Standard output of a short command that must succeed; its errors go to ours.
pub fn stdout(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", line(command), output.status, errors.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} prints something that is not UTF-8", line(command)))
}

/// The command as one would type it, for messages.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a log file, introduced by its path, to end an error message with.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_TAIL_LINES);
    match &lines[from..] {
        [] => format!("Its log {} is empty.", log.display()),
        last => format!("The end of {}:\n    {}", log.display(), last.join("\n    ")),
    }
}

fn create(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let _ = fs::remove_file(log);
    let file = File::options().create(true).append(true).open(log);
    file.with_context(|| format!("cannot write {}", log.display()))
}

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn group_of(child: &Child) -> i32 {
    child.id().cast_signed()
}

fn start(command: &mut Command) -> Result<Child> {
    let mut groups = groups();
    let child = command.process_group(0).spawn().with_context(|| format!("cannot start {}", line(command)))?;
    groups.insert(group_of(&child));
    Ok(child)
}

fn wait(mut child: Child, within: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = reap(&mut child) {
            return Ok(status);
        }
        // Politely first: a command of ours in the group has children in groups of their own to end.
        if started.elapsed() >= within.saturating_add(GRACE) {
            signal_one(&groups(), group_of(&child), Signal::SIGKILL);
        } else if started.elapsed() >= within {
            signal_one(&groups(), group_of(&child), Signal::SIGTERM);
        }
        thread::sleep(POLL);
    }
}

/// The status of a child that has ended. What is left of its group is killed: nobody would wait for it.
/// (A group's number stays taken while it has members, so this cannot reach a stranger's group.)
fn reap(child: &mut Child) -> Option<ExitStatus> {
    let mut groups = groups();
    let status = match child.try_wait() {
        Ok(None) => return None,
        Ok(Some(status)) => status,
        // Only possible if the child is not ours any more: report it as killed rather than wait for ever.
        Err(_) => ExitStatus::from_raw(Signal::SIGKILL as i32),
    };
    signal_one(&groups, group_of(child), Signal::SIGKILL);
    groups.remove(&group_of(child));
    Some(status)
}

fn signal_one(groups: &BTreeSet<i32>, group: i32, signal: Signal) {
    if groups.contains(&group) {
        // Fails only when the group is empty, which is what we want.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn signal_all(groups: &BTreeSet<i32>, signal: Signal) {
    for &group in groups {
        signal_one(groups, group, signal);
    }
}

/// Whether a group has members other than zombies of ours. Reaps, so it is only for the way out.
fn is_alive(group: i32) -> bool {
    let group = Pid::from_raw(group);
    let _ = waitpid(group, Some(WaitPidFlag::WNOHANG));
    killpg(group, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn log(name: &str) -> PathBuf {
        crate::paths::scratch("unit").join(name)
    }

    #[test]
    fn output_and_errors_are_captured_in_order() {
        let (status, text) = capture(&mut shell("echo one; echo two >&2; echo three; exit 3"), &log("order")).unwrap();
        assert_eq!((status.code(), text.as_str()), (Some(3), "one\ntwo\nthree\n"));
    }

    #[test]
    fn a_command_whose_time_is_up_is_told_to_end() {
        let mut stuck = shell("trap 'echo bye; exit 4' TERM; echo up; tail -f /dev/null & wait");
        let (status, text) = capture_within(&mut stuck, &log("stuck"), Duration::from_millis(300)).unwrap();
        assert_eq!((status.code(), text.as_str()), (Some(4), "up\nbye\n"));
    }

    #[test]
    fn a_dropped_service_takes_its_grandchildren_along() {
        let mut service =
            Service::spawn("shell", &mut shell("cat /dev/zero >/dev/null & echo $!; wait"), &log("group")).unwrap();
        let path = service.log().to_path_buf();
        let read = move || fs::read_to_string(&path).unwrap_or_default().trim().parse::<i32>().ok();
        service.wait_until("a child", Duration::from_secs(10), || read().is_some()).unwrap();
        let grandchild = Pid::from_raw(read().unwrap());
        drop(service);
        let deadline = Instant::now() + Duration::from_secs(10);
        // An orphan stays a zombie until init reaps it; its state is what counts.
        let alive = || {
            let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        while alive() {
            assert!(Instant::now() < deadline, "the grandchild is still there");
            thread::yield_now();
        }
    }

    #[test]
    fn a_service_that_ends_early_is_reported_with_its_log() {
        let mut service = Service::spawn("broken", &mut shell("echo no such file; exit 7"), &log("early")).unwrap();
        let error = service.wait_until("port", Duration::from_secs(10), || false).unwrap_err().to_string();
        assert!(error.contains("broken ended (exit status: 7)"), "{error}");
        assert!(error.contains("no such file"), "{error}");
    }

    #[test]
    fn a_polite_service_is_stopped_by_term() {
        let mut service =
            Service::spawn("polite", &mut shell("trap 'exit 5' TERM; echo up; while :; do :; done"), &log("term"))
                .unwrap();
        let path = service.log().to_path_buf();
        service
            .wait_until("start", Duration::from_secs(10), || {
                fs::read_to_string(&path).is_ok_and(|text| text.contains("up"))
            })
            .unwrap();
        assert_eq!(service.stop().unwrap().code(), Some(5));
    }
}
