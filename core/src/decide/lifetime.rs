//! How long a response is fresh, and how long past that it may be used: the origin's word (RFC 9111 4.2, RFC 5861) under
//! the policy's rules.

use super::age::{self, Times};
use super::freshness;
use crate::field::cache_control::CacheControl;
use crate::fields::Fields;
use crate::policy::rules::{Rules, StaleWindow, Ttl};
use crate::time::Seconds;

/// What lifetime comes to, in the terms of RFC 9111: fresh while `fresh_for` exceeds the current age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Freshness lifetime, counted in age (not from the moment of storing).
    pub fresh_for: Seconds,
    /// Stale use while a refresh runs, past the lifetime.
    pub stale_while_revalidate: Seconds,
    /// Stale use where the origin fails, past the lifetime.
    pub stale_if_error: Seconds,
    /// Validate before every use (`no-cache`).
    pub always_validate: bool,
    /// Never used stale (`must-revalidate`, `proxy-revalidate`).
    pub never_stale: bool,
}

/// The lifetime of a response; `None` where the policy says that it is not to be stored.
pub fn of(rules: &Rules, status: u16, directives: &CacheControl, fields: &Fields, times: &Times) -> Option<Lifetime> {
    let named = rules.status_ttl.iter().find(|(pattern, _)| pattern.matches(status)).map(|(_, ttl)| *ttl);
    let ttl = named.unwrap_or(rules.ttl);
    let explicit = freshness::explicit_lifetime(directives, fields, times).map(|(lifetime, _)| lifetime);
    // The policy counts from the moment of reception; in terms of age that is the age a response came with, and more.
    let from_now = |span: Seconds| age::current_age(times, times.response).plus(span);
    // A lifetime out of the policy is for what is cacheable by nature, unless the status is named.
    let by_policy = named.is_some() || (status < 400 && freshness::is_heuristically_cacheable(status));
    let mut policy_decides = false;
    let fresh_for = match ttl {
        Ttl::Never => return None,
        Ttl::Fixed(span) if by_policy => {
            policy_decides = true;
            from_now(span)
        }
        Ttl::Fixed(_) => explicit.unwrap_or_default(),
        Ttl::Respect { floor, ceiling, absent } => {
            let said = match (explicit, absent) {
                (Some(lifetime), _) => lifetime,
                (None, Some(span)) if by_policy => from_now(span),
                (None, _) => rules
                    .heuristic
                    .and_then(|rule| freshness::heuristic_lifetime(status, directives, fields, times, &rule))
                    .unwrap_or_default(),
            };
            let raised = floor.filter(|_| by_policy).map_or(said, |floor| said.max(from_now(floor)));
            ceiling.map_or(raised, |ceiling| raised.min(from_now(ceiling)))
        }
    };

    let overridden = rules.override_unsafe;
    let always_validate = directives.no_cache && !overridden;
    let never_stale = (directives.must_revalidate || directives.proxy_revalidate || always_validate) && !overridden;
    // RFC 9111 5.2.2.10: s-maxage forbids stale use like proxy-revalidate does. A window that the origin itself gives beside
    // it is meant; one from the policy is not, unless the policy also replaced the lifetime.
    let policy_window = overridden || policy_decides || directives.s_maxage.is_none();
    let window = |rule: StaleWindow, said: Option<Seconds>| match rule {
        _ if never_stale => Seconds::ZERO,
        StaleWindow::Policy(span) if policy_window => span,
        _ => said.unwrap_or_default(),
    };
    Some(Lifetime {
        fresh_for,
        stale_while_revalidate: window(rules.stale.while_revalidate, directives.stale_while_revalidate),
        stale_if_error: window(rules.stale.if_error, directives.stale_if_error),
        always_validate,
        never_stale,
    })
}

/// A lifetime cut by up to `percent`, spread by `spread` (a hash of the key and the time of storing).
pub fn jittered(fresh_for: Seconds, percent: u32, spread: u64) -> Seconds {
    if percent == 0 {
        return fresh_for;
    }
    // In thousandths of the lifetime, so that short lifetimes spread as well as whole seconds allow.
    let cut = spread % (u64::from(percent) * 10 + 1);
    fresh_for.minus(Seconds::saturating(u64::from(fresh_for.get()) * cut / 1000))
}
