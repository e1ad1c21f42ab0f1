//! Whether a stored response may answer a request now (RFC 9111 4, 4.2.4, 5.2.1; RFC 5861).
//!
//! Pure; gets the age, the lifetime and what the purge log says. Variants and identity are settled before.

use super::lifetime::Lifetime;
use crate::field::cache_control::{CacheControl, MaxStale};
use crate::purge::Covered;
use crate::time::Seconds;

/// What to do with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Use it.
    Fresh,
    /// Use it though it is stale: the client allows it (`max-stale`).
    StaleAllowed,
    /// Use it though it is stale, and refresh it in the background.
    StaleWhileRevalidate,
    /// Ask the origin first.
    Validate(Why),
    /// Do not use it, whatever happens.
    Gone,
}

/// Why the origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its lifetime is over.
    Stale,
    /// Its directives ask for validation before every use.
    AlwaysValidate,
    /// A soft purge covers it.
    Purged,
    /// The request's directives ask for it.
    Request,
}

/// Decides. `request` holds the request's directives where the policy obeys them.
pub fn reuse(lifetime: &Lifetime, age: Seconds, covered: Covered, request: Option<&CacheControl>) -> Reuse {
    if covered == Covered::Hard {
        return Reuse::Gone;
    }
    if lifetime.always_validate {
        return Reuse::Validate(Why::AlwaysValidate);
    }
    let left = lifetime.fresh_for.minus(age);
    if let Some(request) = request {
        let too_old = request.max_age.is_some_and(|max| age > max);
        // RFC 9111 5.2.1.3: fresh for at least the given span.
        let too_short = request.min_fresh.is_some_and(|min| left < min);
        if request.no_cache || too_old || too_short {
            return Reuse::Validate(Why::Request);
        }
    }
    if covered == Covered::No && left > Seconds::ZERO {
        return Reuse::Fresh;
    }
    let stale_by = age.minus(lifetime.fresh_for);
    if covered == Covered::No && lifetime.takes_max_stale {
        let allowed = request.and_then(|request| request.max_stale).is_some_and(|max| match max {
            MaxStale::Any => true,
            MaxStale::UpTo(span) => stale_by <= span,
        });
        if allowed {
            return Reuse::StaleAllowed;
        }
    }
    if stale_by < lifetime.stale_while_revalidate {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Validate(if covered == Covered::Soft { Why::Purged } else { Why::Stale })
}

/// Whether a stored response may stand in for an origin that fails (RFC 5861 4).
pub fn may_replace_error(lifetime: &Lifetime, age: Seconds, covered: Covered) -> bool {
    let stale_by = age.minus(lifetime.fresh_for);
    covered != Covered::Hard
        && !lifetime.never_stale
        && lifetime.stale_if_error > Seconds::ZERO
        && stale_by <= lifetime.stale_if_error
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn seconds(secs: u64) -> Seconds {
        Seconds::saturating(secs)
    }

    fn lifetime(fresh_for: u64, swr: u64, sie: u64) -> Lifetime {
        Lifetime {
            fresh_for: seconds(fresh_for),
            stale_while_revalidate: seconds(swr),
            stale_if_error: seconds(sie),
            always_validate: false,
            never_stale: false,
            takes_max_stale: true,
        }
    }

    fn request(text: &str) -> CacheControl {
        CacheControl::parse([text.as_bytes()].into_iter())
    }

    #[test]
    fn rfc_9111_4_2_fresh_while_the_lifetime_exceeds_the_age() {
        for (age, covered, want) in [
            (0, Covered::No, Reuse::Fresh),
            (59, Covered::No, Reuse::Fresh),
            (60, Covered::No, Reuse::StaleWhileRevalidate),
            (69, Covered::No, Reuse::StaleWhileRevalidate),
            (70, Covered::No, Reuse::Validate(Why::Stale)),
            (0, Covered::Soft, Reuse::StaleWhileRevalidate),
            (70, Covered::Soft, Reuse::Validate(Why::Purged)),
            (0, Covered::Hard, Reuse::Gone),
        ] {
            assert_eq!(reuse(&lifetime(60, 10, 0), seconds(age), covered, None), want, "{age} {covered:?}");
        }
    }

    #[test]
    fn rfc_9111_5_2_1_request_directives() {
        for (directives, age, want) in [
            ("no-cache", 0, Reuse::Validate(Why::Request)),
            ("max-age=10", 10, Reuse::Fresh),
            ("max-age=10", 11, Reuse::Validate(Why::Request)),
            ("min-fresh=50", 10, Reuse::Fresh),
            ("min-fresh=50", 11, Reuse::Validate(Why::Request)),
            ("max-stale", 1000, Reuse::StaleAllowed),
            ("max-stale=5", 65, Reuse::StaleAllowed),
            ("max-stale=5", 66, Reuse::Validate(Why::Stale)),
        ] {
            let got = reuse(&lifetime(60, 0, 0), seconds(age), Covered::No, Some(&request(directives)));
            assert_eq!(got, want, "{directives} at {age}");
        }
    }

    #[test]
    fn rfc_9111_5_2_2_2_must_revalidate_forbids_every_stale_use() {
        let strict = Lifetime { never_stale: true, takes_max_stale: false, ..lifetime(60, 0, 100) };
        assert_eq!(reuse(&strict, seconds(61), Covered::No, Some(&request("max-stale"))), Reuse::Validate(Why::Stale));
        assert!(!may_replace_error(&strict, seconds(61), Covered::No));
    }

    #[test]
    fn rfc_5861_4_stale_if_error_has_a_window_and_ends_with_a_hard_purge() {
        let window = lifetime(60, 0, 30);
        for (age, covered, want) in
            [(90, Covered::No, true), (91, Covered::No, false), (10, Covered::Soft, true), (10, Covered::Hard, false)]
        {
            assert_eq!(may_replace_error(&window, seconds(age), covered), want, "{age} {covered:?}");
        }
        assert!(!may_replace_error(&lifetime(60, 0, 0), seconds(61), Covered::No));
    }
}
