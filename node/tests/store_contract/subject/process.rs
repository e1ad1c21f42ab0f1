//! A server's process: started on a free port of the loopback, killed by its id, gone with the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::net::TcpStream;

use super::eventually;

/// A server and how it is started.
pub struct Server {
    pub port: u16,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts a server and returns when it accepts connections.
    pub async fn start(port: u16, command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        let server = Self { port, command: Box::new(command), child: Mutex::new(None) };
        server.restart().await;
        server
    }

    pub async fn restart(&self) {
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error} (cargo xtask setup installs it)"));
        let before = self.child().replace(child);
        assert!(before.is_none(), "it was not killed");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        eventually(&format!("{command:?} accepts connections"), || async {
            let exited = self.child().as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(exited.is_none(), "{:?} ended: {exited:?}", (self.command)());
            TcpStream::connect(address).await.is_ok()
        })
        .await;
    }

    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    /// Returns when it has stopped: the signal alone leaves a server's other threads time for another answer.
    pub fn halt(&self) {
        let id = self.signal(Signal::SIGSTOP);
        let status = waitpid(id, Some(WaitPidFlag::WUNTRACED)).expect("wait");
        assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}");
    }

    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) -> Pid {
        let child = self.child();
        let id = Pid::from_raw(child.as_ref().expect("it runs").id().try_into().expect("an id"));
        kill(id, signal).expect("signal");
        id
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
