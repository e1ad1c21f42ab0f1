//! Whether a response may be stored (RFC 9111 3 and 3.5), and what of it.
//!
//! Looks at one request and its response; how long it stays fresh is `lifetime`'s matter. Every "no" has its reason.

use super::freshness;
use super::identity::Identity;
use super::lifetime::{self, Lifetime};
use super::unkeyed;
use crate::decide::age::Times;
use crate::decide::vary as vary_rule;
use crate::field::cache_control::CacheControl;
use crate::field::hop;
use crate::field::vary::{self, Vary};
use crate::fields::{Fields, RequestHead, ResponseHead, Source};
use crate::policy::rules::{Rules, SetCookieRule};
use crate::time::Seconds;

/// Why a response was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotStored {
    /// Only GET is stored.
    Method,
    /// The request had a body: a GET with one is never cached.
    RequestBody,
    /// The proxy wrote the response itself.
    Local,
    /// 206, 304 or an interim status: not a whole response.
    Partial,
    /// An error status that the policy does not name.
    Error,
    /// An error in answer to an odd request.
    OddRequest,
    /// `must-understand` on a status that is not understood.
    NotUnderstood,
    /// The request said `no-store`.
    RequestNoStore,
    /// The response said `no-store`.
    NoStore,
    /// The response said `private`.
    Private,
    /// The policy says never.
    Policy,
    /// The request carried `Authorization` (RFC 9111 3.5).
    Authorization,
    /// The request carried a session cookie.
    SessionCookie,
    /// The response sets a cookie.
    SetCookie,
    /// `Vary: *`.
    VaryAny,
    /// It varies by a field that the policy does not allow.
    VaryNotAllowed,
    /// The request carried a field that the answer may depend on, outside the key.
    UnkeyedInput,
    /// CORS headers for one origin without `Vary: Origin`.
    UnkeyedOrigin,
    /// Neither a lifetime nor anything to validate with.
    NoLifetime,
    /// A field value with CR, LF or NUL.
    Unclean,
    /// The body is larger than the limit.
    TooLarge,
    /// More tags than the limit, or one that cannot be kept.
    Tags,
    /// The body ended early.
    Truncated,
}

impl NotStored {
    /// The reason in `Cache-Status` and in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestBody => "request-body",
            Self::Local => "local-reply",
            Self::Partial => "partial",
            Self::Error => "error-status",
            Self::OddRequest => "odd-request",
            Self::NotUnderstood => "not-understood",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Policy => "policy",
            Self::Authorization => "authorization",
            Self::SessionCookie => "session-cookie",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::VaryNotAllowed => "vary-not-allowed",
            Self::UnkeyedInput => "unkeyed-input",
            Self::UnkeyedOrigin => "unkeyed-origin",
            Self::NoLifetime => "no-lifetime",
            Self::Unclean => "unclean-field",
            Self::TooLarge => "too-large",
            Self::Tags => "tags",
            Self::Truncated => "truncated",
        }
    }

    /// Whether the next response to the same key will most likely not be stored either, so that requests need not wait
    /// for one another.
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::NoStore
                | Self::Private
                | Self::Policy
                | Self::SetCookie
                | Self::VaryAny
                | Self::VaryNotAllowed
                | Self::UnkeyedOrigin
                | Self::NoLifetime
                | Self::TooLarge
                | Self::Tags
        )
    }
}

/// What the decision is about.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The rules of the request's route.
    pub rules: &'a Rules,
    /// The request.
    pub request: &'a RequestHead,
    /// The identity outside the key.
    pub identity: Identity,
    /// Request fields that the key covers.
    pub covers: &'a [String],
    /// The response.
    pub response: &'a ResponseHead,
    /// Its directives.
    pub directives: &'a CacheControl,
    /// When it was asked for and came.
    pub times: &'a Times,
}

/// Whether the response may be stored, as far as its head tells.
pub fn storable(c: &Candidate<'_>) -> Result<Lifetime, NotStored> {
    let (rules, status, directives) = (c.rules, c.response.status, c.directives);
    if c.request.method != "GET" {
        return Err(NotStored::Method);
    }
    if c.request.has_body {
        return Err(NotStored::RequestBody);
    }
    if c.response.source != Source::Origin {
        return Err(NotStored::Local);
    }
    if status < 200 || status == 206 || status == 304 || c.response.fields.has("content-range") {
        return Err(NotStored::Partial);
    }
    if status >= 400 && !rules.status_ttl.iter().any(|(pattern, _)| pattern.matches(status)) {
        return Err(NotStored::Error);
    }
    if status >= 400 && unkeyed::is_odd(c.request) {
        return Err(NotStored::OddRequest);
    }
    // RFC 9111 5.2.2.3: must-understand limits storing to understood statuses, and then no-store is ignored.
    let understood = freshness::is_understood(status);
    if directives.must_understand && !understood {
        return Err(NotStored::NotUnderstood);
    }
    if CacheControl::of_request(&c.request.fields).no_store {
        return Err(NotStored::RequestNoStore);
    }
    if !rules.override_unsafe {
        if directives.no_store && !directives.must_understand {
            return Err(NotStored::NoStore);
        }
        if directives.private {
            return Err(NotStored::Private);
        }
        identity_allows(c)?;
    }
    input_is_keyed(c)?;
    if !c.response.fields.iter().all(|line| hop::is_clean(&line.value)) {
        return Err(NotStored::Unclean);
    }
    if c.response.content_length().is_some_and(|length| length > rules.limits.object_bytes_max) {
        return Err(NotStored::TooLarge);
    }
    let lifetime = lifetime::of(rules, status, directives, &c.response.fields, c.times).ok_or(NotStored::Policy)?;
    let validator = c.response.fields.has("etag") || c.response.fields.has("last-modified");
    let usable_stale = lifetime.stale_while_revalidate.max(lifetime.stale_if_error) > Seconds::ZERO;
    if lifetime.fresh_for == Seconds::ZERO && !validator && !usable_stale {
        return Err(NotStored::NoLifetime);
    }
    Ok(lifetime)
}

/// RFC 9111 3.5, applied to session cookies as well: identity is shared only where the response says so.
fn identity_allows(c: &Candidate<'_>) -> Result<(), NotStored> {
    if c.response.fields.has("set-cookie") && c.rules.identity.set_cookie == SetCookieRule::NotStored {
        return Err(NotStored::SetCookie);
    }
    match c.identity {
        Identity::None => Ok(()),
        _ if is_shareable(c.directives) => Ok(()),
        Identity::Authorization => Err(NotStored::Authorization),
        Identity::SessionCookie => Err(NotStored::SessionCookie),
    }
}

/// Whether a response says that it may be shared though its request carried identity.
pub fn is_shareable(directives: &CacheControl) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

fn input_is_keyed(c: &Candidate<'_>) -> Result<(), NotStored> {
    match vary::parse(&c.response.fields) {
        Vary::Any => return Err(NotStored::VaryAny),
        names => {
            if vary_rule::not_allowed(&names, c.rules.vary_allow.as_deref(), c.covers).is_some() {
                return Err(NotStored::VaryNotAllowed);
            }
            if !origin_is_keyed(c, &names) {
                return Err(NotStored::UnkeyedOrigin);
            }
            let vary_covers = |name: &String| matches!(&names, Vary::Names(names) if names.contains(name));
            if unkeyed::unkeyed(c.request, c.covers).is_some_and(|name| !vary_covers(&name)) {
                return Err(NotStored::UnkeyedInput);
            }
        }
    }
    Ok(())
}

/// A response that allows one CORS origin is for that origin only.
fn origin_is_keyed(c: &Candidate<'_>, vary: &Vary) -> bool {
    let allowed = c.response.fields.first("access-control-allow-origin");
    let named = matches!(vary, Vary::Names(names) if names.iter().any(|name| name == "origin"));
    !c.request.fields.has("origin")
        || allowed.is_none_or(|origin| origin == b"*")
        || named
        || c.covers.iter().any(|name| name == "origin")
}

/// The fields of a response that are stored (RFC 9111 3.1): end-to-end, without what belongs to one client or one hop.
pub fn stored_fields(rules: &Rules, directives: &CacheControl, response: &Fields) -> Fields {
    let mut fields = response.clone();
    hop::strip_hop_by_hop(&mut fields);
    let dropped = |name: &str| {
        matches!(name, "age" | "content-length" | "x-envoy-upstream-service-time" | "proxy-status")
            || name.starts_with("x-larder-")
            || (name == "set-cookie" && rules.identity.set_cookie != SetCookieRule::Keep)
            || directives.private_fields.iter().any(|field| field == name)
            || directives.no_cache_fields.iter().any(|field| field == name)
    };
    fields.retain(|line| !dropped(&line.name));
    fields
}
