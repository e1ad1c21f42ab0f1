//! Policies in this process's memory: for one node alone. After a restart, workers keep what they have taken up, and nothing is known here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::record::{Next, Version};
use super::{NAMES_MAX, PoliciesError, PolicyStore, Records};

/// Policies in memory.
#[derive(Debug, Default)]
pub struct MemoryPolicies {
    held: Mutex<Held>,
    is_shared: bool,
}

#[derive(Debug, Default)]
struct Held {
    changes: u64,
    records: Records,
    texts: HashMap<(String, u64), String>,
}

impl MemoryPolicies {
    /// For several nodes of this process: each looks what others have changed.
    pub fn shared() -> Self {
        Self { is_shared: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PolicyStore for MemoryPolicies {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn records(&self, seen: Option<&str>) -> Result<Option<Records>, PoliciesError> {
        let held = self.lock();
        Ok((seen != Some(held.records.mark.as_str())).then(|| held.records.clone()))
    }

    async fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError> {
        Ok(self.lock().texts.get(&(name.to_owned(), version.version)).cloned())
    }

    async fn replace(&self, name: &str, from: Option<u64>, next: &Next) -> Result<bool, PoliciesError> {
        let mut held = self.lock();
        let there = held.records.records.get(name).map(|record| record.generation);
        if there != from {
            return Ok(false);
        }
        if there.is_none() && held.records.records.len() >= NAMES_MAX {
            return Err(PoliciesError::TooManyNames);
        }
        if let Some(text) = &next.text {
            held.texts.insert((name.to_owned(), next.record.last), text.clone());
        }
        for version in &next.dropped {
            held.texts.remove(&(name.to_owned(), *version));
        }
        held.records.records.insert(name.to_owned(), next.record.clone());
        held.changes = held.changes.saturating_add(1);
        held.records.mark = held.changes.to_string();
        Ok(true)
    }
}
