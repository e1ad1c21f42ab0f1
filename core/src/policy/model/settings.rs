//! The settings that `defaults`, classes and routes have in common.

use super::ahead::RefreshAheadSetting;
use super::values::{
    Bytes, Coding, CookieName, CookiePattern, FieldName, FieldValue, InvalidatePath, Language, Percent, QueryPattern,
    Ratio, Span, TagTemplate, Wait, WarmUrl,
};
use crate::policy::decode::{Cx, Decode, Named, Overlay, object, words};
use crate::policy::rules::{StatusPattern, UserPart};
use crate::policy::spanned::{Node, Value};

object! {
    /// Settings. A route's win over its class's, these over `defaults`, these over the presets of the class's kind.
    /// Objects are laid over one another field by field, lists and all other values are replaced.
    pub struct Settings {
        /// How long a response is fresh at the edge: a duration, `"respect"` (as the origin says), `"never"`, or bounds on what
        /// the origin says. Default: `"respect"`.
        pub ttl: TtlSetting = "ttl",
        /// Lifetimes by status, such as `"404": "10s"` or `"5xx": "never"`; an exact status wins over its hundred.
        /// `"4xx"` does not mean errors that a request's fields can provoke, such as 400 and 403, unless the response gives a lifetime.
        pub status_ttl: Named<StatusPattern, TtlSetting> = "status_ttl",
        /// Lifetimes guessed from `Last-Modified` where the origin gives none. Default: `"off"`.
        pub heuristic: HeuristicSetting = "heuristic",
        /// Cuts lifetimes by up to this share, from `"0%"` to `"50%"`, so that what was stored together does not expire
        /// together. Default: `"0%"`.
        pub jitter: Percent = "jitter",
        /// Use of stale responses at the edge.
        pub stale: StaleSettings = "stale",
        /// Refreshes responses that are used often before they expire: `"off"`, how long before (`"10%"` of the lifetime, `"30s"`),
        /// or that and how often they must be used. Default: `"off"`.
        pub refresh_ahead: RefreshAheadSetting = "refresh_ahead",
        /// What the client is told.
        pub client: ClientSettings = "client",
        /// Where the `ETag` comes from: the origin only, or computed where the origin gives none. Default: `"origin"`.
        pub etag: EtagWord = "etag",
        /// Whether `Last-Modified` is set to the time of storing where the origin gives none. Default: `"origin"`.
        pub last_modified: LastModifiedWord = "last_modified",
        /// What tells one stored response from another. Scheme, host, port and path always take part.
        pub key: KeySettings = "key",
        /// What requests and responses that belong to somebody do.
        pub identity: IdentitySettings = "identity",
        /// Fields that a stored response may vary by. Default: accept, accept-encoding, accept-language and origin.
        pub vary: VarySetting = "vary",
        /// Tags given to stored responses, to purge them by; path parameters in braces: `product:{id}`.
        pub tags: Vec<TagTemplate> = "tags",
        /// Response fields that list tags. Default: all three.
        pub tag_fields: Vec<TagField> = "tag_fields",
        /// What a successful unsafe request (POST, PUT, PATCH, DELETE) invalidates besides its own URL.
        pub invalidate: InvalidateSettings = "invalidate",
        /// Whether clients may ask for fresher responses by `Cache-Control` and `Pragma`. `no-store` and `only-if-cached` are
        /// always obeyed. Default: `"ignore"`.
        pub request_directives: RequestDirectivesWord = "request_directives",
        /// Response fields read instead of `Cache-Control` (RFC 9213), the first one present wins. Default: `cdn-cache-control`.
        pub targeted: Vec<FieldName> = "targeted",
        /// Whether the answer to a POST is stored for later GETs where it says that it is the content of its own URL, by
        /// `Content-Location` and a lifetime (RFC 9110 9.3.3). Default: `"pass"`.
        pub post: StoreWord = "post",
        /// Whether parts of a response (206) are stored, to answer requests for the same range or one within it
        /// (RFC 9111 3.3). Default: `"pass"`.
        pub partial: StoreWord = "partial",
        /// What a `PURGE` request does: passes to the origin like any unsafe method, or purges where it carries a token that the
        /// cluster knows for that. Default: `"pass"`.
        pub purge_method: PurgeMethodWord = "purge_method",
        /// Whether requests wait for another's response to the same key: `"off"`, or how long. Default: 5 s.
        pub collapse: CollapseSetting = "collapse",
        /// Limits. What is over a limit is passed on and not stored; it is never an error.
        pub limits: LimitSettings = "limits",
        /// URLs kept warm.
        pub warm: Vec<Warm> = "warm",
        /// The hit ratio that is aimed at, from 0 to 1, for dashboards and alerts.
        pub target_hit_ratio: Ratio = "target_hit_ratio",
    }
}

words! {
    /// A lifetime that is no span.
    pub enum TtlWord {
        /// As the origin says.
        Respect = "respect",
        /// Not stored.
        Never = "never",
    }
}

object! {
    /// A lifetime as the origin says, within bounds.
    pub struct TtlBounds {
        /// Shorter lifetimes are raised to this (never those of `no-store`, `no-cache` or `private`).
        pub floor: Span = "floor",
        /// Longer lifetimes are cut to this.
        pub ceiling: Span = "ceiling",
        /// The lifetime where the origin says nothing at all.
        pub absent: Span = "absent",
    }
}

/// How long a response is fresh.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum TtlSetting {
    /// As the origin says, or not at all.
    Word(TtlWord),
    /// This long, whatever the origin says.
    Fixed(Span),
    /// As the origin says, within bounds.
    Bounds(TtlBounds),
}

impl Decode for TtlSetting {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Object(_) => TtlBounds::decode(node, cx).map(Self::Bounds),
            Value::String(text) if let Some(word) = TtlWord::from_word(text) => Some(Self::Word(word)),
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Span::decode(node, cx).map(Self::Fixed)
            }
            _ => or_words(node, cx, TtlWord::WORDS, "a duration such as \"60s\", \"respect\", \"never\" or bounds"),
        }
    }
}

impl Overlay for TtlSetting {
    fn overlay(&mut self, over: &Self) {
        match (self, over) {
            (Self::Bounds(under), Self::Bounds(over)) => under.overlay(over),
            (under, over) => under.clone_from(over),
        }
    }
}

/// Notes that `node` is neither one of `words` nor what else is expected there.
pub(super) fn or_words<T>(node: &Node, cx: &mut Cx, words: &[&str], expected: &str) -> Option<T> {
    let nearest = node.value.as_str().and_then(|word| crate::policy::nearest::nearest(word, words.iter().copied()));
    let problem = crate::policy::errors::Problem::expected(expected).found(node.describe()).nearest(nearest);
    cx.problem(node.at, problem);
    None
}

/// A choice between one word and an object.
macro_rules! word_or_object {
    ($(#[$meta:meta])* pub enum $name:ident { $word:ident($wtype:ident), $object:ident($otype:ident) } or $expected:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
        #[serde(untagged)]
        pub enum $name {
            /// By one word.
            $word($wtype),
            /// In detail.
            $object($otype),
        }

        impl Decode for $name {
            fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
                match &node.value {
                    Value::Object(_) => $otype::decode(node, cx).map(Self::$object),
                    Value::String(text) if let Some(word) = $wtype::from_word(text) => Some(Self::$word(word)),
                    _ => or_words(node, cx, $wtype::WORDS, $expected),
                }
            }
        }

        impl Overlay for $name {
            fn overlay(&mut self, over: &Self) {
                match (self, over) {
                    (Self::$object(under), Self::$object(over)) => under.overlay(over),
                    (under, over) => under.clone_from(over),
                }
            }
        }
    };
}

words! {
    /// Turned off.
    pub enum OffWord {
        /// Off.
        Off = "off",
    }
}

object! {
    /// How lifetimes are guessed.
    pub struct HeuristicBounds {
        /// Share of the time since `Last-Modified`. Default: 10%.
        pub percent: Percent = "percent",
        /// Never longer than this. Default: 1d.
        pub max: Span = "max",
    }
}

word_or_object! {
    /// Lifetimes guessed from `Last-Modified`.
    pub enum HeuristicSetting { Word(OffWord), Bounds(HeuristicBounds) }
    or "\"off\" or an object with \"percent\" and \"max\""
}

words! {
    /// As the origin says.
    pub enum OriginWord {
        /// As the origin says.
        Origin = "origin",
    }
}

/// How long a stale response may be used.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum StaleSetting {
    /// As the response's own directive says; without one, not at all.
    Word(OriginWord),
    /// This long, whatever the directive says; `"0s"` is never.
    Fixed(Span),
}

impl Decode for StaleSetting {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::String(text) if let Some(word) = OriginWord::from_word(text) => Some(Self::Word(word)),
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Span::decode(node, cx).map(Self::Fixed)
            }
            _ => or_words(node, cx, OriginWord::WORDS, "a duration such as \"30s\" or \"origin\""),
        }
    }
}

impl Overlay for StaleSetting {
    fn overlay(&mut self, over: &Self) {
        self.clone_from(over);
    }
}

object! {
    /// Use of stale responses at the edge.
    pub struct StaleSettings {
        /// How long past its lifetime a response is served while it is refreshed in the background. Default: `"origin"`.
        pub while_revalidate: StaleSetting = "while_revalidate",
        /// How long past its lifetime a response is served where the origin fails. Default: `"origin"`.
        pub if_error: StaleSetting = "if_error",
    }
}

object! {
    /// What the client is told.
    pub struct ClientSettings {
        /// The client's `Cache-Control`: `"origin"` passes the origin's on, an object replaces it (but never where the origin
        /// said `private` or `no-store`). Default: `"origin"`.
        pub cache_control: ClientCacheControlSetting = "cache_control",
        /// Fields taken out of responses. Default: none, or those that would contradict a `cache_control` built here
        /// (`pragma`, `expires`, `surrogate-control`).
        pub remove: Vec<FieldName> = "remove",
    }
}

words! {
    /// Who may store, as told to clients.
    pub enum ScopeWord {
        /// Any cache.
        Public = "public",
        /// The client's own cache only.
        Private = "private",
    }
}

object! {
    /// The `Cache-Control` built for clients.
    pub struct ClientDirectives {
        /// `max-age`: how long the client may use the response without asking.
        pub browser_ttl: Span = "browser_ttl",
        /// `public` or `private`.
        pub scope: ScopeWord = "scope",
        /// `immutable`: the client does not even ask on a reload.
        pub immutable: bool = "immutable",
        /// `must-revalidate`: never stale at the client.
        pub must_revalidate: bool = "must_revalidate",
        /// `no-cache`: the client asks each time.
        pub no_cache: bool = "no_cache",
        /// `no-store`: the client keeps nothing.
        pub no_store: bool = "no_store",
        /// `stale-while-revalidate` for clients.
        pub stale_while_revalidate: Span = "stale_while_revalidate",
        /// `stale-if-error` for clients.
        pub stale_if_error: Span = "stale_if_error",
    }
}

word_or_object! {
    /// The client's `Cache-Control`.
    pub enum ClientCacheControlSetting { Word(OriginWord), Directives(ClientDirectives) }
    or "\"origin\" or an object of directives"
}

words! {
    /// Where the `ETag` comes from.
    pub enum EtagWord {
        /// The origin's or none.
        Origin = "origin",
        /// The origin's, else a strong one computed from the body.
        Strong = "strong",
        /// The origin's, else a weak one computed from the body.
        Weak = "weak",
    }
}

words! {
    /// Where `Last-Modified` comes from.
    pub enum LastModifiedWord {
        /// The origin's or none.
        Origin = "origin",
        /// The origin's, else the time of storing.
        Stored = "stored",
    }
}

object! {
    /// What tells one stored response from another.
    pub struct KeySettings {
        /// Query parameters that take part: `"all"`, `"none"`, or a list to allow or deny (`*` at the end of a name stands for any
        /// rest). What is left out is not forwarded either. Default: `"all"`.
        pub query: QuerySetting = "query",
        /// Whether parameters are sorted by name, so that their order makes no difference. Default: false.
        pub sort_query: bool = "sort_query",
        /// Whether a response's `No-Vary-Search` is honoured. Default: true.
        pub no_vary_search: bool = "no_vary_search",
        /// Request fields that take part.
        pub headers: Vec<FieldName> = "headers",
        /// Cookies that take part.
        pub cookies: Vec<CookieName> = "cookies",
        /// Content codings told apart, best first. Left out: as the response's `Vary` says.
        pub accept_encoding: Vec<Coding> = "accept_encoding",
        /// Languages told apart, the default one first. Left out: as the response's `Vary` says.
        pub accept_language: Vec<Language> = "accept_language",
        /// What tells users apart; entries are then per user.
        pub user: Vec<UserPart> = "user",
    }
}

words! {
    /// Query parameters, by one word.
    pub enum QueryWord {
        /// All of them, byte for byte.
        All = "all",
        /// None of them.
        None = "none",
    }
}

object! {
    /// A list of query parameters: either `allow` or `deny`.
    pub struct QueryList {
        /// Only these take part.
        pub allow: Vec<QueryPattern> = "allow",
        /// All but these take part.
        pub deny: Vec<QueryPattern> = "deny",
    }
}

/// Query parameters that take part in the key.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum QuerySetting {
    /// All or none.
    Word(QueryWord),
    /// By list.
    List(QueryList),
}

impl Decode for QuerySetting {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Object(_) => QueryList::decode(node, cx).map(Self::List),
            Value::String(text) if let Some(word) = QueryWord::from_word(text) => Some(Self::Word(word)),
            _ => or_words(node, cx, QueryWord::WORDS, "\"all\", \"none\", {\"allow\": [...]} or {\"deny\": [...]}"),
        }
    }
}

impl Overlay for QuerySetting {
    // As a whole: an allow list in a route over a deny list in its class is one list, not both.
    fn overlay(&mut self, over: &Self) {
        self.clone_from(over);
    }
}

words! {
    /// What `Authorization` on a request does.
    pub enum AuthorizationWord {
        /// Its response is shared only where the origin says so (RFC 9111 3.5).
        Rfc9111 = "rfc9111",
        /// The cache is not used.
        Bypass = "bypass",
        /// As if it were not there. Needs `"override": "unsafe"`.
        Ignore = "ignore",
    }
}

words! {
    /// What a `PURGE` request does.
    pub enum PurgeMethodWord {
        /// Passes to the origin.
        Pass = "pass",
        /// Purges its URL, or the tags that `Surrogate-Key` lists, where its bearer token is one for purging.
        Token = "token",
    }
}

words! {
    /// What becomes of responses that few caches store.
    pub enum StoreWord {
        /// They are passed on and not stored.
        Pass = "pass",
        /// They are stored where the RFC allows it.
        Store = "store",
    }
}

words! {
    /// What `Set-Cookie` on a response does.
    pub enum SetCookieWord {
        /// The response is not stored.
        NotStored = "not_stored",
        /// It is stored without the field; the client that caused it still gets it.
        Strip = "strip",
        /// It is stored with the field. Needs `"override": "unsafe"`.
        Keep = "keep",
        /// It is stored with the field, whoever asks gets it, and everything else stays as the origin says. RFC 9111 7.3
        /// allows it; it is right only where the cookie is the same for everybody.
        KeepUnsafe = "keep_unsafe",
    }
}

object! {
    /// What requests and responses that belong to somebody do.
    pub struct IdentitySettings {
        /// `Authorization` on a request. Default: `"rfc9111"`.
        pub authorization: AuthorizationWord = "authorization",
        /// Cookies that identify a session; `*` at the end stands for any rest. An empty list says that none does. Default: `*`.
        pub session_cookies: Vec<CookiePattern> = "session_cookies",
        /// Cookies that do not, though `session_cookies` says so. Default: those of well-known analytics.
        pub ignore_cookies: Vec<CookiePattern> = "ignore_cookies",
        /// `Set-Cookie` on a response. Default: `"not_stored"`.
        pub set_cookie: SetCookieWord = "set_cookie",
    }
}

words! {
    /// Any field.
    pub enum AnyWord {
        /// Any.
        Any = "any",
    }
}

object! {
    /// A list of fields.
    pub struct VaryList {
        required {
            /// A response that varies by anything else is not stored.
            pub allow: Vec<FieldName> = "allow",
        }
    }
}

word_or_object! {
    /// Fields that a stored response may vary by.
    pub enum VarySetting { Word(AnyWord), List(VaryList) }
    or "\"any\" or {\"allow\": [...]}"
}

words! {
    /// A response field that lists tags.
    pub enum TagField {
        /// Separated by blanks.
        SurrogateKey = "surrogate-key",
        /// Separated by commas.
        CacheTag = "cache-tag",
        /// A list of strings (RFC 9875).
        CacheGroups = "cache-groups",
    }
}

words! {
    /// How entries are invalidated.
    pub enum InvalidateMode {
        /// They are gone.
        Hard = "hard",
        /// They become stale.
        Soft = "soft",
    }
}

object! {
    /// What a successful unsafe request invalidates.
    pub struct InvalidateSettings {
        /// Tags; path parameters in braces.
        pub tags: Vec<TagTemplate> = "tags",
        /// Paths of the same host; path parameters in braces, `*` at the end stands for any rest.
        pub paths: Vec<InvalidatePath> = "paths",
        /// Default: `"hard"`.
        pub mode: InvalidateMode = "mode",
    }
}

words! {
    /// What clients' `Cache-Control` and `Pragma` do.
    pub enum RequestDirectivesWord {
        /// They are obeyed (RFC 9111 5.2.1).
        Obey = "obey",
        /// They are not.
        Ignore = "ignore",
    }
}

object! {
    /// How requests wait for one another.
    pub struct CollapseBounds {
        required {
            /// Longest wait, up to 60 s.
            pub wait: Wait = "wait",
        }
    }
}

word_or_object! {
    /// Whether requests wait for another's response to the same key.
    pub enum CollapseSetting { Word(OffWord), Bounds(CollapseBounds) }
    or "\"off\" or {\"wait\": \"5s\"}"
}

object! {
    /// Limits.
    pub struct LimitSettings {
        /// Largest body that is stored, up to 64 MiB. Default: 1 MiB.
        pub object_bytes: Bytes = "object_bytes",
        /// Largest body for which a response's head is held back to add an `ETag`, up to 1 MiB. Default: 64 KiB.
        pub hold_bytes: Bytes = "hold_bytes",
        /// Variants kept per key, up to 256. Default: 16.
        pub variants_per_key: u32 = "variants_per_key",
        /// Tags kept per entry, up to 256. Default: 64.
        pub tags_per_entry: u32 = "tags_per_entry",
    }
}

object! {
    /// A URL kept warm.
    pub struct Warm {
        required {
            /// What is requested: a path, or a URL with its host.
            pub url: WarmUrl = "url",
            /// How often.
            pub every: Span = "every",
        }
        /// Request fields sent along.
        pub headers: Named<FieldName, FieldValue> = "headers",
    }
}
