//! Redis as a subject: one server, or a cluster of three.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_node::store::redis::VALUE_BYTES_MAX;
use larder_node::store::{Name, Store, open};

use super::Subject;
use crate::servers::{self, Server};

pub struct Redis {
    servers: Vec<Server>,
    url: String,
    timeout: Duration,
}

/// What the default is.
const CONNECT: Duration = Duration::from_millis(250);

impl Redis {
    /// For contracts that are about values: a busy machine must not make them late.
    pub fn patient() -> Self {
        let server = Server::redis(&[]);
        let url = format!("redis://127.0.0.1:{}?timeout=10s", server.port);
        Self { servers: vec![server], url, timeout: Duration::from_secs(10) }
    }

    /// With the time limits of the defaults.
    pub fn hurried() -> Self {
        let server = Server::redis(&[]);
        let url = format!("redis://127.0.0.1:{}", server.port);
        Self { servers: vec![server], url, timeout: Duration::from_millis(100) }
    }

    pub fn cluster() -> Self {
        let servers = servers::cluster();
        let url = format!("redis-cluster://127.0.0.1:{}?timeout=10s", servers[0].port);
        Self { servers: servers.into(), url, timeout: Duration::from_secs(10) }
    }

    /// A command that may go to any server of a cluster.
    fn command(&self, args: &[&str], input: &[u8]) {
        let mut command = Command::new("redis-cli");
        command.args(["-c", "-p", &self.servers[0].port.to_string()]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("redis-cli");
        child.stdin.take().expect("its input").write_all(input).expect("write");
        let output = child.wait_with_output().expect("its output");
        assert!(output.stdout.starts_with(b"OK"), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

fn key(name: &Name) -> String {
    format!("larder:{}", name.as_str())
}

#[async_trait]
impl Subject for Redis {
    async fn open(&self) -> Arc<dyn Store> {
        open(&self.url).await.expect("a store")
    }

    fn time_limit(&self) -> Duration {
        CONNECT + self.timeout
    }

    fn value_bytes_max(&self) -> u64 {
        VALUE_BYTES_MAX as u64
    }

    async fn plant(&self, name: &Name, foreign: &[u8]) {
        self.command(&["-x", "SET", &key(name)], foreign);
    }

    async fn truncate(&self, name: &Name, bytes: usize) {
        let cut = "return redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, tonumber(ARGV[1])))";
        self.command(&["EVAL", cut, "1", &key(name), &bytes.to_string()], b"");
    }

    fn kill(&self) {
        self.servers.iter().for_each(Server::kill);
    }

    async fn restart(&self) {
        self.servers.iter().for_each(Server::start_again);
    }

    fn halt(&self) {
        self.servers.iter().for_each(Server::freeze);
    }

    fn resume(&self) {
        self.servers.iter().for_each(Server::thaw);
    }
}
