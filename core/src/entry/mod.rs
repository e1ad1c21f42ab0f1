//! A stored response: facts only. What a policy makes of them is judged elsewhere, so that a new policy applies to
//! what is already stored.

pub mod etag;
pub mod wire;

use std::sync::OnceLock;

use bytes::Bytes;

use crate::decide::age::Times;
use crate::decide::vary::VaryKey;
use crate::field::date;
use crate::field::etag::EntityTag;
use crate::fields::{Field, Fields};
use crate::purge::Position;
use crate::time::Timestamp;

/// A stored response with what is needed to reuse, validate and purge it.
#[derive(Clone, Debug)]
pub struct Entry {
    facts: Facts,
    /// Read when somebody asks, as the date is: most responses are used without.
    etag: OnceLock<Option<Box<EntityTag>>>,
    last_modified: OnceLock<Option<Timestamp>>,
}

/// What an entry is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Canonical URL, as purges name it.
    pub url: String,
    /// Status code.
    pub status: u16,
    /// End-to-end fields as the origin sent them (and an ETag made here, where `made_etag` says so).
    pub fields: Fields,
    /// The whole body.
    pub body: Bytes,
    /// When it was asked for and received.
    pub times: Times,
    /// Request fields that selected it.
    pub vary: VaryKey,
    /// Tags by which it is purged.
    pub tags: Vec<String>,
    /// Position of the cluster's purge log when its request began; the default where there is no cluster.
    pub position: Position,
    /// The ETag was computed here: clients may use it, the origin does not know it.
    pub made_etag: bool,
    /// The request carried identity that the key does not cover.
    pub identified: bool,
    /// The key tells users apart: this is one user's response.
    pub personal: bool,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

impl Eq for Entry {}

impl Entry {
    /// Seals facts into an entry.
    pub fn new(facts: Facts) -> Self {
        Self { facts, etag: OnceLock::new(), last_modified: OnceLock::new() }
    }

    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes the facts back out, to make another entry of them.
    pub fn into_facts(self) -> Facts {
        self.facts
    }

    /// The validator, whoever made it.
    pub fn etag(&self) -> Option<&EntityTag> {
        self.etag.get_or_init(|| self.facts.fields.first("etag").and_then(EntityTag::parse).map(Box::new)).as_deref()
    }

    /// The validator that the origin understands.
    pub fn origin_etag(&self) -> Option<&EntityTag> {
        if self.facts.made_etag { None } else { self.etag() }
    }

    /// `Last-Modified`, where it is a date.
    pub fn last_modified(&self) -> Option<Timestamp> {
        *self.last_modified.get_or_init(|| {
            let received = self.facts.times.response;
            self.facts.fields.first("last-modified").and_then(|value| date::parse(value, received))
        })
    }

    /// Both validators, for what a request's conditions are held against; nothing where it has none.
    pub fn validators_for(&self, request: &Fields) -> (Option<&EntityTag>, Option<Timestamp>) {
        let has_condition = request.iter().any(|line| line.name.starts_with("if-"));
        if has_condition { (self.etag(), self.last_modified()) } else { (None, None) }
    }

    /// Whether the origin can be asked if this is still good.
    pub fn has_origin_validator(&self) -> bool {
        self.origin_etag().is_some() || self.last_modified().is_some()
    }

    /// Tags as text.
    pub fn tags(&self) -> impl Iterator<Item = &str> + Clone {
        self.facts.tags.iter().map(String::as_str)
    }

    /// Bytes that this entry keeps in memory, counting head, body and tags.
    pub fn weight(&self) -> u64 {
        // The place in the list, and a block for a name that is not a common one.
        const FIELD: usize = size_of::<Field>() + 16;
        let facts = &self.facts;
        let tags: usize = facts.tags.iter().map(|tag| tag.len() + 40).sum();
        let vary: usize = facts.vary.0.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len) + FIELD).sum();
        let head = facts.fields.bytes() + facts.fields.len() * FIELD;
        (size_of::<Self>() + facts.url.len() + facts.body.len() + head + tags + vary) as u64
    }
}
