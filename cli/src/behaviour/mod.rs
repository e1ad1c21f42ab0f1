//! What a policy does to an endpoint, in facts and in words: for documentation, OpenAPI documents and audits.
//!
//! Decides nothing: what clients are told is read off an exchange that is run on a plain response (core's `explain`), the rest off
//! the compiled rules.

pub mod purging;
pub mod words;

use std::sync::Arc;
use std::time::SystemTime;

use larder_core::explain::{Again, Explanation, Question, Sent, explain};
use larder_core::policy::rules::{Rules, Ttl};
use larder_core::{Fields, Policy, RequestHead, ResponseHead, Timestamp};

/// What becomes of a plain response: 200, with a body and no fields about caching.
pub struct Behaviour {
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// The decision on it.
    pub plain: Explanation,
}

impl Behaviour {
    /// For a request. The method is the request's own.
    pub fn of(policy: &Arc<Policy>, request: RequestHead) -> Self {
        Self::with(policy, request, Fields::new())
    }

    /// The same, where the origin's response has some fields.
    pub fn with(policy: &Arc<Policy>, request: RequestHead, fields: Fields) -> Self {
        let rules = policy.route(&request).rules;
        let response = ResponseHead { status: 200, fields, ..ResponseHead::default() };
        let plain = explain(&Question { policy, now: now(), request, response, body: b"{}" });
        Self { rules, plain }
    }

    /// Whether anything is stored here, be it only where the origin asks for it.
    pub fn stores(&self) -> bool {
        self.rules.ttl != Ttl::Never || self.rules.status_ttl.iter().any(|(_, ttl)| *ttl != Ttl::Never)
    }

    /// A field of the plain response as a client gets it from the origin.
    pub fn sent(&self, name: &str) -> Option<String> {
        field(self.plain.sent.as_ref()?, name)
    }

    /// A field of the plain response as a client gets it from the cache.
    pub fn hit(&self, name: &str) -> Option<String> {
        match &self.plain.again {
            Again::FromCache(sent) => field(sent, name),
            _ => None,
        }
    }
}

fn field(sent: &Sent, name: &str) -> Option<String> {
    sent.fields.joined(name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// Now; nothing that is told depends on it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A request for a path on a host, as a client without any identity sends it.
pub fn request(method: &str, scheme: &str, host: &str, target: &str) -> RequestHead {
    RequestHead {
        method: method.to_owned(),
        scheme: scheme.to_owned(),
        authority: host.to_owned(),
        target: target.to_owned(),
        ..RequestHead::default()
    }
}

/// The path of a template with a value for each parameter: one that stands out.
pub fn example_path(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, braced)) = rest.split_once('{') {
        let (name, after) = braced.split_once('}').unwrap_or((braced, ""));
        path.push_str(before);
        path.push_str(match name.trim_start_matches('*') {
            name if name.starts_with("id") || name.ends_with("id") || name.ends_with("Id") => "7",
            _ if name.starts_with('*') => "a/b",
            _ => "example",
        });
        rest = after;
    }
    path + rest
}
