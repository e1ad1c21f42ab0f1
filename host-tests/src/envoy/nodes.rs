//! Nodes of the cluster as processes of their own, so that they can be killed and halted.
//!
//! The process is the test's own program, begun anew with a variable that makes it a node: see [`be_a_node_if_asked`].

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use larder_core::cluster::message::{Message, Purge, PurgeAnswer};
use larder_core::purge::{Mode, Position, Scope};
use larder_node::tokens::{Scope as TokenScope, Tokens, new_token};
use larder_node::{Config, Node};

use super::client::Client;
use super::wait::until;

const ASKED: &str = "LARDER_TEST_NODE";
/// Where such a node keeps things, and its log: in memory, where this is not set.
const LOGGED_IN: &str = "LARDER_TEST_NODE_LOGGED_IN";
const KEPT_IN: &str = "LARDER_TEST_NODE_STORE";
/// A token for purging that such a node knows.
const TOKEN: &str = "LARDER_TEST_NODE_TOKEN";
/// Has such a node an admin plane?
const ADMIN: &str = "LARDER_TEST_NODE_ADMIN";
/// The name of the test that every program with nodes has: it is what the new process runs.
const TEST: &str = "a_node_in_a_process_of_its_own";

/// A node in a process.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    port: u16,
    admin: u16,
}

/// The body of the test [`TEST`]: a node, should this process have been begun for that.
///
/// # Panics
/// If the node cannot start.
pub fn be_a_node_if_asked() {
    let Ok(port) = std::env::var(ASKED) else { return };
    let port: u16 = port.parse().expect("a port");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let data = SocketAddr::from(([127, 0, 0, 1], port));
        let mut config = Config { data, admin: None, ..Config::in_memory().expect("a configuration") };
        if let Ok(listed) = std::env::var(TOKEN) {
            let listed = serde_json::from_str(&listed).expect("a line of a token file");
            config.tokens = Some(Tokens::new(&[listed]).expect("a token"));
        }
        config.admin = std::env::var(ADMIN).is_ok().then_some(SocketAddr::from(([127, 0, 0, 1], 0)));
        if let Ok(url) = std::env::var(KEPT_IN) {
            config.store = larder_node::store::open(&url).await.expect("a store");
            config.log = larder_node::log::open(&url).await.expect("a log");
        }
        if let Ok(url) = std::env::var(LOGGED_IN) {
            config.log = larder_node::log::open(&url).await.expect("a log");
        }
        let node = Node::start(config).await.expect("a node");
        println!("\nlistens on {} {}", node.data.port(), node.admin.map_or(0, |admin| admin.port()));
        std::future::pending::<()>().await;
    });
}

impl NodeProcess {
    /// Starts a node in memory on a free port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts a node in memory on this port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_on(port: u16) -> Self {
        Self::launch(port, &[])
    }

    /// Starts a node that keeps everything behind this URL, on a free port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with(store: &str) -> Self {
        Self::launch(0, &[(KEPT_IN, store)])
    }

    /// Starts a node with a store of its own in memory, whose purges are kept behind this URL.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with_log(log: &str) -> Self {
        Self::launch(0, &[(LOGGED_IN, log)])
    }

    /// Starts a node in memory that knows a token for purging, and says which.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with_token() -> (Self, String) {
        let (token, listed) = new_token("test", &[TokenScope::Purge]).expect("a token");
        let listed = serde_json::to_string(&listed).expect("a line of a token file");
        (Self::launch(0, &[(TOKEN, &listed)]), token)
    }

    /// Starts a node in memory with an admin plane, which asks for no token.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with_admin() -> Self {
        Self::launch(0, &[(ADMIN, "yes")])
    }

    fn launch(port: u16, variables: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", TEST, "--nocapture"])
            .env(ASKED, port.to_string())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program once more");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let said = out.lines().map_while(Result::ok).find_map(|line| {
            let (port, admin) = line.strip_prefix("listens on ")?.split_once(' ')?;
            Some((port.parse().ok()?, admin.parse().ok()?))
        });
        let (port, admin) = said.expect("it says where it listens");
        Self { child, port, admin }
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where its admin plane listens; 0 where it has none.
    pub const fn admin_port(&self) -> u16 {
        self.admin
    }

    /// Its endpoint in the words of Envoy's configuration.
    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Halts it: connections stay, nothing answers.
    pub fn halt(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill can be run");
        assert!(status.success(), "kill -{name} {pid}");
    }

    /// Purges, as a worker would. Returns when it is in the log.
    ///
    /// # Panics
    /// If it is not.
    pub fn purge(&self, scope: Scope, mode: Mode) -> Position {
        let message = Purge { who: "test".into(), token: None, purges: vec![(scope, mode)] };
        let mut client = Client::connect(self.port).expect("the node listens");
        let got = client.call("POST", Purge::PATH, &[], &message.encode()).expect("the node answers");
        match PurgeAnswer::decode(got.body.into()) {
            Some(PurgeAnswer::Done(position)) => position,
            other => panic!("not purged: {other:?}"),
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Redis of the tests' own, empty and in memory.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|held| held.local_addr()).expect("a free port").port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server can be run");
        until("Redis to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An endpoint of this machine in the words of Envoy's configuration.
pub fn endpoint(port: u16) -> String {
    format!("{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }}")
}
