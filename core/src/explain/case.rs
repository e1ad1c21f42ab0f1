//! A request, its response and the rules in force, and what `decide/` says about them. Each of the three can be changed, to see
//! what would have been.

use std::sync::Arc;

use super::Question;
use crate::decide::admit::{self, Bypass};
use crate::decide::age::{self, Times};
use crate::decide::identity::{self, Identity};
use crate::decide::lifetime::Lifetime;
use crate::decide::store::{self, Candidate, NotStored};
use crate::field::cache_control::CacheControl;
use crate::field::no_vary_search::NoVarySearch;
use crate::field::{age as age_field, date};
use crate::fields::{RequestHead, ResponseHead};
use crate::key::{self, Keyed};
use crate::policy::rules::Rules;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub rules: Rules,
    pub request: RequestHead,
    pub response: ResponseHead,
    pub ambiguous_path: bool,
    pub body_bytes: u64,
    pub now: Timestamp,
}

/// Why a response does not serve later requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Bypass(Bypass),
    NotStored(NotStored),
    /// It is stored, and stale from the beginning.
    NeverFresh,
    /// It is stored, and validated before each use.
    AlwaysValidated,
}

impl Case {
    pub fn of(question: &Question<'_>) -> Self {
        let matched = question.policy.route(&question.request);
        Self {
            rules: Arc::unwrap_or_clone(matched.rules),
            request: question.request.clone(),
            response: question.response.clone(),
            ambiguous_path: matched.suspicious_path,
            body_bytes: question.body.len() as u64,
            now: question.now,
        }
    }

    pub fn admitted(&self) -> Result<(), Bypass> {
        admit::admit(&self.rules, &self.request, self.ambiguous_path)
    }

    /// RFC 9111 5.2.1.7: without anything in the store the answer is a 504.
    pub fn only_if_cached(&self) -> bool {
        CacheControl::of_request(&self.request.fields).only_if_cached
    }

    /// The key of a request to a cache that knows nothing of its path yet.
    pub fn keyed(&self) -> Keyed {
        key::keyed(&self.rules.key, &self.request, None)
    }

    /// The key under what the response says about its query.
    pub fn keyed_by_response(&self) -> Keyed {
        let said = self.response.fields.joined("no-vary-search").and_then(|value| NoVarySearch::parse(&value));
        key::keyed(&self.rules.key, &self.request, said.filter(|_| self.rules.key.no_vary_search).as_ref())
    }

    pub fn identity(&self) -> Identity {
        if self.rules.override_unsafe { Identity::None } else { identity::identity(&self.rules, &self.request.fields) }
    }

    pub fn directives(&self) -> CacheControl {
        CacheControl::of_response(&self.response.fields, &self.rules.targeted)
    }

    pub fn times(&self) -> Times {
        Times {
            request: self.now,
            response: self.now,
            date: self.response.fields.first("date").and_then(|value| date::parse(value, self.now)),
            age: age_field::parse(&self.response.fields).unwrap_or_default(),
        }
    }

    /// What the response's head says about storing it.
    pub fn storable(&self) -> Result<Lifetime, NotStored> {
        store::storable(&Candidate {
            rules: &self.rules,
            request: &self.request,
            identity: self.identity(),
            covers: &self.keyed().covers,
            response: &self.response,
            directives: &self.directives(),
            times: &self.times(),
        })
    }

    /// Whether later requests are answered with the response, and why not.
    pub fn serves(&self) -> Result<(), Reason> {
        self.admitted().map_err(Reason::Bypass)?;
        let lifetime = self.storable().map_err(Reason::NotStored)?;
        if self.body_bytes > self.rules.limits.object_bytes_max {
            return Err(Reason::NotStored(NotStored::TooLarge));
        }
        if self.response.content_length().is_some_and(|length| length != self.body_bytes) && !self.response.ends {
            return Err(Reason::NotStored(NotStored::Truncated));
        }
        if lifetime.always_validate {
            return Err(Reason::AlwaysValidated);
        }
        let age = age::current_age(&self.times(), self.now);
        if lifetime.fresh_for <= age { Err(Reason::NeverFresh) } else { Ok(()) }
    }
}
