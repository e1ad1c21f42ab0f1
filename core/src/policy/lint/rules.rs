//! The list of lints: ids are kept for good, since people's scripts name them.

use super::Severity;

/// A lint.
#[derive(Debug, PartialEq, Eq)]
pub struct LintRule {
    /// Its name, as tools take it.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it finds.
    pub about: &'static str,
}

macro_rules! lints {
    ($($name:ident = $severity:ident $id:literal $about:literal,)*) => {
        $( pub(super) static $name: LintRule = LintRule { id: $id, severity: Severity::$severity, about: $about }; )*
        /// All lints, by id.
        pub static LINTS: &[&LintRule] = &[$( &$name, )*];
    };
}

lints! {
    BROWSER_OUTLIVES_EDGE = Note "browser-outlives-edge" "browsers keep a response longer than the edge, out of reach of any purge",
    ERROR_KEPT_LONG = Warning "error-kept-long" "an error is kept for longer than it takes to mend",
    INVALIDATE_NEVER = Warning "invalidate-never-happens" "a route without unsafe methods says what they invalidate",
    INVALIDATE_PATH = Warning "invalidate-path-without-route" "an invalidated path that no route has",
    INVALIDATE_TAG = Warning "invalidate-unknown-tag" "an invalidated tag that no route gives",
    LONG_TTL = Note "long-ttl-without-purge" "a long lifetime of what may change, and nothing that invalidates it",
    NO_EFFECT = Warning "no-effect" "a setting that changes nothing where it stands",
    SHADOWED_ROUTE = Warning "shadowed-route" "a route that no request can reach",
    SHARED_PERSONAL = Warning "shared-personal-data" "what may be one user's data is stored for everybody",
    STALE_WITHOUT_TTL = Warning "stale-without-ttl" "use of stale responses where none is stored",
    TARGET_ABOVE_TTL = Warning "target-above-ttl" "a hit ratio that the lifetime cannot give",
    TTL_WITHOUT_BOUND = Warning "ttl-without-bound" "a lifetime that only the origin bounds",
    UNUSED_CLASS = Warning "unused-class" "a class that no route uses",
    VARY_NOT_COVERED = Warning "vary-not-covered" "responses may vary by a field with endless values that the key does not tame",
    VARY_NOT_NORMALISED = Note "vary-not-normalised" "responses may vary by a field that clients write in many ways",
    WARM_TOO_SELDOM = Warning "warm-too-seldom" "a URL is warmed less often than it expires",
    WARM_WITHOUT_ROUTE = Warning "warm-without-route" "a warm URL that its route does not match, or that is not stored",
}

impl LintRule {
    /// The lint with this id.
    pub fn by_id(id: &str) -> Option<&'static Self> {
        LINTS.iter().find(|lint| lint.id == id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn ids_are_in_order_and_each_there_once() {
        assert!(LINTS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(LINTS.iter().all(|lint| LintRule::by_id(lint.id) == Some(lint)));
        assert_eq!(LintRule::by_id("nothing"), None);
    }
}
