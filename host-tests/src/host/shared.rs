//! Shared data and shared queues: the memory that all VMs of one `vm_id` have in common.
//!
//! Holds their rules (compare-and-swap, no deletion). Delivery of `on_queue_ready` is in `vm.rs`.

use std::collections::{BTreeMap, VecDeque};

use super::abi::Status;

/// Key to value and its compare-and-swap number. Keys are never removed.
#[derive(Debug, Default)]
pub(crate) struct SharedData {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    pub fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.entries.get(key).cloned()
    }

    /// `cas` 0 writes whatever is there; another number must be the stored one, but a new key takes any.
    pub fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> Status {
        if let Some((_, stored)) = self.entries.get(key)
            && cas != 0
            && cas != *stored
        {
            return Status::CasMismatch;
        }
        self.last_cas = self.last_cas.wrapping_add(1).max(1);
        self.entries.insert(key.to_vec(), (value.to_vec(), self.last_cas));
        Status::Ok
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, (value, _))| (key.as_slice(), value.as_slice()))
    }
}

/// A queue with the one root context that hears of new items: the one that registered it last.
#[derive(Debug)]
pub(crate) struct Queue {
    pub vm_id: Vec<u8>,
    pub name: Vec<u8>,
    pub worker: usize,
    pub generation: usize,
    pub root: u32,
    pub items: VecDeque<Vec<u8>>,
}
