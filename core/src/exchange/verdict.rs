//! What an exchange tells its host: exactly one verdict per callback, and any number of effects.

use std::sync::Arc;

use bytes::Bytes;

use super::refresh::Refresh;
use crate::cluster::Call;
use crate::entry::Entry;
use crate::fields::{Fields, RequestHead, SharedFields};
use crate::flights::{StreamId, Wake};
use crate::purge::{Mode, Scope, Sequence};

/// What becomes of a request.
#[derive(Debug)]
pub enum RequestVerdict {
    /// Hold it; [`super::Exchange::on_wake`] will say more.
    Wait,
    /// Send it to the origin, changed like this.
    Forward(Edits),
    /// Answer it.
    Respond(Reply),
    /// Send it to a node of the cluster, changed like this: the node answers it.
    Reroute(Edits),
    /// Answer it with this head and the body that this stream is getting, from its first byte. Only where the host has said that
    /// it can: [`crate::Worker::follows`]. The reply's own body is empty and says nothing of the length.
    Follow(StreamId, Reply),
}

/// What becomes of a response's head.
#[derive(Debug)]
pub enum ResponseVerdict {
    /// Send it on, changed like this; `capture` the body and hand it to [`super::Exchange::on_end`].
    Pass {
        /// Changes to the head.
        edits: Edits,
        /// Whether the body is wanted.
        capture: bool,
    },
    /// Hold the head back and collect the body; [`super::Exchange::on_body`] and [`super::Exchange::on_end`] say more.
    Hold,
    /// Hold head and body back; [`super::Exchange::on_fetched`] says what to answer instead.
    Wait,
    /// Answer with this instead, dropping the response.
    Replace(Reply),
}

/// What becomes of the body so far.
#[derive(Debug)]
pub enum BodyVerdict {
    /// Go on collecting.
    Capture,
    /// Stop collecting; what was collected is not needed.
    Ignore,
    /// Send the head that was held back, changed like this, and let the body flow.
    Release {
        /// Changes to the head.
        edits: Edits,
        /// Whether the body is still wanted.
        capture: bool,
    },
}

/// What becomes of a response at its end.
#[derive(Debug)]
pub enum EndVerdict {
    /// Nothing more; the head went out long ago.
    Done,
    /// Send head and body, the head changed like this.
    Release(Edits),
    /// Answer with this instead.
    Replace(Reply),
}

/// Work for the host beside the verdict.
#[derive(Debug)]
pub enum Effect {
    /// Call [`super::Exchange::on_wake`] of that stream.
    Wake(StreamId, Wake),
    /// Ask the origin in the background and hand the answer to [`Refresh::finish`].
    Refresh(Box<Refresh>),
    /// Carried out here already; tell the other workers, and the cluster where there is one.
    Invalidate(Box<Invalidation>),
    /// Ask the cluster and hand the answer to [`super::Exchange::on_lookup`].
    Lookup(Box<Call>),
    /// Tell the cluster. What it says matters to [`crate::Worker::note_call`] only.
    Tell(Box<Call>),
    /// Ask the origin for this, in place of a node that has failed, and hand the answer to [`super::Exchange::on_fetched`].
    Fetch(Box<RequestHead>),
}

/// Purges by an unsafe method or a response's word.
#[derive(Debug)]
pub struct Invalidation {
    /// What is purged.
    pub purges: Vec<(Scope, Mode)>,
    /// Their last number in the worker's own order, for [`crate::purge::Purges::acknowledged`].
    pub last: Sequence,
    /// The call that puts them into the cluster's log.
    pub call: Option<Call>,
}

/// A change to a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Remove every line of a name.
    Remove(String),
    /// Replace every line of a name by one.
    Set(String, Vec<u8>),
    /// Append a line.
    Add(String, Vec<u8>),
    /// Change the request's target (`:path`).
    Target(String),
    /// Choose the request's route anew, by the head as it is now.
    Route,
}

/// Changes to a head, in order.
pub type Edits = Vec<Edit>;

/// The edits that make `after` of `before`.
pub fn edits_between(before: &Fields, after: &Fields) -> Edits {
    let mut edits = Edits::new();
    let mut seen: Vec<&str> = Vec::new();
    for line in after.iter() {
        let name = line.name.as_str();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if after.all(name).eq(before.all(name)) {
            continue;
        }
        let mut values = after.all(name);
        edits.extend(values.next().map(|value| Edit::Set(name.to_owned(), value.to_vec())));
        edits.extend(values.map(|value| Edit::Add(name.to_owned(), value.to_vec())));
    }
    for line in before.iter() {
        let name = line.name.as_str();
        if !seen.contains(&name) {
            seen.push(name);
            edits.push(Edit::Remove(name.to_owned()));
        }
    }
    edits
}

/// A whole response made here. Hosts send `base` and then `extra`, with `Content-Length` of the body they send.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Fields shared with the store.
    pub base: Arc<SharedFields>,
    /// Fields of this reply; no name stands in both.
    pub extra: Fields,
    /// The body.
    pub body: ReplyBody,
    /// Answer to HEAD: fields as if the body were sent, and no body.
    pub head_only: bool,
}

/// The body of a reply.
#[derive(Clone, Debug)]
pub enum ReplyBody {
    /// None; the status allows none or there is nothing to say.
    Empty,
    /// Bytes `from..to` of a stored body.
    Stored {
        /// The entry.
        entry: Arc<Entry>,
        /// First byte.
        from: usize,
        /// After the last byte.
        to: usize,
    },
    /// A short text.
    Text(&'static str),
    /// Bytes that are not stored.
    Bytes(Bytes),
}

impl Reply {
    /// The bytes of the body (of the representation, for HEAD).
    pub fn body(&self) -> &[u8] {
        match &self.body {
            ReplyBody::Empty => &[],
            ReplyBody::Stored { entry, from, to } => entry.facts().body.get(*from..*to).unwrap_or_default(),
            ReplyBody::Text(text) => text.as_bytes(),
            ReplyBody::Bytes(bytes) => bytes,
        }
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &crate::fields::Field> {
        self.base.iter().chain(self.extra.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn edits_turn_one_head_into_the_other() {
        let fields = |list: &[(&str, &str)]| {
            Fields::from_pairs(list.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())))
        };
        let before = fields(&[("a", "1"), ("b", "1"), ("b", "2"), ("c", "1"), ("d", "1")]);
        let after = fields(&[("a", "1"), ("b", "2"), ("d", "1"), ("d", "2"), ("e", "1")]);
        assert_eq!(
            edits_between(&before, &after),
            [
                Edit::Set("b".into(), b"2".to_vec()),
                Edit::Set("d".into(), b"1".to_vec()),
                Edit::Add("d".into(), b"2".to_vec()),
                Edit::Set("e".into(), b"1".to_vec()),
                Edit::Remove("c".into()),
            ]
        );
    }
}
