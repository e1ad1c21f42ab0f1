//! `cargo xtask demo` as a person runs it: the tour comes out right, and a signal leaves nothing running.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The demo may have to compile the plugin and the shop API first.
const LINE_WITHIN: Duration = Duration::from_secs(900);
const GONE_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn the_tour_is_right_and_ctrl_c_leaves_nothing_running() {
    let mut demo = Demo::start();
    let printed = demo.read_until("Ctrl-C stops everything.");
    assert!(printed.contains("rows are as they should be."), "{printed}");
    assert!(!printed.contains('\x1b'), "colours although nobody sees them: {printed}");
    demo.stop_by(Signal::SIGINT);
}

#[test]
fn a_termination_in_the_middle_of_the_tour_leaves_nothing_running() {
    let mut demo = Demo::start();
    demo.read_until("A hit");
    demo.stop_by(Signal::SIGTERM);
}

struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped());
        // The Envoy that this run of the tests is for.
        if let Some(envoy) = std::env::var_os("LARDER_ENVOY").filter(|path| !path.is_empty()) {
            command.env("ENVOY", envoy);
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn read_until(&mut self, part: &str) -> String {
        let mut printed = String::new();
        let deadline = Instant::now() + LINE_WITHIN;
        while !printed.contains(part) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => printed = printed + &line + "\n",
                Err(RecvTimeoutError::Timeout) => panic!("{part:?} was not printed in time:\n{printed}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the demo ended before {part:?}:\n{printed}"),
            }
        }
        printed
    }

    fn stop_by(mut self, signal: Signal) {
        let started = descendants(self.child.id());
        assert!(started.len() >= 2, "the API and Envoy should run: {started:?}");
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let deadline = Instant::now() + GONE_WITHIN;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the demo does not end at {signal}");
            thread::park_timeout(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(130), "{signal}");
        while let Some(left) = started.iter().find(|pid| is_running(**pid)) {
            assert!(Instant::now() < deadline, "process {left} outlives the demo");
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // After a failure; SIGTERM lets it take its children along.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

/// The processes started by `ancestor`, and by those.
fn descendants(ancestor: u32) -> Vec<u32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        found.extend(pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)));
    }
    found.split_off(1)
}

fn is_running(pid: u32) -> bool {
    // A zombie waits for whoever adopted it, and runs no more.
    Path::new(&format!("/proc/{pid}")).exists() && stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
