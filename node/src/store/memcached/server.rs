//! One server: its connections and whether it is worth asking.
//!
//! Every request ends within the time limits. A server that could not be reached, or was late several times in a row, is left alone for
//! a while (longer each time), and requests fail at once; then one request tries whether it is back. A connection that has stood
//! idle may be dead without our knowing, so a failure on one is tried again on a new connection: all commands may be repeated.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::KIND;
use super::connection::{Answer, Connection, Request};
use super::form::ITEM_BYTES_MAX;
use crate::store::StoreError;

/// Late so many times in a row, it counts as gone. (Once may be chance.)
const LATE_MAX: u32 = 3;

/// It is left alone for so long at first, and twice as long each time, up to the second.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time limits and how many connections at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connect: Duration,
    pub operation: Duration,
    pub connections: usize,
}

pub struct Server {
    /// As in the URL: host and port.
    address: String,
    limits: Limits,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    /// Not to be asked before then.
    paused_until: Option<Instant>,
}

impl Server {
    pub fn new(address: String, limits: Limits) -> Self {
        let turns = Semaphore::new(limits.connections);
        Self { address, limits, idle: Mutex::default(), turns, health: Mutex::default() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks, with a time limit for each million bytes that are moved.
    pub async fn ask(&self, request: &Request<'_>, megabytes: u32) -> Result<Answer, StoreError> {
        self.is_worth_asking()?;
        let asked =
            timeout(self.limits.operation * megabytes.max(1) + self.limits.connect, self.try_ask(request, megabytes));
        match asked.await.unwrap_or(Err(Fault::Late)) {
            Ok(answer) => {
                *self.health() = Health::default();
                match answer {
                    Answer::Refused(why) => Err(StoreError::Refused { store: KIND, why: self.named(&why) }),
                    answer => Ok(answer),
                }
            }
            Err(Fault::Late) => {
                self.failed(LATE_MAX);
                Err(StoreError::TimedOut { store: KIND })
            }
            Err(Fault::Broken(error)) => {
                self.failed(1);
                Err(StoreError::Unreachable { store: KIND, why: self.named(&error) })
            }
        }
    }

    /// Closes what is not in use.
    pub fn close(&self) {
        self.idle().clear();
    }

    async fn try_ask(&self, request: &Request<'_>, megabytes: u32) -> Result<Answer, Fault> {
        let limit = self.limits.operation * megabytes.max(1);
        let turn = timeout(limit, self.turns.acquire()).await.map_err(|_| Fault::Late)?;
        let _turn = turn.map_err(|_| Fault::Broken(io::ErrorKind::NotConnected.into()))?;
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            match timeout(limit, connection.ask(request)).await.map_err(|_| Fault::Late)? {
                Ok(answer) => return Ok(self.answered(connection, answer)),
                // Whatever killed this one has killed the others.
                Err(_) => self.idle().clear(),
            }
        }
        let opened = timeout(self.limits.connect, Connection::open(&self.address, ITEM_BYTES_MAX)).await;
        let mut connection = opened.map_err(|_| Fault::Late)??;
        let answer = timeout(limit, connection.ask(request)).await.map_err(|_| Fault::Late)??;
        Ok(self.answered(connection, answer))
    }

    fn answered(&self, connection: Connection, answer: Answer) -> Answer {
        self.idle().push(connection);
        answer
    }

    fn is_worth_asking(&self) -> Result<(), StoreError> {
        let mut health = self.health();
        let now = Instant::now();
        match health.paused_until {
            Some(until) if now < until => {
                let why = self.named(&"left alone for a while, since it did not answer");
                Err(StoreError::Unreachable { store: KIND, why })
            }
            Some(_) => {
                // This request finds out; nobody else is to wait with it.
                health.paused_until = Some(now + self.limits.connect + self.limits.operation);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn failed(&self, times_allowed: u32) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        if health.failures >= times_allowed {
            let doublings = (health.failures - times_allowed).min(8);
            health.paused_until = Some(Instant::now() + (PAUSE * (1 << doublings)).min(PAUSE_MAX));
        }
        drop(health);
        // Connections made before it failed are not to be trusted.
        self.idle().clear();
    }

    fn named(&self, why: &dyn std::fmt::Display) -> String {
        format!("{}: {why}", self.address)
    }

    // Locked for a few instructions only, and whole between any two.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fault {
    Late,
    Broken(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}
