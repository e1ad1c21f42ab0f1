//! What this node knows of pushed policies, in step with their store, and what it tells workers.
//!
//! Invariant: what is told is whole and is what was pushed. Where a text is gone or another one, nothing is told under that name, and
//! workers keep what they have. Where the store does not answer, what was known is known.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bytes::Bytes;
use larder_core::Policy;
use larder_core::cluster::message::{Policies, Pushed, Watch};
use tokio::sync::{Mutex, Notify, watch};

use super::record::{Change, Changed, Next, NotDone, Outcome, Record, Version};
use super::{PoliciesError, PolicyStore, Records};
use crate::analytics::Targets;
use crate::clock::Clock;

/// How often a store that others change is looked at. Every worker is to have a policy within a second.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often a change is tried again that somebody else was quicker than.
const TRIES: usize = 8;

/// Pushed policies, as this node knows them.
pub(crate) struct Current {
    store: Arc<dyn PolicyStore>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    looking: Mutex<()>,
    changed: Notify,
    /// What is in force under each name that something was pushed under.
    in_force: watch::Sender<Vec<Arc<Policy>>>,
    /// Those of the policies that the node itself was given.
    targets: Targets,
}

#[derive(Default)]
struct Known {
    /// Nothing was heard yet where there is none.
    mark: Option<String>,
    names: BTreeMap<String, Arc<Named>>,
    targets: Arc<Targets>,
}

/// What there is under a name.
pub(crate) struct Named {
    pub(crate) record: Record,
    /// The end of an answer to a poll; `None` where a text cannot be had.
    told: Option<Bytes>,
    /// What is in force, where this node understands it.
    active: Option<Arc<Policy>>,
}

/// What came of a change.
pub(crate) struct Done {
    pub(crate) record: Record,
    /// Otherwise it was so already.
    pub(crate) changed: bool,
}

/// Why something was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    NotDone(#[from] NotDone),
    #[error(transparent)]
    Store(#[from] PoliciesError),
    #[error("others keep changing what is stored under that name, or it is no record of a policy: nothing was changed")]
    Contended,
}

impl Named {
    /// Whether a text is gone or another one, so that workers are told nothing.
    pub(crate) fn is_damaged(&self) -> bool {
        self.told.is_none()
    }
}

impl Current {
    pub(crate) fn new(store: Arc<dyn PolicyStore>, clock: Arc<dyn Clock>, targets: Targets) -> Self {
        let known = Known { targets: Arc::new(targets.clone()), ..Known::default() };
        let (known, looking, changed) = (RwLock::new(known), Mutex::default(), Notify::new());
        let (in_force, _) = watch::channel(Vec::new());
        Self { store, clock, known, looking, changed, in_force, targets }
    }

    pub(crate) fn store(&self) -> &dyn PolicyStore {
        &*self.store
    }

    /// Hit ratios that are aimed at: as the policies in force say, and those that the node was given.
    pub(crate) fn targets(&self) -> Arc<Targets> {
        self.read().targets.clone()
    }

    /// What is in force of what was pushed, as it changes; without what this node does not understand.
    pub(crate) fn in_force(&self) -> watch::Receiver<Vec<Arc<Policy>>> {
        self.in_force.subscribe()
    }

    /// What there is under a name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Named>> {
        self.read().names.get(name).cloned()
    }

    /// What there is, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, Arc<Named>> {
        self.read().names.clone()
    }

    /// What a worker does not have yet: the end of an answer to its poll.
    pub(crate) fn news(&self, watch: &Watch) -> Option<Bytes> {
        let known = self.read();
        let named = known.names.get(&watch.name).filter(|named| named.record.generation != watch.generation)?;
        named.told.clone()
    }

    /// Waits until there is something that a worker does not have yet.
    pub(crate) async fn until_news(&self, watch: &Watch) -> Bytes {
        loop {
            // Enlisted before looking: what comes between looking and waiting wakes, too.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(news) = self.news(watch) {
                return news;
            }
            changed.await;
        }
    }

    /// The text of a version.
    pub(crate) async fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError> {
        self.store.text(name, version).await
    }

    /// Takes up what is stored; says what has changed, where something was known before.
    pub(crate) async fn look(&self) -> Result<Vec<(String, Changed)>, PoliciesError> {
        let _looking = self.looking.lock().await;
        let (seen, before) = {
            let known = self.read();
            (known.mark.clone(), known.names.clone())
        };
        let Some(Records { mark, records }) = self.store.records(seen.as_deref()).await? else {
            return Ok(Vec::new());
        };
        for gone in before.keys().filter(|name| !records.contains_key(*name)) {
            tracing::error!(
                policy = gone,
                "what was pushed is gone from the store of policies: workers keep what they have"
            );
        }
        let (mut names, mut changes) = (BTreeMap::new(), Vec::new());
        for (name, record) in records {
            let known = before.get(&name).filter(|known| known.record == record && known.told.is_some());
            if let Some(known) = known {
                names.insert(name, known.clone());
                continue;
            }
            if seen.is_some() && before.get(&name).is_none_or(|known| known.record.generation != record.generation) {
                changes.push((name.clone(), record.changed.clone()));
            }
            let named = self.take_up(&name, record).await?;
            names.insert(name, Arc::new(named));
        }
        let active: Vec<Arc<Policy>> = names.values().filter_map(|named| named.active.clone()).collect();
        let targets = Arc::new(self.targets.with(active.iter().map(AsRef::as_ref)));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { mark: Some(mark), names, targets };
        self.changed.notify_waiters();
        self.in_force.send_if_modified(|before| {
            let same = before.len() == active.len() && before.iter().zip(&active).all(|(a, b)| Arc::ptr_eq(a, b));
            *before = active;
            !same
        });
        Ok(changes)
    }

    /// Changes what there is under a name.
    pub(crate) async fn change(
        &self,
        name: &str,
        change: &Change<'_>,
        base: Option<u64>,
        who: &str,
    ) -> Result<Done, ChangeError> {
        for _ in 0..TRIES {
            // As it is stored, not as it was heard: another node may have changed it just now.
            let stored = self.store.records(None).await?.unwrap_or_default();
            let record = stored.records.get(name);
            let mut outcome = Record::change(record, change, base, who, self.clock.now())?;
            if let (Outcome::Unchanged, Change::Push { text, comment, shadow, .. }, Some(record)) =
                (&outcome, change, record)
                && !self.is_whole(name, if *shadow { record.shadow_version() } else { record.active_version() }).await?
            {
                // Whoever pushes it again mends it.
                let again = Change::Push { text, comment, shadow: *shadow, again: true };
                outcome = Record::change(Some(record), &again, base, who, self.clock.now())?;
            }
            match outcome {
                Outcome::Unchanged => {
                    let record = record.cloned().ok_or(NotDone::NoName)?;
                    return Ok(Done { record, changed: false });
                }
                Outcome::Next(next) => {
                    let from = record.map(|record| record.generation);
                    if self.store.replace(name, from, &next).await? {
                        let Next { record, .. } = *next;
                        return Ok(Done { record, changed: true });
                    }
                }
            }
        }
        Err(ChangeError::Contended)
    }

    /// Whether the text of a version can be had.
    async fn is_whole(&self, name: &str, version: Option<&Version>) -> Result<bool, PoliciesError> {
        let Some(version) = version else { return Ok(true) };
        match self.store.text(name, version).await {
            Ok(text) => Ok(text.is_some()),
            Err(PoliciesError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the texts that workers are to be told. Fails where they may be had later.
    async fn take_up(&self, name: &str, record: Record) -> Result<Named, PoliciesError> {
        let active = self.pushed(name, record.active_version()).await?;
        let shadow = self.pushed(name, record.shadow_version()).await?;
        let (Some(active), Some(shadow)) = (active, shadow) else {
            return Ok(Named { record, told: None, active: None });
        };
        let policy = active.as_ref().and_then(|active| {
            let parsed = Policy::parse(&active.text);
            let said = parsed.inspect_err(|errors| {
                let version = active.version;
                tracing::warn!(policy = name, version, %errors, "this node is older than the policy and does not understand it");
            });
            said.ok()
        });
        let told = Policies { generation: record.generation, active, shadow }.encode_back();
        Ok(Named { record, told: Some(told.into()), active: policy.map(Arc::new) })
    }

    /// A version with its text, where there is to be one; nothing at all where its text cannot be had.
    async fn pushed(&self, name: &str, version: Option<&Version>) -> Result<Option<Option<Pushed>>, PoliciesError> {
        let Some(version) = version else { return Ok(Some(None)) };
        let number = version.version;
        match self.store.text(name, version).await {
            Ok(Some(text)) => return Ok(Some(Some(Pushed { version: number, text }))),
            Ok(None) => {
                tracing::error!(
                    policy = name,
                    version = number,
                    "the text of a pushed policy is gone: workers keep what they have"
                );
            }
            Err(error @ PoliciesError::Damaged { .. }) => {
                tracing::error!(policy = name, version = number, %error, "workers keep what they have");
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        // Nothing panics while it is held.
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}
