//! Which callbacks ran and which host calls each of them made, by name: what a test pins the cost of a path with.

use std::collections::{BTreeMap, VecDeque};

use super::world::StreamId;

/// Callbacks kept; older ones are dropped, so that long simulations do not grow.
const RECORDS_MAX: usize = 20_000;

/// One run of a callback of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackRecord {
    /// The worker whose VM ran it.
    pub worker: usize,
    /// The context it ran for.
    pub context: u32,
    /// The stream of that context; `None` for root contexts.
    pub stream: Option<StreamId>,
    /// The exported function, for example `proxy_on_request_headers`.
    pub callback: &'static str,
    /// The host functions it called, in order.
    pub host_calls: Vec<&'static str>,
}

impl CallbackRecord {
    /// How often each host function was called.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for name in &self.host_calls {
            *counts.entry(*name).or_insert(0) += 1;
        }
        counts
    }
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub records: VecDeque<CallbackRecord>,
}

impl Trace {
    pub fn push(&mut self, record: CallbackRecord) {
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }
}
