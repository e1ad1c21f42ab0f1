//! Purging: what somebody asks for becomes records of the log, and who asked is remembered and said.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::purge::{Mode, Position, Scope, Sequence};
use larder_core::time::Timestamp;
use serde::Serialize;

use crate::clock::Clock;
use crate::counts::{Counts, Purged};
use crate::following::Following;
use crate::log::{LogError, LogId, Read};

/// Purges whose author is remembered.
const AUTHORS_MAX: usize = 4096;

/// The longest name of an author that is kept.
const WHO_BYTES_MAX: usize = 256;

/// Appends purges and remembers who asked.
pub(crate) struct Purging {
    following: Arc<Following>,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    authors: Mutex<VecDeque<Author>>,
}

/// Who asked for a purge, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    position: Position,
    pub(crate) who: String,
    pub(crate) by: By,
    pub(crate) when: Timestamp,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody who may purge.
    Operator,
    /// A worker itself, since a write has made something wrong: as often as there are writes.
    Worker,
}

/// A purge, to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) sequence: u64,
    pub(crate) what: String,
    pub(crate) soft: bool,
    /// Who asked this node; nothing where another node was asked, or before a restart.
    pub(crate) who: Option<String>,
    /// When, in milliseconds since 1970.
    pub(crate) when_ms: Option<u64>,
}

impl Purging {
    pub(crate) fn new(following: Arc<Following>, clock: Arc<dyn Clock>, counts: Arc<Counts>) -> Self {
        Self { following, clock, counts, authors: Mutex::default() }
    }

    /// Appends purges, all or none. When this returns, this node does not hand out what they cover.
    pub(crate) async fn purge(&self, who: &str, by: By, purges: &[(Scope, Mode)]) -> Result<Position, LogError> {
        let appended = self.following.append(purges).await;
        let position = match appended {
            Ok(position) => position,
            Err(error) => {
                self.counts.purges.add(Purged::Failed);
                tracing::error!(target: "larder::purge", who, purges = purges.len(), %error, "not purged");
                return Err(error);
            }
        };
        let when = self.clock.now();
        let who: String = who.chars().take(WHO_BYTES_MAX).collect();
        let first = position.sequence.0.saturating_sub(purges.len() as u64).saturating_add(1);
        for ((scope, mode), sequence) in purges.iter().zip(first..) {
            self.counts.purges.add(kind(scope));
            let (what, soft) = (text(scope), *mode == Mode::Soft);
            let log = format_args!("{:016x}", position.log);
            tracing::info!(target: "larder::purge", who, what, soft, sequence, %log, "purged");
            let position = Position { sequence: Sequence(sequence), ..position };
            self.remember(Author { position, who: who.clone(), by, when });
        }
        Ok(position)
    }

    /// Somebody was not allowed to.
    pub(crate) fn denied(&self, who: &str) {
        self.counts.purges.add(Purged::Denied);
        tracing::warn!(target: "larder::purge", who, "purge denied");
    }

    /// The newest purges, the newest first.
    pub(crate) async fn newest(&self, last: usize) -> Result<Vec<Shown>, LogError> {
        let head = self.following.head().await?;
        let mut from = Sequence(head.sequence.0.saturating_sub(last as u64));
        let log = self.following.log();
        let mut records = Vec::new();
        while from < head.sequence {
            match log.read(LogId(head.log), from, last.max(1), Duration::ZERO).await? {
                Read::Page(page) => match page.records.last() {
                    Some(record) => {
                        from = record.sequence;
                        records.extend(page.records);
                    }
                    None => break,
                },
                Read::TooOld { floor, .. } => from = floor,
                Read::Other { .. } => break,
            }
        }
        let authors = self.lock();
        let shown = records.into_iter().rev().take(last).map(|record| {
            let position = Position { log: head.log, sequence: record.sequence };
            let author = authors.iter().rev().find(|author| author.position == position);
            Shown {
                sequence: record.sequence.0,
                what: text(&record.scope),
                soft: record.mode == Mode::Soft,
                who: author.map(|author| author.who.clone()),
                when_ms: author.map(|author| author.when.0),
            }
        });
        Ok(shown.collect())
    }

    /// Who asked this node for a purge, and when, as far as it remembers.
    pub(crate) fn author(&self, position: Position) -> Option<Author> {
        self.lock().iter().rev().find(|author| author.position == position).cloned()
    }

    fn remember(&self, author: Author) {
        let mut authors = self.lock();
        if authors.len() >= AUTHORS_MAX {
            authors.pop_front();
        }
        authors.push_back(author);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Author>> {
        // Nothing panics while it is held.
        self.authors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind(scope: &Scope) -> Purged {
    match scope {
        Scope::Url(_) => Purged::Url,
        Scope::Tag(_) => Purged::Tag,
        Scope::Prefix(_) => Purged::Prefix,
        Scope::All => Purged::All,
    }
}

/// A scope as people read it.
pub(crate) fn text(scope: &Scope) -> String {
    match scope {
        Scope::Url(url) => format!("url {url}"),
        Scope::Tag(tag) => format!("tag {tag}"),
        Scope::Prefix(prefix) => format!("prefix {prefix}"),
        Scope::All => "all".to_owned(),
    }
}

/// A log's identity from text.
pub(crate) fn parse_log(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}
