//! What may stand between an invalidator and a node: it says what a script says, or loses answers, and passes everything on after that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Ends with the value.
pub struct Front {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Front {
    /// Answers a connection each with these words, and closes it.
    pub async fn new(node: SocketAddr, script: &[&str]) -> Self {
        let script: Vec<String> = script.iter().map(|text| (*text).to_owned()).collect();
        Self::start(node, script, 0).await
    }

    /// Lets so many requests through to the node and none of its answers back.
    pub async fn losing_answers(node: SocketAddr, times: usize) -> Self {
        Self::start(node, Vec::new(), times).await
    }

    async fn start(node: SocketAddr, script: Vec<String>, mut losses: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let answered = Arc::new(AtomicUsize::new(0));
        let count = answered.clone();
        let task = tokio::spawn(async move {
            let mut script = script.into_iter();
            while let Ok((mut client, _)) = listener.accept().await {
                if let Some(text) = script.next() {
                    read_request(&mut client).await;
                    let _ = client.write_all(text.as_bytes()).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let mut upstream = TcpStream::connect(node).await.expect("a node");
                if losses > 0 {
                    losses -= 1;
                    let request = read_request(&mut client).await;
                    upstream.write_all(&request).await.expect("sent");
                    // It has answered, so it has done it.
                    upstream.readable().await.expect("an answer");
                    continue;
                }
                tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut client, &mut upstream).await;
                });
            }
        });
        Self { address, answered, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(client: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        client.read_buf(&mut request).await.expect("a request");
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse().expect("a length") {
            return request;
        }
    }
}
