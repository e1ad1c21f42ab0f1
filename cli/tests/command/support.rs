//! A node in a process of its own, a worker that asks it, and the command.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use larder_core::cluster::message::Message;
use serde_json::Value;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The command.
pub fn larder(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).env_remove("LARDER_TOKEN").env_remove("LARDER_NODE");
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    larder(arguments).output().expect("the command runs")
}

/// Runs it with something on standard input.
pub fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut command = larder(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("standard input").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A running node. Killed when dropped.
pub struct Running {
    child: Child,
    pub data: String,
    pub admin: String,
    pub said: Value,
}

impl Running {
    /// Starts `larder node` on free ports.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = larder(&["node", "--listen", "127.0.0.1:0", "--json"]);
        if !arguments.contains(&"--admin") {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("standard output")).read_line(&mut line).expect("a line");
        if line.is_empty() {
            panic!("the node did not start: {}", stderr(&child.wait_with_output().expect("it ended")));
        }
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let of = |plane: &str| said[plane].as_str().expect("an address").replace("0.0.0.0", "127.0.0.1");
        Self { child, data: of("data"), admin: format!("http://{}", of("admin")), said }
    }

    /// Ends it as nobody can prepare for.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to end; what it said on standard error meanwhile.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        };
        let mut said = String::new();
        let errors = self.child.stderr.take().expect("standard error");
        std::io::Read::read_to_string(&mut BufReader::new(errors), &mut said).expect("text");
        (status.code(), said)
    }

    /// Sends a message as a worker does.
    pub fn ask<Q: Message, A: Message>(&self, path: &str, message: &Q) -> A {
        let url = format!("http://{}{path}", self.data);
        let mut answer = ureq::post(url).send(message.encode()).expect("an answer");
        A::decode(answer.body_mut().read_to_vec().expect("a body").into()).expect("a message")
    }

    /// Runs the command on this node.
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(&[arguments, &["--node", &self.admin]].concat())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
