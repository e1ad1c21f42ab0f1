//! Whether a request may use the cache at all.

use super::invalidation;
use crate::fields::RequestHead;
use crate::policy::rules::{AuthorizationRule, Rules, Ttl};

/// Why the cache was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bypass {
    /// A safe method other than GET and HEAD.
    Method,
    /// A method that may change state.
    UnsafeMethod,
    /// A GET or HEAD with a body: its meaning is not in its key.
    RequestBody,
    /// The connection is to be upgraded.
    Upgrade,
    /// The path can be read in more than one way.
    AmbiguousPath,
    /// The policy says never.
    Policy,
    /// The policy bypasses requests with `Authorization`.
    Authorization,
    /// An edge in front stores it.
    Edge,
    /// The host called out of order; nothing is cached rather than something wrong.
    Misdriven,
}

impl Bypass {
    /// The reason in `Cache-Status` and in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::UnsafeMethod => "unsafe-method",
            Self::RequestBody => "request-body",
            Self::Upgrade => "upgrade",
            Self::AmbiguousPath => "ambiguous-path",
            Self::Policy => "policy",
            Self::Authorization => "authorization",
            Self::Edge => "edge",
            Self::Misdriven => "misdriven",
        }
    }
}

/// Decides; `Ok` is yes.
pub fn admit(rules: &Rules, request: &RequestHead, ambiguous_path: bool) -> Result<(), Bypass> {
    if request.method != "GET" && request.method != "HEAD" {
        let unsafe_method = invalidation::is_unsafe(&request.method);
        return Err(if unsafe_method { Bypass::UnsafeMethod } else { Bypass::Method });
    }
    if request.has_body {
        return Err(Bypass::RequestBody);
    }
    if request.fields.has("upgrade") {
        return Err(Bypass::Upgrade);
    }
    if ambiguous_path {
        return Err(Bypass::AmbiguousPath);
    }
    if rules.ttl == Ttl::Never && rules.status_ttl.iter().all(|(_, ttl)| *ttl == Ttl::Never) {
        return Err(Bypass::Policy);
    }
    if rules.identity.authorization == AuthorizationRule::Bypass && request.fields.has("authorization") {
        return Err(Bypass::Authorization);
    }
    Ok(())
}
