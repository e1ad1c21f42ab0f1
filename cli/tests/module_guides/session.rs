//! A reader's shell: one bash for a whole guide, so that variables and background processes are there for later commands.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::fences::Command;
use super::place::{Place, module};
use super::wildcard::matches;

/// No command of a guide takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Session<'a> {
    place: &'a Place,
    shell: Child,
    input: ChildStdin,
    /// The exit codes of commands, by bash's own standard output.
    codes: Receiver<String>,
    commands: usize,
}

impl<'a> Session<'a> {
    pub fn start(place: &'a Place) -> Self {
        let programs = place.path("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Process::new("bash");
        shell
            .args(["--norc", "--noprofile"])
            .current_dir(place.path("work"))
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", place.path("work"))
            .env("TMPDIR", place.path("logs"))
            .env("LARDER_WASM", module())
            .env("NO_COLOR", "1")
            .env_remove("LARDER_NODE")
            .env_remove("LARDER_TOKEN")
            // A group of its own, which ends as a whole.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (name, address) in &place.addresses {
            shell.env(name, address);
        }
        let mut shell = shell.spawn().expect("bash runs");
        let output = shell.stdout.take().expect("standard output");
        let (sender, codes) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = shell.stdin.take().expect("standard input");
        Self { place, shell, input, codes, commands: 0 }
    }

    /// Runs a command to its end, or until it listens where it is told to, and looks at what it said.
    pub fn run(&mut self, command: &Command) -> Result<(), String> {
        self.commands += 1;
        let log = self.place.path("logs").join(self.commands.to_string());
        let text = &command.text;
        let line = format!("{{ {text}\n}} > '{}' 2>&1 < /dev/null; echo $?\n", log.display());
        self.input.write_all(line.as_bytes()).and_then(|()| self.input.flush()).expect("bash listens");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let code = match self.codes.recv_timeout(PATIENCE) {
            Ok(code) => code,
            Err(RecvTimeoutError::Timeout) => return Err(format!("`{text}` does not end; it said\n{}", said())),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("`{text}` ended the shell; it said\n{}", said()));
            }
        };
        if code != "0" {
            return Err(format!("`{text}` ends with {code}; it said\n{}", said()));
        }
        if text.ends_with('&') {
            for address in self.listens_on(text) {
                wait_for(address).map_err(|error| format!("`{text}`: {error}; it said\n{}", said()))?;
            }
        }
        match &command.output {
            Some(shown) if !matches(shown, &said()) => {
                Err(format!("`{text}` does not say what the guide shows\n--- shown\n{shown}--- said\n{}", said()))
            }
            _ => Ok(()),
        }
    }

    /// The addresses after `--listen` and `--admin`.
    fn listens_on(&self, text: &str) -> Vec<&str> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let named = words.windows(2).filter(|pair| matches!(pair[0], "--listen" | "--admin")).map(|pair| pair[1]);
        let address = |word: &str| self.place.addresses.iter().find(|(name, _)| word == format!("${name}"));
        named.filter_map(address).map(|(_, address)| address.as_str()).collect()
    }
}

/// Every process that the guide began ends with it.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Process::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.shell.wait();
    }
}

fn wait_for(address: &str) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return Err(format!("nobody listens on {address}"));
        }
        std::thread::yield_now();
    }
    Ok(())
}
