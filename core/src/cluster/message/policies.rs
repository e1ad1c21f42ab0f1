//! Policies on their way from the cluster to workers: they come with the answers of the poll that follows the purge log.
//!
//! Nodes keep versions of policies by the policy's name. What is in force under a name, and what runs in its shadow, changes in
//! *generations*: a push, a rollback, a shadow begun or ended, a withdrawal each make another. Generations are compared for equality only:
//! a node that lost what it knew numbers anew.

use super::codec::{option, put_option, put_u64};
use crate::binary::{Reader, put};

/// The longest text of a policy that goes through the cluster, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// What a worker runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The name of the policy in the worker's own configuration.
    pub name: String,
    /// The generation that it has taken up or refused; 0 is none: it runs what it was configured with.
    pub generation: u64,
    /// Why it has refused that generation and goes on with what it had.
    pub refused: Option<String>,
}

/// What the cluster has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// Never 0.
    pub generation: u64,
    /// In force; `None` means what the worker was configured with.
    pub active: Option<Pushed>,
    /// Evaluated and reported on, without effect.
    pub shadow: Option<Pushed>,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Counts from 1, per name.
    pub version: u64,
    /// As it was pushed: JSON.
    pub text: String,
}

impl Watch {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, self.name.as_bytes());
        put_u64(out, self.generation);
        put_option(out, self.refused.as_ref(), |why, out| put(out, why.as_bytes()));
    }

    pub(super) fn take(reader: &mut Reader) -> Option<Self> {
        Some(Self { name: reader.text()?, generation: reader.u64()?, refused: option(reader, Reader::text)? })
    }
}

impl Policies {
    /// As the end of an answer to a poll: see [`super::PollAnswer::encode_front`].
    pub fn encode_back(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_option(&mut out, Some(self), Self::put);
        out
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.generation);
        put_option(out, self.active.as_ref(), Pushed::put);
        put_option(out, self.shadow.as_ref(), Pushed::put);
    }

    pub(super) fn take(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            generation: reader.u64()?,
            active: option(reader, Pushed::take)?,
            shadow: option(reader, Pushed::take)?,
        })
    }
}

impl Pushed {
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.version);
        put(out, self.text.as_bytes());
    }

    fn take(reader: &mut Reader) -> Option<Self> {
        Some(Self { version: reader.u64()?, text: reader.text()? })
    }
}
