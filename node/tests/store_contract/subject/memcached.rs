//! Memcached as a subject, on real servers.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_node::clock::SystemClock;
use larder_node::store::memcached::{MemcachedOptions, MemcachedStore};
use larder_node::store::{Name, Store};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Subject;
use super::process::Server;
use crate::servers::free_port;

pub struct Memcached {
    pub servers: Vec<Server>,
    options: MemcachedOptions,
}

impl Memcached {
    /// So many servers, with a time limit that a busy machine does not reach by itself.
    pub async fn start(servers: usize) -> Self {
        let mut started = Vec::new();
        for _ in 0..servers {
            let port = free_port();
            started.push(Server::start(port, move || command(port)).await);
        }
        let second = Duration::from_secs(1);
        let options = MemcachedOptions { connect: second, timeout: second, ..MemcachedOptions::default() };
        Self { servers: started, options }
    }

    /// For contracts that are about values: a busy machine must not make them late.
    pub async fn patient() -> Self {
        let options = MemcachedOptions { timeout: Duration::from_secs(10), ..MemcachedOptions::default() };
        Self { options, ..Self::start(2).await }
    }

    pub fn store(&self) -> MemcachedStore {
        let addresses: Vec<String> = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        MemcachedStore::new(&addresses, &self.options, SystemClock)
    }

    /// The server a name is on.
    pub fn server_of(&self, name: &Name) -> &Server {
        let store = self.store();
        let address = store.server_of(name).expect("a server");
        self.servers.iter().find(|server| address.ends_with(&format!(":{}", server.port))).expect("one of ours")
    }
}

fn command(port: u16) -> Command {
    let mut command = Command::new("memcached");
    command.args(["-U", "0", "-l", "127.0.0.1", "-m", "256", "-u", "root", "-p"]).arg(port.to_string());
    command
}

#[async_trait]
impl Subject for Memcached {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store())
    }

    fn time_limit(&self) -> Duration {
        self.options.connect + self.options.timeout
    }

    fn value_bytes_max(&self) -> u64 {
        self.store().value_bytes_max()
    }

    async fn plant(&self, name: &Name, foreign: &[u8]) {
        set(self.server_of(name), name.as_str(), foreign).await;
    }

    async fn truncate(&self, name: &Name, bytes: usize) {
        let item = item(self.server_of(name), name.as_str()).await;
        self.plant(name, &item[..bytes]).await;
    }

    fn kill(&self) {
        self.servers.iter().for_each(Server::kill);
    }

    async fn restart(&self) {
        for server in &self.servers {
            server.restart().await;
        }
    }

    fn halt(&self) {
        self.servers.iter().for_each(Server::halt);
    }

    fn resume(&self) {
        self.servers.iter().for_each(Server::resume);
    }
}

/// What is kept under a key, as it is.
pub async fn item(server: &Server, key: &str) -> Vec<u8> {
    let mut talk = talk(server).await;
    talk.write_all(format!("get {key}\r\n").as_bytes()).await.expect("write");
    let head = line(&mut talk).await;
    let length = head.trim_end().rsplit(' ').next().and_then(|length| length.parse().ok()).expect("a length");
    let mut item = vec![0; length];
    talk.read_exact(&mut item).await.expect("the item");
    item
}

/// Puts bytes under a key, as they are.
pub async fn set(server: &Server, key: &str, bytes: &[u8]) {
    let mut talk = talk(server).await;
    talk.write_all(format!("set {key} 0 0 {}\r\n", bytes.len()).as_bytes()).await.expect("write");
    talk.write_all(bytes).await.expect("write");
    talk.write_all(b"\r\n").await.expect("write");
    assert_eq!(line(&mut talk).await, "STORED\r\n");
}

/// All keys there are.
pub async fn keys(server: &Server) -> Vec<String> {
    let mut talk = talk(server).await;
    talk.write_all(b"lru_crawler metadump all\r\n").await.expect("write");
    let mut keys = Vec::new();
    loop {
        let line = line(&mut talk).await;
        // key=one~0123.0 exp=… in percent encoding.
        match line.split(' ').next().and_then(|word| word.strip_prefix("key=")) {
            Some(key) => keys.push(key.replace("%7E", "~")),
            None => return keys,
        }
    }
}

async fn talk(server: &Server) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(("127.0.0.1", server.port)).await.expect("connect"))
}

async fn line(talk: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    talk.read_line(&mut line).await.expect("a line");
    line
}
