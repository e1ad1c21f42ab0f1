//! What an invalidator is made of.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::asking::Nodes;
use super::connector::{admin_url, connector};
use super::dead_letters::DeadLetters;
use super::errors::BuildError;
use super::purge::SCOPES_MAX;
use super::retry::Backoff;
use super::sender::Sender;
use super::shared::Shared;
use super::token::Token;
use super::{Handle, Invalidator, journal, writer};

/// The longest a connection may take, however long an answer may.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Makes an [`Invalidator`]. Only a node is needed.
#[derive(Clone)]
#[must_use = "it is nothing before build()"]
pub struct InvalidatorBuilder {
    nodes: Vec<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    authority: Option<PathBuf>,
    directory: Option<PathBuf>,
    dead_letters: Option<PathBuf>,
    queue_max: usize,
    timeout: Duration,
    backoff: (Duration, Duration),
}

impl std::fmt::Debug for InvalidatorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_struct("InvalidatorBuilder")
            .field("nodes", &self.nodes)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Default for InvalidatorBuilder {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            token: None,
            token_file: None,
            authority: None,
            directory: None,
            dead_letters: None,
            queue_max: 100_000,
            timeout: Duration::from_secs(10),
            backoff: (Duration::from_millis(100), Duration::from_secs(30)),
        }
    }
}

impl InvalidatorBuilder {
    /// The admin plane of a node: `http://127.0.0.1:9902` (`https://` with the feature `invalidator-tls`). Several are asked in
    /// turn until one takes a purge; they have to share their purge log. Nodes with a log each need an invalidator each.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.nodes.push(url.into());
        self
    }

    /// Several of them.
    pub fn nodes<T: Into<String>>(self, urls: impl IntoIterator<Item = T>) -> Self {
        urls.into_iter().fold(self, Self::node)
    }

    /// The token for the admin plane, of the scope `purge`. [`Invalidator::set_token`] changes it.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A file that holds the token. It is read for every request, so that another token counts as soon as it is in the file.
    pub fn token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(file.into());
        self
    }

    /// PEM certificates of who signs those of the admin planes, in place of the system's.
    #[cfg(feature = "invalidator-tls")]
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.authority = Some(file.into());
        self
    }

    /// Where purges are kept until a node has taken them, over the end of this process; made if need be. It belongs to this
    /// invalidator alone. Without one, what no node has taken is lost with the process.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// A file for purges that a node refuses for good, a line of JSON each. Default: `dead-letters.jsonl` in the directory; without
    /// a directory they are logged only.
    pub fn dead_letters(mut self, file: impl Into<PathBuf>) -> Self {
        self.dead_letters = Some(file.into());
        self
    }

    /// So many purges wait at most (one of three tags counts three times), at least 1; one more, and all of them become one purge of
    /// everything. Default: 100,000.
    pub fn queue_max(mut self, purges: usize) -> Self {
        self.queue_max = purges.max(1);
        self
    }

    /// How long a node may take to answer. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long to wait after the first attempt that fails, and at most; in between it doubles. Default: 100 ms, 30 s.
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.backoff = (first, max);
        self
    }

    /// Opens the queue, takes up what it holds, and begins to send. Blocks for the disk, as a program does that starts.
    ///
    /// # Errors
    /// Where something of it cannot be used, or outside of a tokio runtime.
    pub fn build(self) -> Result<Invalidator, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if self.nodes.is_empty() {
            return Err(BuildError::NoNode);
        }
        let urls = self.nodes.iter().map(|url| admin_url(url)).collect::<Result<Vec<String>, _>>()?;
        let token = match self.token_file {
            Some(file) => Token::in_file(file)?,
            None => Token::given(self.token.as_deref())?,
        };
        let authority = self
            .authority
            .map(|file| std::fs::read(&file).map_err(|error| BuildError::Tls(format!("{}: {error}", file.display()))));
        let connector = connector(self.timeout.min(CONNECT_MAX), authority.transpose()?.as_deref())?;
        let nodes = Arc::new(Nodes::new(urls, connector, token, self.timeout));
        let dead_letters = self.dead_letters.or_else(|| Some(self.directory.as_ref()?.join("dead-letters.jsonl")));
        let (shared, writer) = match &self.directory {
            None => (Arc::new(Shared::new(Vec::new(), 1, self.queue_max, false)), None),
            Some(directory) => {
                let (journal, found) = journal::open(directory)?;
                if let Some(damaged) = &found.damaged {
                    tracing::error!(
                        target: "larder::invalidator",
                        directory = %directory.display(), at = damaged.at, why = damaged.why, copy = %damaged.copy.display(),
                        "the file of purges is damaged: everything is purged in place of what it held"
                    );
                }
                let shared = Arc::new(Shared::new(found.entries, found.next_id, self.queue_max, true));
                let writer = writer::start(journal, shared.clone()).map_err(BuildError::Thread)?;
                (shared, Some(writer))
            }
        };
        let sender = Sender {
            shared: shared.clone(),
            nodes: nodes.clone(),
            dead_letters: Arc::new(DeadLetters::new(dead_letters)),
            backoff: Backoff::new(self.backoff.0, self.backoff.1),
        };
        let sender = runtime.spawn(sender.run());
        let handle = Handle {
            shared,
            nodes,
            is_durable: writer.is_some(),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            queue_max: self.queue_max,
            sender,
            writer: Mutex::new(writer),
        };
        Ok(Invalidator { handle: Arc::new(handle) })
    }
}

const _: () = assert!(SCOPES_MAX <= u32::MAX as usize);
