//! What the contracts are run against: a store, and the power over what is behind it (its clock, its processes, its bytes).
//!
//! A subject is made anew for every contract, so contracts cannot disturb one another; what is dear to start (a cluster) may be
//! shared behind it. Which contracts apply is said by the macro a subject is listed under in `main.rs`, not by the contracts.

#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "memcached")]
pub mod memcached;
pub mod memory;
pub mod process;
#[cfg(feature = "redis")]
pub mod redis;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use larder_node::store::{Name, Store};

/// A store under test. Methods that a subject's macro does not need may be left as they are.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// The store, connected. Several calls give several clients of the same contents; the first may be the only one for a store
    /// within the process (then it is handed out again).
    async fn open(&self) -> Arc<dyn Store>;

    /// The longest any operation on a small value may take, dead or slow server or not.
    fn time_limit(&self) -> Duration;

    /// The largest value it takes.
    fn value_bytes_max(&self) -> u64;

    /// Lets at least so much time go by for stored values: at once on a simulated clock, else by waiting.
    async fn pass(&self, time: Duration) {
        elapse(time).await;
    }

    /// Puts bytes that no Larder wrote where the name's value is kept.
    async fn plant(&self, _name: &Name, _foreign: &[u8]) {
        panic!("this subject cannot plant foreign bytes");
    }

    /// Cuts off the end of what is kept for a name, leaving `bytes` of it.
    async fn truncate(&self, _name: &Name, _bytes: usize) {
        panic!("this subject cannot truncate a value");
    }

    /// Kills the server (SIGKILL).
    fn kill(&self) {
        panic!("this subject has no server to kill");
    }

    /// Starts it again where it was, empty or not, and returns when it accepts connections.
    async fn restart(&self) {
        panic!("this subject has no server to restart");
    }

    /// Halts the server (SIGSTOP): connections stay, nothing answers.
    fn halt(&self) {
        panic!("this subject has no server to halt");
    }

    /// Lets it go on (SIGCONT).
    fn resume(&self) {
        panic!("this subject has no server to resume");
    }
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

/// How long tests keep.
pub const HOUR: Duration = Duration::from_secs(3600);

/// How long a condition may take to come true, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that are different at every place and for every seed, all values among them.
pub fn bytes(seed: u64, length: usize) -> bytes::Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Asks again and again until the answer is yes. Fails the test when it never is.
pub async fn eventually<F, A>(what: &str, mut ask: F)
where
    F: FnMut() -> A,
    A: Future<Output = bool>,
{
    let deadline = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        elapse(Duration::from_millis(5)).await;
    }
}

/// Runs an operation and holds it against the time limit; a little is added for a busy machine.
pub async fn in_time<T>(subject: &dyn Subject, operation: impl Future<Output = T>) -> T {
    let limit = subject.time_limit() + Duration::from_millis(400);
    tokio::time::timeout(limit, operation).await.unwrap_or_else(|_| panic!("no answer within {limit:?}"))
}

/// Real time going by, for what keeps time itself.
async fn elapse(time: Duration) {
    let end = tokio::time::Instant::now() + time;
    let _ = tokio::time::timeout_at(end, std::future::pending::<()>()).await;
}
