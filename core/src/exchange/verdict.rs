//! What an exchange tells its host: exactly one verdict per callback, and any number of effects.

use std::sync::Arc;

use bytes::Bytes;

use super::refresh::Refresh;
use crate::cluster::Call;
use crate::entry::Entry;
use crate::fields::{Field, Fields, Name, RequestHead, SharedFields};
use crate::flights::{StreamId, Wake};
use crate::purge::{Mode, Position, Scope, Sequence};

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
    /// Where in the log they are, should that be known already.
    pub at: Option<Position>,
}

/// A change to a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Remove every line of a name.
    Remove(Name),
    /// Replace every line of a name by one.
    Set(Name, Bytes),
    /// Append a line.
    Add(Name, Bytes),
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
    let Some((was, is)) = where_they_differ(before, after) else { return edits };
    let mut seen: Vec<&Name> = Vec::with_capacity(was.len() + is.len());
    for line in is {
        let name = &line.name;
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if after.all(name).eq(before.all(name)) {
            continue;
        }
        let mut values = after.iter().filter(|line| line.name == *name).map(|line| line.value.clone());
        edits.extend(values.next().map(|value| Edit::Set(name.clone(), value)));
        edits.extend(values.map(|value| Edit::Add(name.clone(), value)));
    }
    for line in was {
        let name = &line.name;
        if !seen.contains(&name) {
            seen.push(name);
            let mut values = after.iter().filter(|line| line.name == *name).map(|line| line.value.clone());
            match values.next() {
                None => edits.push(Edit::Remove(name.clone())),
                Some(value) => {
                    edits.push(Edit::Set(name.clone(), value));
                    edits.extend(values.map(|value| Edit::Add(name.clone(), value)));
                }
            }
        }
    }
    edits
}

/// What is left of either without the lines that both begin with and both end with: most of a head stays as it is.
fn where_they_differ<'a>(before: &'a Fields, after: &'a Fields) -> Option<(&'a [Field], &'a [Field])> {
    if before.are_same(after) {
        return None;
    }
    let (was, is) = (before.lines(), after.lines());
    let same = was.iter().zip(is).take_while(|(was, is)| was == is).count();
    let (was, is) = (was.get(same..)?, is.get(same..)?);
    let same = was.iter().rev().zip(is.iter().rev()).take_while(|(was, is)| was == is).count();
    Some((was.get(..was.len() - same)?, is.get(..is.len() - same)?))
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
                Edit::Set("b".into(), Bytes::from_static(b"2")),
                Edit::Set("d".into(), Bytes::from_static(b"1")),
                Edit::Add("d".into(), Bytes::from_static(b"2")),
                Edit::Set("e".into(), Bytes::from_static(b"1")),
                Edit::Remove("c".into()),
            ]
        );
    }

    #[test]
    fn edits_between_any_two_heads_make_the_one_of_the_other() {
        // Every pair of lists of up to four lines of two names and two values.
        let line = |n: usize| ["a=1", "a=2", "b=1", "b=2"][n % 4].split_once('=').unwrap();
        let lists: Vec<Vec<(&str, &str)>> = (0..5u32)
            .flat_map(|len| (0..4usize.pow(len)).map(move |n| (0..len).map(|at| line(n >> (2 * at))).collect()))
            .collect();
        let fields = |list: &[(&str, &str)]| {
            Fields::from_pairs(list.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())))
        };
        for before in lists.iter().map(|list| fields(list)) {
            for after in lists.iter().map(|list| fields(list)) {
                let mut made = before.clone();
                for edit in edits_between(&before, &after) {
                    match edit {
                        Edit::Remove(name) => made.remove(&name),
                        Edit::Set(name, value) => made.set(&name, value),
                        Edit::Add(name, value) => made.add(&name, value),
                        Edit::Target(_) | Edit::Route => unreachable!(),
                    }
                }
                for name in ["a", "b"] {
                    assert!(made.all(name).eq(after.all(name)), "{before:?} {after:?}");
                }
            }
        }
    }
}
