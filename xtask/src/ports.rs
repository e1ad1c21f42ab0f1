//! Free loopback ports for the servers that demo and bench start. No port is ever fixed in the code.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A TCP port of 127.0.0.1 that nobody listens on, never the same one twice in a run.
///
/// The port is free when this returns, not reserved: start the server at once, and let a failed bind be an error.
pub fn free() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind a port of 127.0.0.1")?;
        let port = listener.local_addr().context("a listener without an address")?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
}

/// The same for a server that will be started again where it was: from outside of the range that the system gives to clients, so that none
/// of them takes the port meanwhile.
pub fn lasting() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 9_000).unwrap_or(0);
    for _ in 0..10_000 {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port of 127.0.0.1 between 20000 and 29999")
}

/// Whether something on 127.0.0.1 accepts TCP connections at `port`.
pub fn answers(port: u16) -> bool {
    use std::net::{SocketAddr, TcpStream};
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_never_given_twice() {
        let ports: Vec<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 50);
    }

    #[test]
    fn a_port_answers_while_somebody_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers(port));
        drop(listener);
        assert!(!answers(port));
    }
}
