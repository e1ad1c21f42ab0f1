//! When trouble ends, caching resumes: what was asked for once is there the next time.

use std::collections::BTreeSet;

use super::super::books::Seen;

#[derive(Debug)]
pub(super) struct Recovery {
    expected: BTreeSet<usize>,
}

impl Recovery {
    pub(super) const fn new() -> Self {
        Self { expected: BTreeSet::new() }
    }

    pub(super) fn expect(&mut self, number: usize) {
        self.expected.insert(number);
    }

    pub(super) fn seen(&mut self, seen: &Seen) -> Result<(), String> {
        if self.expected.remove(&seen.number) && seen.forwarded {
            return Err("no trouble for long, and what was just asked for is not there".to_owned());
        }
        Ok(())
    }
}
