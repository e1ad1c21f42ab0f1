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
    /// A client's `max-stale` counts: besides, the origin's `s-maxage` is not in force (RFC 9111 4.2.4, 5.2.2.10).
    pub takes_max_stale: bool,
}

/// The lifetime of a response; `None` where the policy says that it is not to be stored.
pub fn of(rules: &Rules, status: u16, directives: &CacheControl, fields: &Fields, times: &Times) -> Option<Lifetime> {
    let named = rules.status_ttl.iter().find(|(pattern, _)| pattern.matches(status)).map(|(_, ttl)| *ttl);
    // What another policy has kept of errors is nothing to one that does not name them.
    if status >= 400 && named.is_none() {
        return None;
    }
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
        takes_max_stale: policy_window && !never_stale,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fields, rules};
    use crate::time::Timestamp;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn check(settings: &str, status: u16, directives: &str, age: u64) -> Option<Lifetime> {
        let fields = fields(&[("cache-control", directives)]);
        let directives = CacheControl::of_response(&fields, &[]);
        let times = Times { request: NOW, response: NOW, date: None, age: Seconds::saturating(age) };
        of(&rules(settings), status, &directives, &fields, &times)
    }

    #[test]
    fn the_policy_bounds_the_origins_lifetime() {
        let bounded = r#""ttl":{"floor":"10s","ceiling":"100s","absent":"30s"}"#;
        for (settings, status, directives, age, want) in [
            (r#""ttl":"respect""#, 200, "max-age=60", 0, 60),
            (r#""ttl":"respect""#, 200, "max-age=60, s-maxage=5", 0, 5),
            (bounded, 200, "max-age=1", 0, 10),
            (bounded, 200, "max-age=60", 0, 60),
            (bounded, 200, "max-age=1000", 0, 100),
            (bounded, 200, "x", 0, 30),
            (bounded, 302, "x", 0, 0),
            (r#""ttl":"60s""#, 200, "max-age=5", 0, 60),
            (r#""ttl":"60s""#, 302, "max-age=5", 0, 5),
            // An upstream cache's age does not eat up the policy's lifetime.
            (r#""ttl":"60s""#, 200, "max-age=5", 100, 160),
            (r#""ttl":"60s","status_ttl":{"404":"7s"}"#, 404, "x", 0, 7),
            (r#""ttl":"60s","status_ttl":{"4xx":"7s"}"#, 410, "x", 0, 7),
        ] {
            let got = check(settings, status, directives, age).map(|lifetime| lifetime.fresh_for.get());
            assert_eq!(got, Some(want), "{settings} {status} {directives}");
        }
        assert_eq!(check(r#""ttl":"60s","status_ttl":{"404":"never"}"#, 404, "x", 0), None);
        // Whatever the origin says: one that an earlier policy named may be stored.
        assert_eq!(check(r#""ttl":"respect","status_ttl":{"404":"7s"}"#, 410, "max-age=60", 0), None);
    }

    #[test]
    fn rfc_9111_4_2_4_strict_directives_forbid_stale_use_whatever_the_policy_says() {
        let windows = r#""ttl":"respect","stale":{"while_revalidate":"10s","if_error":"20s"}"#;
        for (directives, swr, sie) in [
            ("max-age=60", 10, 20),
            ("max-age=60, must-revalidate", 0, 0),
            ("max-age=60, proxy-revalidate", 0, 0),
            ("no-cache, max-age=60", 0, 0),
            // RFC 9111 5.2.2.10, unless the origin itself opens the window.
            ("s-maxage=60", 0, 0),
            ("s-maxage=60, stale-while-revalidate=5", 5, 0),
        ] {
            let lifetime = check(windows, 200, directives, 0).unwrap();
            let got = (lifetime.stale_while_revalidate.get(), lifetime.stale_if_error.get());
            assert_eq!(got, (swr, sie), "{directives}");
        }
        let origin = check(r#""ttl":"respect""#, 200, "max-age=1, stale-if-error=9", 0).unwrap();
        assert_eq!(origin.stale_if_error.get(), 9);
    }

    #[test]
    fn rfc_9111_4_2_4_an_s_maxage_in_force_outweighs_a_clients_max_stale() {
        for (settings, directives, want) in [
            (r#""ttl":"respect""#, "max-age=60", true),
            (r#""ttl":"respect""#, "max-age=60, must-revalidate", false),
            (r#""ttl":"respect""#, "max-age=60, s-maxage=60", false),
            (r#""ttl":"60s""#, "s-maxage=60", true),
        ] {
            let lifetime = check(settings, 200, directives, 0).unwrap();
            assert_eq!(lifetime.takes_max_stale, want, "{settings} {directives}");
        }
    }

    #[test]
    fn jitter_cuts_and_never_adds() {
        let whole = Seconds::saturating(1000);
        let mut seen = std::collections::BTreeSet::new();
        for spread in 0..10_000u64 {
            let cut = jittered(whole, 10, spread.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert!(cut <= whole && cut.get() >= 900, "{cut}");
            seen.insert(cut);
        }
        assert!(seen.len() > 50, "spread over {} values", seen.len());
        assert_eq!(jittered(whole, 0, 12345), whole);
    }
}
