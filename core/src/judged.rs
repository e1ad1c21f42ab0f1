//! What the policy in force makes of an entry: its lifetime and the fields a client gets.
//!
//! Computed once per entry and policy revision, so that a hit copies and computes as little as possible, and a new policy
//! applies at once to what is already stored.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;

use crate::decide::ahead::Ahead;
use crate::decide::client;
use crate::decide::lifetime::{self, Lifetime};
use crate::decide::store;
use crate::entry::Entry;
use crate::field::cache_control::CacheControl;
use crate::field::hop;
use crate::fields::{Field, Fields, SharedFields};
use crate::policy::rules::Rules;
use crate::time::Timestamp;

/// An entry under a policy.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The policy's revision.
    pub revision: u64,
    /// The lifetime, jitter applied; `None` where this policy would not have stored it.
    pub lifetime: Option<Lifetime>,
    /// Whether it is to be refreshed before it expires, and how often it was used; `None` where the policy wants nothing of the kind.
    pub ahead: Option<Ahead>,
    /// The response says that it may be shared though a request carries identity.
    pub shareable: bool,
    /// Fields of a whole reply, without Age, Date where rewritten, Content-Length and Cache-Status.
    pub head: Arc<SharedFields>,
    /// Fields of a 304, once somebody has asked for one: most responses are never asked for so.
    not_modified_head: OnceLock<Arc<SharedFields>>,
    /// `Cache-Status` members of caches nearer the origin.
    pub upstream_status: Option<Vec<u8>>,
    /// `Cache-Control` is the policy's: the reply counts as made now.
    pub rewritten: bool,
}

impl Judged {
    /// Judges.
    pub fn new(rules: &Rules, revision: u64, covers: &[String], entry: &Entry) -> Self {
        let facts = entry.facts();
        let directives = CacheControl::of_response(&facts.fields, &rules.targeted);
        let is_kept = store::is_still_storable(rules, &directives, facts.identified);
        let lifetime = lifetime::of(rules, facts.status, &directives, &facts.fields, &facts.times)
            .filter(|_| is_kept)
            .map(|lifetime| Lifetime {
                fresh_for: lifetime::jittered(
                    lifetime.fresh_for,
                    rules.jitter_percent,
                    spread(&facts.url, facts.times.response),
                ),
                ..lifetime
            });
        let mut head = facts.fields.clone();
        let rewritten = client::rewrite(rules, covers, facts.status, facts.personal || facts.identified, &mut head);
        let upstream_status = own(&mut head);
        if rewritten {
            head.remove("date");
        }
        head.share();
        let ahead =
            rules.refresh_ahead.zip(lifetime).and_then(|(rule, lifetime)| Ahead::of(rule, &lifetime, &facts.times));
        Self {
            revision,
            lifetime,
            ahead,
            shareable: store::is_shareable(&directives),
            head: Arc::new(head.into()),
            not_modified_head: OnceLock::new(),
            upstream_status,
            rewritten,
        }
    }

    /// What a host without a policy makes of an entry: its fields as they are stored, and no lifetime.
    pub fn as_stored(entry: &Entry) -> Self {
        let mut head = entry.facts().fields.clone();
        let upstream_status = own(&mut head);
        Self {
            revision: 0,
            lifetime: None,
            ahead: None,
            shareable: false,
            head: Arc::new(head.into()),
            not_modified_head: OnceLock::new(),
            upstream_status,
            rewritten: false,
        }
    }

    /// Fields of a 304 (RFC 9110 15.4.5).
    pub fn not_modified_head(&self) -> &Arc<SharedFields> {
        self.not_modified_head.get_or_init(|| {
            let mut head = Fields::clone(&self.head);
            head.retain(|line| is_in_304(&line.name));
            head.share();
            Arc::new(head.into())
        })
    }

    /// Bytes that this judgement adds to its entry's. `made_line` are those that a line takes in a form of the host's own
    /// ([`SharedFields::made`]) beside name and value; `None` where it makes none.
    pub fn weight(&self, made_line: Option<u64>) -> u64 {
        const FIELD: u64 = 56;
        // The same whether anybody has asked for a 304 or not.
        let in_304 = |line: &&Field| is_in_304(&line.name);
        let weigh =
            |(lines, bytes): (u64, u64), line: &Field| (lines + 1, bytes + (line.name.len() + line.value.len()) as u64);
        let counted = self.head.iter().fold((0, 0), weigh);
        let (lines, bytes) = self.head.iter().filter(in_304).fold(counted, weigh);
        let heads = |line: u64| bytes + lines * line;
        size_of::<Self>() as u64 + heads(FIELD) + made_line.map_or(0, heads)
    }
}

/// Makes stored fields those of a reply: without what is said anew each time, and without what cannot stand in a head. Says which
/// `Cache-Status` members caches nearer the origin have given.
fn own(head: &mut Fields) -> Option<Vec<u8>> {
    // An origin that says such a thing, or a node that lies: a line break in a value would begin another line.
    head.retain(hop::is_line);
    let upstream_status = head.joined("cache-status");
    head.retain(|line| !matches!(line.name.as_str(), "cache-status" | "age" | "content-length"));
    upstream_status
}

/// Deterministic, and different for each key and time of storing.
pub(crate) fn spread(url: &str, stored: Timestamp) -> u64 {
    FixedState::with_seed(stored.0).hash_one(url)
}

/// RFC 9110 15.4.5 names what a 304 has to carry and advises against describing content that is not there. Everything else
/// (CORS fields, `last-modified`, extensions) goes along: a client's cache updates its copy with it (RFC 9111 3.2).
fn is_in_304(name: &str) -> bool {
    !matches!(name, "content-type" | "content-encoding" | "content-language" | "content-range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::age::Times;
    use crate::decide::vary::VaryKey;
    use crate::entry::Facts;
    use crate::purge::Position;
    use crate::testing::{fields, rules};
    use crate::time::Seconds;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn entry(lines: &[(&str, &str)], identified: bool) -> Entry {
        let sent = Timestamp::from_secs(100);
        Entry::new(Facts {
            url: "http://h/a".into(),
            status: 200,
            fields: fields(lines),
            body: "x".into(),
            times: Times { request: sent, response: sent, date: None, age: Seconds::ZERO },
            vary: VaryKey::default(),
            tags: vec![],
            position: Position::default(),
            made_etag: false,
            identified,
            personal: false,
        })
    }

    fn is_usable(settings: &str, directives: &str, identified: bool) -> bool {
        let entry = entry(&[("cache-control", directives)], identified);
        Judged::new(&rules(settings), 1, &[], &entry).lifetime.is_some()
    }

    #[test]
    fn what_cannot_stand_in_a_head_is_in_no_reply() {
        let lines =
            [("etag", "\"a\0b\""), ("x-a", "1\r\nx-b: 2"), ("x a", "1"), ("x-c", "3"), ("cache-status", "o;\nhit")];
        let entry = entry(&lines, false);
        for judged in [Judged::new(&rules(""), 1, &[], &entry), Judged::as_stored(&entry)] {
            for head in [&judged.head, judged.not_modified_head()] {
                assert_eq!(head.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["x-c"]);
            }
            assert_eq!(judged.upstream_status, None);
        }
    }

    #[test]
    fn a_304_carries_what_a_clients_copy_needs_and_weighs_the_same_before_it_is_asked_for() {
        let lines = [("content-type", "a/b"), ("etag", "\"a\""), ("content-language", "en"), ("vary", "x")];
        let judged = Judged::as_stored(&entry(&lines, false));
        let before = judged.weight(Some(8));
        let names: Vec<&str> = judged.not_modified_head().iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["etag", "vary"]);
        assert_eq!(judged.weight(Some(8)), before);
    }

    #[test]
    fn what_a_policy_let_in_against_the_origins_word_goes_with_it() {
        let (lax, strict) = (r#""ttl":"60s","override":"unsafe""#, r#""ttl":"60s""#);
        for (directives, identified) in [("private, max-age=60", false), ("no-store", false), ("max-age=60", true)] {
            assert!(is_usable(lax, directives, identified), "{directives}");
            assert!(!is_usable(strict, directives, identified), "{directives}");
        }
        for (directives, identified) in [("max-age=60", false), ("public", true), ("no-store, must-understand", false)]
        {
            assert!(is_usable(strict, directives, identified), "{directives}");
        }
    }
}
