//! Redis servers that tests start: on free ports of the loopback, in folders of their own, ended with the test by their id.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A program that runs until the value goes.
pub struct Server {
    program: &'static str,
    args: Vec<String>,
    child: Mutex<Child>,
    pub port: u16,
    pub folder: TempDir,
}

/// A port that nobody listens at just now.
pub fn free_port() -> u16 {
    // From a range of its own: the system hands out the ephemeral ones to clients, and a restarted server must find its port
    // free again.
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 9_000).unwrap();
    for _ in 0..20_000 {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Asks again and again until the answer is something.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Whether a program is there; what a test needs is named where it is not.
fn program(name: &'static str) -> &'static str {
    let there = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(there.is_ok(), "{name} is not there: cargo xtask setup installs it");
    name
}

impl Server {
    /// A Redis without persistence, and what else it is told.
    pub fn redis(args: &[&str]) -> Self {
        let port = free_port();
        let folder = TempDir::new().unwrap();
        let mut all: Vec<String> =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "notice"]
                .map(str::to_owned)
                .to_vec();
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self::start("redis-server", all, port, folder)
    }

    /// Starts it; waits until it answers.
    pub fn start(program: &'static str, args: Vec<String>, port: u16, folder: TempDir) -> Self {
        let child = Mutex::new(spawn(program, &args, folder.path()));
        let server = Self { program, args, child, port, folder };
        server.wait_ready();
        server
    }

    fn wait_ready(&self) {
        until("the server answers", || {
            if let Some(status) = self.child().try_wait().unwrap() {
                panic!("{} {:?} ended: {status}\n{}", self.program, self.args, self.log());
            }
            // A server with a password or with TLS answers as well, in its way.
            let answer = self.try_cli(&["PING"]);
            (answer.contains("PONG") || answer.contains("NOAUTH") || answer.contains("error: Server closed"))
                .then_some(())
        });
    }

    /// What the server has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A command by redis-cli, and all it prints.
    pub fn try_cli(&self, args: &[&str]) -> String {
        let output =
            Command::new(program("redis-cli")).args(["-p", &self.port.to_string()]).args(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// A command that has to work.
    pub fn cli(&self, args: &[&str]) -> String {
        let answer = self.try_cli(args);
        assert!(!answer.contains("ERR") && !answer.contains("rror:"), "{args:?}: {answer}");
        answer
    }

    /// SIGKILL.
    pub fn kill(&self) {
        let mut child = self.child();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after [`Server::kill`], with the same port and folder.
    pub fn start_again(&self) {
        *self.child() = spawn(self.program, &self.args, self.folder.path());
        self.wait_ready();
    }

    /// SIGSTOP: it keeps its connections, takes new ones, and answers nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child().id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} at port {} wrote:\n{}", self.program, self.port, self.log());
        }
        let mut child = self.child();
        drop(child.kill());
        drop(child.wait());
    }
}

fn spawn(name: &'static str, args: &[String], folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(program(name));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// Three masters with a third of the slots each. Answers for the other slots go on when one of them is dead.
pub fn cluster() -> [Server; 3] {
    let nodes = [(), (), ()].map(|()| {
        let bus = free_port().to_string();
        let own = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "500"];
        Server::redis(&[&own[..], &["--cluster-require-full-coverage", "no"]].concat())
    });
    let mut create = Command::new(program("redis-cli"));
    create.args(["--cluster", "create"]);
    create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
    let output = create.args(["--cluster-yes"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for node in &nodes {
        until("all nodes know all slots", || {
            let info = node.cli(&["CLUSTER", "INFO"]);
            (info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")).then_some(())
        });
        until("all nodes know who has which", || {
            let owners = node.cli(&["CLUSTER", "NODES"]);
            (owners.matches("master").count() == 3 && owners.lines().all(|line| line.contains('-'))).then_some(())
        });
    }
    nodes
}

/// A replica of one of a cluster's masters, in step, and known to all.
pub fn replica(nodes: &[Server; 3], of: usize) -> Server {
    let bus = free_port().to_string();
    let own = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "500"];
    let quick = ["--repl-diskless-sync-delay", "0", "--cluster-require-full-coverage", "no"];
    let replica = Server::redis(&[&own[..], &quick].concat());
    replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &nodes[of].port.to_string(), &bus_of(&nodes[of])]);
    let master = nodes[of].cli(&["CLUSTER", "MYID"]);
    until("the replica knows its master", || {
        replica.try_cli(&["CLUSTER", "REPLICATE", &master]).eq("OK").then_some(())
    });
    until("the replica is in step", || replica.cli(&["INFO", "replication"]).contains("link_status:up").then_some(()));
    for node in nodes {
        until("everybody knows the replica", || {
            node.cli(&["CLUSTER", "NODES"]).contains(&format!("slave {master}")).then_some(())
        });
    }
    replica
}

/// The port that nodes of a cluster speak to one another at.
fn bus_of(node: &Server) -> String {
    let port = node.args.iter().skip_while(|arg| *arg != "--cluster-port").nth(1);
    port.cloned().expect("a node of a cluster")
}

/// A master, a replica that is in step, and three sentinels that fail over quickly.
pub struct Watched {
    pub master: Server,
    pub replica: Server,
    pub sentinels: Vec<Server>,
}

impl Watched {
    /// The name of the service.
    pub const SERVICE: &'static str = "main";

    pub fn start() -> Self {
        let quick = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
        let master = Server::redis(&quick);
        let of = format!("127.0.0.1 {}", master.port);
        let replica = Server::redis(&[&quick[..], &["--replicaof", &of]].concat());
        until("the replica is in step", || {
            replica.cli(&["INFO", "replication"]).contains("link_status:up").then_some(())
        });
        let sentinels: Vec<Server> = (0..3).map(|_| sentinel(master.port)).collect();
        for sentinel in &sentinels {
            until("the sentinels know the replica and one another", || {
                let known = sentinel.cli(&["SENTINEL", "MASTER", Self::SERVICE]);
                let value = |name: &str| known.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
                let all =
                    value("num-slaves").as_deref() == Some("1") && value("num-other-sentinels").as_deref() == Some("2");
                all.then_some(())
            });
        }
        Self { master, replica, sentinels }
    }

    /// The URL's part after the scheme.
    pub fn address(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("{}/{}", hosts.join(","), Self::SERVICE)
    }
}

fn sentinel(master: u16) -> Server {
    let port = free_port();
    let folder = TempDir::new().unwrap();
    let name = Watched::SERVICE;
    let config = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 2000\n"
    );
    std::fs::write(folder.path().join("sentinel.conf"), config).unwrap();
    let args = vec![folder.path().join("sentinel.conf").display().to_string(), "--sentinel".to_owned()];
    Server::start("redis-server", args, port, folder)
}
