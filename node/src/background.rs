//! A node on threads of its own, for who has no tokio runtime: tests of other crates, mostly.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::running::{Config, Node, StartError};
use crate::store::StoreError;

/// How long tasks that cannot be ended where they stand (work on a disk) are waited for.
const END: Duration = Duration::from_secs(5);

/// A node that runs on threads of its own. Dropped without [`Background::stop`], it ends at once, as if killed.
#[derive(Debug)]
pub struct Background {
    /// Where workers ask.
    pub data: SocketAddr,
    /// Where operators ask.
    pub admin: Option<SocketAddr>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Background {
    /// Starts a node. When this returns, it listens.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("larder-node")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (started, listens) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("larder-node".to_owned()).spawn(move || {
            let done = runtime.block_on(async move {
                let node = match Node::start(config).await {
                    Ok(node) => node,
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = started.send(Ok((node.data, node.admin)));
                // Asked to end, or whoever could ask is gone.
                match ended.await {
                    Ok(()) => node.stop().await,
                    Err(_) => Ok(()),
                }
            });
            // Tasks end where they stand, and their sockets with them.
            runtime.shutdown_timeout(END);
            done
        });
        let thread = Some(thread.map_err(StartError::Thread)?);
        let gone = |_| StartError::Thread(std::io::Error::other("it ended before it listened"));
        let (data, admin) = listens.recv().map_err(gone)??;
        Ok(Self { data, admin, end: Some(end), thread })
    }

    /// Stops it in good order. Says what was not written.
    pub fn stop(mut self) -> Result<(), StoreError> {
        let _ = self.end.take().map(|end| end.send(()));
        // A thread that panicked has stopped.
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_until_it_is_stopped_or_dropped() {
        let config = || Config::in_memory().expect("a configuration");
        let node = Background::start(config()).expect("a node");
        let (data, admin) = (node.data, node.admin.expect("an admin plane"));
        std::net::TcpStream::connect(data).expect("it listens");
        node.stop().expect("stopped");
        std::net::TcpStream::connect(admin).expect_err("nobody listens");
        let node = Background::start(config()).expect("a node");
        let data = node.data;
        drop(node);
        std::net::TcpStream::connect(data).expect_err("nobody listens");
        let node = Background::start(config()).expect("a node");
        let taken = Config { data: node.data, ..config() };
        assert!(matches!(Background::start(taken), Err(StartError::Listen { .. })));
    }
}
