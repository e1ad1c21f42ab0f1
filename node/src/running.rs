//! Starting a node, and stopping it in good order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::admin;
use crate::analytics::{self, Analytics, Targets};
use crate::clock::{Clock, SystemClock};
use crate::counts::Counts;
use crate::data;
use crate::desk::Desk;
use crate::following::Following;
use crate::limits::Limits;
use crate::log::{KEEP_DEFAULT, Log, LogId, MemoryLog};
use crate::policies::current::Current;
use crate::policies::{MemoryPolicies, PolicyStore};
use crate::purging::Purging;
use crate::shared::{Budget, Shared};
use crate::store::Store;
use crate::store::memory::{BYTES_DEFAULT, MemoryStore};
use crate::tokens::Tokens;
use crate::warming::{self, Schedule};
use crate::workers::Workers;

/// How long a node that starts waits for its log.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// What a node is made of.
#[derive(Clone)]
pub struct Config {
    /// Where workers ask. Port 0 takes any.
    pub data: SocketAddr,
    /// Where operators ask; nowhere, where there is none.
    pub admin: Option<SocketAddr>,
    /// Where entries are kept.
    pub store: Arc<dyn Store>,
    /// The purge log.
    pub log: Arc<dyn Log>,
    /// Where pushed policies are kept.
    pub policies: Arc<dyn PolicyStore>,
    /// Who may ask the admin plane. Without, it listens on loopback only.
    pub tokens: Option<Tokens>,
    /// The folder that keeps analytics over a restart; without, they are in memory only.
    pub analytics: Option<PathBuf>,
    /// Which hit ratios are aimed at.
    pub targets: Targets,
    /// What is warmed; nothing, where there is none.
    pub warming: Option<Schedule>,
    /// What is not gone beyond.
    pub limits: Limits,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The admin plane would be open to others.
    #[error(
        "the admin plane does not listen on {address} without tokens: give a token file (`larder node token` makes a line for \
         it), or listen on loopback"
    )]
    Open {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The purge log does not answer.
    #[error("the purge log cannot be read: {0}")]
    Log(#[from] crate::log::LogError),
    /// The purge log does not answer in time.
    #[error("the purge log did not answer within {} s", LOG_TIMEOUT.as_secs())]
    LogTimedOut,
    /// The folder for analytics cannot be used.
    #[error(transparent)]
    Analytics(#[from] analytics::OpenError),
    /// No randomness.
    #[error("no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// No thread or runtime.
    #[error("no thread for the node: {0}")]
    Thread(std::io::Error),
}

impl Config {
    /// A node in memory, on free ports of loopback.
    pub fn in_memory() -> Result<Self, StartError> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self {
            data: any,
            admin: Some(any),
            store: Arc::new(MemoryStore::new(BYTES_DEFAULT, SystemClock)),
            log: Arc::new(MemoryLog::new(LogId::random()?, KEEP_DEFAULT)),
            policies: Arc::new(MemoryPolicies::default()),
            tokens: None,
            analytics: None,
            targets: Targets::default(),
            warming: None,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        })
    }
}

/// A node.
#[derive(Debug)]
pub struct Node;

/// A node that runs. Dropped without [`Running::stop`], it ends at once, as if killed.
#[derive(Debug)]
pub struct Running {
    /// Where workers ask.
    pub data: SocketAddr,
    /// Where operators ask.
    pub admin: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    planes: Vec<JoinHandle<()>>,
    followers: [JoinHandle<()>; 2],
    end: End,
}

/// What is closed at the end.
struct End {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("End")
    }
}

impl Node {
    /// Starts a node on the current tokio runtime. When this returns, both planes listen, and the purge log was taken up.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let Config { data, admin, store, log, policies, tokens, analytics, targets, warming, limits, clock } = config;
        if let Some(address) = admin
            && tokens.is_none()
            && !address.ip().is_loopback()
        {
            return Err(StartError::Open { address });
        }
        let analytics = opened(analytics, &limits).await?;
        let parts = Parts::new(store, log, limits, clock.clone()).await?;
        let policies = Current::new(policies, clock, targets);
        let listener = listen(data).await?;
        let admin = match admin {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let data = address(&listener)?;
        let admin_address = admin.as_ref().map(address).transpose()?;
        let (stop, stopping) = watch::channel(false);
        let mut shared = parts.shared(data.to_string(), policies, tokens, stopping);
        shared.analytics = Some(analytics);
        if let Some(analytics) = shared.analytics.as_ref().filter(|_| shared.following.log().board().is_some()) {
            analytics.share_as(&shared.name, getrandom::u64()?);
        }
        // What was pushed before a restart is told to workers from their first poll. A store that does not answer is followed until it does.
        if let Err(error) = shared.look_at_policies().await {
            tracing::warn!(%error, "pushed policies are not known yet");
        }
        let pushed = || shared.policies.in_force();
        shared.warming = warming.map(|schedule| Arc::new(warming::schedule::State::new(schedule, pushed())));
        let shared = Arc::new(shared);
        let following = shared.following.clone();
        let mut planes = vec![tokio::spawn(data::serve(listener, shared.clone()))];
        planes.extend(admin.map(|listener| tokio::spawn(admin::serve(listener, shared.clone()))));
        let sampled = shared.clone();
        let purged = sampled.analytics.as_ref().map(|analytics| analytics::sampling::begin(&sampled, analytics));
        planes.push(tokio::spawn(async move {
            if let Some((analytics, purged)) = sampled.analytics.as_ref().zip(purged) {
                let sample = analytics::sampling::sample(&sampled, analytics, purged);
                tokio::join!(sample, analytics::sharing::share(&sampled, analytics));
            }
        }));
        if let Some(warming) = shared.warming.clone() {
            planes.push(tokio::spawn(warming::schedule::keep(shared.clone(), warming)));
        }
        let policies = shared.clone();
        let followers = [
            tokio::spawn(async move { following.follow().await }),
            tokio::spawn(async move { policies.follow_policies().await }),
        ];
        Ok(Running { data, admin: admin_address, stop, planes, followers, end: End { shared } })
    }
}

/// What every node has, listening or not: a log that was heard, and a desk.
pub(crate) struct Parts {
    following: Arc<Following>,
    desk: Desk,
    counts: Arc<Counts>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Parts {
    pub(crate) async fn new(
        store: Arc<dyn Store>,
        log: Arc<dyn Log>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let following = Arc::new(Following::new(log, limits.purges_max as usize));
        tokio::time::timeout(LOG_TIMEOUT, following.head()).await.map_err(|_| StartError::LogTimedOut)??;
        let counts = Arc::new(Counts::default());
        let first_lease = getrandom::u64()?;
        let desk = Desk::new(store, following.clone(), clock.clone(), counts.clone(), limits.clone(), first_lease);
        Ok(Self { following, desk, counts, limits, clock })
    }

    pub(crate) fn shared(
        self,
        name: String,
        policies: Current,
        tokens: Option<Tokens>,
        stopping: watch::Receiver<bool>,
    ) -> Shared {
        let Self { following, desk, counts, limits, clock } = self;
        Shared {
            name,
            desk,
            purging: Purging::new(following.clone(), clock.clone(), counts.clone()),
            following,
            workers: Workers::new(limits.workers_max as usize, limits.series_max as usize),
            counts,
            analytics: None,
            policies,
            warming: None,
            tokens,
            clock,
            stopping,
            requests: Semaphore::new(limits.requests_max as usize),
            polls: Semaphore::new(limits.polls_max as usize),
            bodies: Budget::new(u64::from(limits.bodies_bytes_max)),
            limits,
        }
    }
}

async fn opened(folder: Option<PathBuf>, limits: &Limits) -> Result<Analytics, StartError> {
    let (series_max, bytes_max) = (limits.series_max as usize, u64::from(limits.analytics_bytes_max));
    let open = move || Analytics::open(folder.as_deref(), series_max.saturating_mul(2), bytes_max);
    let opened = tokio::task::spawn_blocking(open).await;
    Ok(opened.map_err(|error| StartError::Thread(std::io::Error::other(error)))??)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| StartError::Listen { address: any, source })
}

impl Running {
    /// Stops: accepts nothing more, ends what is being worked on, closes the store. Says what was not written.
    pub async fn stop(mut self) -> Result<(), crate::store::StoreError> {
        let _ = self.stop.send(true);
        for plane in std::mem::take(&mut self.planes) {
            // A plane that panicked has stopped.
            let _ = plane.await;
        }
        self.followers.iter().for_each(JoinHandle::abort);
        if let Some(analytics) = &self.end.shared.analytics {
            analytics::sampling::end(&self.end.shared, analytics).await;
        }
        self.end.shared.desk.kept_in().close().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.followers.iter().for_each(JoinHandle::abort);
        self.planes.iter().for_each(JoinHandle::abort);
    }
}
