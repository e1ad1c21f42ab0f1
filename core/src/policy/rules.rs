//! The settings in force for a route, after defaults, class and route are laid over one another.
//!
//! Shared by `Arc`, not `Rc`: the origin layer runs exchanges on many threads. Plain data: `compile` builds it from a policy file, `decide/` and `exchange/` read it. Every field says what
//! it means where the policy is silent (the built-in default).

use std::sync::Arc;

use super::template::Template;
use crate::time::{Millis, Seconds};

/// What kind of resource a class describes. A kind is a set of defaults, and `Personal` and `Never` are also promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fingerprinted files: long lifetimes, `immutable`.
    Static,
    /// Rarely changing data: countries, categories.
    Reference,
    /// Data that changes now and then: products.
    Catalog,
    /// Data that changes all the time: prices, stock.
    Volatile,
    /// One user's data: `private`, an ETag and 304s; never in a store unless the key carries the user.
    Personal,
    /// Never stored.
    Never,
    /// No kind: nothing but what the policy says, over the built-in defaults.
    Plain,
}

/// Everything a decision may depend on that comes from a policy.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Position among the policy's compiled rules, dense from 0; the rules of unmatched requests come last.
    pub index: usize,
    /// The route's name, for counters and `explain`.
    pub route: Arc<str>,
    /// The class's name.
    pub class: Arc<str>,
    /// The class's kind.
    pub kind: Kind,
    /// How long a response is fresh at the edge.
    pub ttl: Ttl,
    /// Lifetimes by status, first match wins, before `ttl`. Default: none.
    pub status_ttl: Vec<(StatusPattern, Ttl)>,
    /// Heuristic freshness (RFC 9111 4.2.2). Default: off.
    pub heuristic: Option<Heuristic>,
    /// Lifetimes are cut by up to this share, spread by key, so that entries stored together do not expire together.
    /// 0 to 50. Default: 0.
    pub jitter_percent: u32,
    /// Use of stale responses at the edge (RFC 5861, RFC 9111 4.2.4).
    pub stale: StaleRules,
    /// Refreshing what is used often before it expires. Default: off.
    pub refresh_ahead: Option<RefreshAhead>,
    /// What the client is told.
    pub client: ClientRules,
    /// Where the ETag comes from. Default: the origin's only.
    pub etag: EtagRule,
    /// Sets `Last-Modified` to the time of storing where the origin gave none. Default: false.
    pub add_last_modified: bool,
    /// What a cache key is made of.
    pub key: KeyRules,
    /// What identity does.
    pub identity: IdentityRules,
    /// Field names that a stored response may vary by; `None` is any. Default: accept, accept-encoding, accept-language, origin.
    pub vary_allow: Option<Vec<String>>,
    /// Tags given to stored responses.
    pub tags: TagRules,
    /// What a successful unsafe request invalidates besides its own URL.
    pub invalidate: InvalidateRules,
    /// Whether request `Cache-Control` and `Pragma` are obeyed. Default: false, so that clients cannot force work on the
    /// origin; `no-store` and `only-if-cached` are always obeyed.
    pub obey_request_directives: bool,
    /// Targeted fields read instead of `Cache-Control` (RFC 9213), first present wins. Default: `cdn-cache-control`.
    pub targeted: Vec<String>,
    /// Stores the answer to a POST that says it is the content of its own URL (RFC 9110 9.3.3). Default: false.
    pub store_post: bool,
    /// Stores parts (206), to answer requests for ranges within them (RFC 9111 3.3). Default: false.
    pub store_parts: bool,
    /// What a `PURGE` request does. Default: it passes.
    pub purge_method: PurgeRule,
    /// Request collapsing: how long a request waits for another's response to the same key. `None` is off. Default: 5 s.
    pub collapse_wait: Option<Millis>,
    /// Limits.
    pub limits: Limits,
    /// `"override": "unsafe"`: the policy wins over the origin's `private`, `no-store`, `no-cache` and over identity.
    pub override_unsafe: bool,
}

/// What a `PURGE` request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PurgeRule {
    /// Passes to the origin.
    #[default]
    Pass,
    /// Purges, with a token.
    Token,
}

/// How long a response is fresh at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// This long, whatever lifetime the origin gives (its `no-store`, `private` and `no-cache` still win).
    Fixed(Seconds),
    /// As the origin says, within bounds.
    Respect {
        /// Lifetimes below are raised to this (never those of `no-store`, `private`, `no-cache`).
        floor: Option<Seconds>,
        /// Lifetimes above are cut to this.
        ceiling: Option<Seconds>,
        /// Lifetime where the origin says nothing at all; `None` leaves it to heuristics.
        absent: Option<Seconds>,
    },
    /// Never stored.
    Never,
}

/// Statuses that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPattern {
    /// One status, `404`.
    Exact(u16),
    /// A hundred, `4xx` (the first digit).
    Class(u8),
}

impl StatusPattern {
    /// Whether `status` is meant.
    pub const fn matches(self, status: u16) -> bool {
        match self {
            Self::Exact(exact) => status == exact,
            Self::Class(hundreds) => status / 100 == hundreds as u16,
        }
    }
}

/// Heuristic freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// Share of the time since `Last-Modified`. Default: 10.
    pub percent: u32,
    /// Never longer than this. Default: one day.
    pub max: Seconds,
}

/// Use of stale responses at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleRules {
    /// Serve stale while refreshing in the background.
    pub while_revalidate: StaleWindow,
    /// Serve stale where the origin fails.
    pub if_error: StaleWindow,
}

/// Refreshing what is used often before it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshAhead {
    /// How long before.
    pub within: AheadWindow,
    /// Uses by one worker, within this lifetime, that make a response one that is used often. Default: 3.
    pub hits: u32,
}

/// How long before its end a lifetime counts as nearly over; never more than half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AheadWindow {
    /// A share of it, in percent.
    Share(u32),
    /// A span.
    Span(Seconds),
}

/// How long past its lifetime a response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleWindow {
    /// As the response's directive says; without one, not at all. The default.
    Origin,
    /// This long, whatever the directive says (zero: never).
    Policy(Seconds),
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// `None` passes the origin's `Cache-Control` on. `Some` replaces it, except where the origin said `private` or
    /// `no-store` (unless overridden).
    pub cache_control: Option<ClientCacheControl>,
    /// Fields taken out of responses, lower case. Default: none when passing on; `pragma`, `expires`, `surrogate-control`
    /// when `cache_control` is built, since they would contradict it.
    pub remove: Vec<String>,
}

/// The `Cache-Control` built for clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCacheControl {
    /// `max-age`; `None` leaves it out.
    pub browser_ttl: Option<Seconds>,
    /// `public` or `private`; `None` leaves it out.
    pub scope: Option<Scope>,
    /// `immutable`.
    pub immutable: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `stale-while-revalidate`.
    pub stale_while_revalidate: Option<Seconds>,
    /// `stale-if-error`.
    pub stale_if_error: Option<Seconds>,
}

/// Who may store, as told to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any cache.
    Public,
    /// The client's own cache only.
    Private,
}

/// Where the ETag comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtagRule {
    /// The origin's or none.
    #[default]
    Origin,
    /// The origin's where it is there, else strong from the body's bytes.
    Strong,
    /// The origin's where it is there, else weak from the body's bytes.
    Weak,
}

/// What a cache key is made of. Scheme, host, port and path always take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// Query parameters that take part.
    pub query: QueryRule,
    /// Whether parameters are sorted by name (stable, repeated names keep their order). Default: false: order may matter to
    /// an origin.
    pub sort_query: bool,
    /// Whether a response's `No-Vary-Search` is honoured. Default: true.
    pub no_vary_search: bool,
    /// Request fields that take part, lower case.
    pub headers: Vec<String>,
    /// Cookies that take part.
    pub cookies: Vec<String>,
    /// Content codings told apart, best first (`br`, `gzip`); requests are forwarded with what is left of their
    /// `Accept-Encoding`. `None` leaves the field to `Vary` and the origin.
    pub accept_encoding: Option<Vec<String>>,
    /// Languages told apart, the first one the default; requests are forwarded with the one chosen. `None` leaves the
    /// field to `Vary` and the origin.
    pub accept_language: Option<Vec<String>>,
    /// What tells users apart; makes stored responses personal ones. Empty: entries are shared.
    pub user: Vec<UserPart>,
}

/// Which query parameters take part in the key. What is left out of the key is left out of the forwarded request, too
/// ("what is forwarded is what was keyed").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// The whole query, byte for byte. The default.
    All,
    /// None of it.
    None,
    /// Only parameters of these names (`*` at the end is a wildcard).
    Allow(Vec<String>),
    /// All parameters but these (`*` at the end is a wildcard).
    Deny(Vec<String>),
}

/// A part of a request that identifies its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserPart {
    /// The `Authorization` field.
    Authorization,
    /// A cookie by name.
    Cookie(String),
    /// A request field by lower-case name, set by a trusted filter before Larder.
    Header(String),
}

/// What identity does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRules {
    /// `Authorization` on a request. Default: as RFC 9111 3.5.
    pub authorization: AuthorizationRule,
    /// Cookies that identify a session (`*` is a wildcard at the end). Default: `*`, every cookie.
    pub session_cookies: Vec<String>,
    /// Cookies that do not, though they match `session_cookies`. Default: those of well-known analytics.
    pub ignore_cookies: Vec<String>,
    /// `Set-Cookie` on a response. Default: not stored.
    pub set_cookie: SetCookieRule,
}

/// What `Authorization` on a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationRule {
    /// Shared only where the response says `public`, `s-maxage` or `must-revalidate`. The default.
    Rfc9111,
    /// The cache is not used at all.
    Bypass,
    /// As if it were not there. Needs `"override": "unsafe"`.
    Ignore,
}

/// What `Set-Cookie` on a response does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCookieRule {
    /// The response is not stored. The default.
    NotStored,
    /// It is stored without the field; the client that caused it still gets it.
    Strip,
    /// It is stored with the field. Needs `"override": "unsafe"`.
    Keep,
}

/// Tags given to stored responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagRules {
    /// Templates over path parameters, `product:{id}`.
    pub templates: Vec<Template>,
    /// Response fields that list tags, lower case: `surrogate-key` (spaces), `cache-tag` (commas), `cache-groups`
    /// (RFC 9875). Default: all three.
    pub fields: Vec<String>,
}

/// What a successful unsafe request invalidates besides its own URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidateRules {
    /// Tag templates over path parameters.
    pub tags: Vec<Template>,
    /// Path templates over path parameters, on the request's own host; `*` at the end makes it a prefix.
    pub paths: Vec<Template>,
    /// Soft: entries become stale instead of gone. Default: false.
    pub soft: bool,
}

/// Limits. Over a limit means "not stored" or "streamed", never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body that is stored. Default: 1 MiB.
    pub object_bytes_max: u64,
    /// Largest body for which headers are held back to add an ETag at once. Default: 64 KiB.
    pub hold_bytes_max: u64,
    /// Variants kept per key. Default: 16.
    pub variants_per_key_max: u32,
    /// Tags kept per entry; more and the response is not stored (it could not be purged rightly). Default: 64.
    pub tags_per_entry_max: u32,
}
