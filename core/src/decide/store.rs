//! Whether a response may be stored (RFC 9111 3 and 3.5), and what of it.
//!
//! Looks at one request and its response; how long it stays fresh is `lifetime`'s matter. Every "no" has its reason.

use super::freshness;
use super::identity::Identity;
use super::lifetime::{self, Lifetime};
use super::{disguise, unkeyed};
use crate::decide::age::Times;
use crate::decide::vary as vary_rule;
use crate::field::cache_control::CacheControl;
use crate::field::hop;
use crate::field::range::{self, RangeRequest};
use crate::field::vary::{self, Vary};
use crate::fields::{Fields, Name, RequestHead, ResponseHead, Source};
use crate::policy::rules::{Rules, SetCookieRule, StatusPattern};
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
    /// A page where a file of another kind was asked for.
    PageForFile,
    /// Neither a lifetime nor anything to validate with, or a status that is not stored without a lifetime.
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
            Self::PageForFile => "page-for-file",
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
    if status < 200 || status == 304 || is_part(c) && !is_storable_part(c) {
        return Err(NotStored::Partial);
    }
    if status >= 400 && !rules.status_ttl.iter().any(|(pattern, _)| pattern.matches(status)) {
        return Err(NotStored::Error);
    }
    if status >= 400 && unkeyed::is_odd(c.request) {
        return Err(NotStored::OddRequest);
    }
    // No list of odd fields is whole: what any value may provoke is for others only where the policy means this very error, or
    // the origin says for how long.
    if unkeyed::is_about_the_request(status) && !is_meant(c) {
        return Err(NotStored::Error);
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
        if disguise::is_page_for_file(c.request, &c.response.fields) {
            return Err(NotStored::PageForFile);
        }
    }
    input_is_keyed(c)?;
    if !c.response.fields.iter().all(|line| hop::is_clean(&line.value)) {
        return Err(NotStored::Unclean);
    }
    if c.response.content_length().is_some_and(|length| length > rules.limits.object_bytes_max) {
        return Err(NotStored::TooLarge);
    }
    let lifetime = lifetime::of(rules, status, directives, &c.response.fields, c.times).ok_or(NotStored::Policy)?;
    if lifetime.fresh_for == Seconds::ZERO
        && !rules.override_unsafe
        && !freshness::permits_storing(status, directives, &c.response.fields)
    {
        return Err(NotStored::NoLifetime);
    }
    let validator = c.response.fields.has("etag") || c.response.fields.has("last-modified");
    let usable_stale = lifetime.stale_while_revalidate.max(lifetime.stale_if_error) > Seconds::ZERO;
    if lifetime.fresh_for == Seconds::ZERO && !validator && !usable_stale {
        return Err(NotStored::NoLifetime);
    }
    Ok(lifetime)
}

/// Whether an error is one that is to be stored: named as such, and not with its hundred, or with a lifetime of its own.
fn is_meant(c: &Candidate<'_>) -> bool {
    let named = |(pattern, _): &(StatusPattern, _)| *pattern == StatusPattern::Exact(c.response.status);
    c.rules.status_ttl.iter().any(named)
        || freshness::explicit_lifetime(c.directives, &c.response.fields, c.times).is_some()
}

/// RFC 9110 14.4: `Content-Range` means nothing on other statuses than 206. Where it reads as one all the same, the origin may
/// have meant a part.
fn is_part(c: &Candidate<'_>) -> bool {
    c.response.status == 206 || range::content_range(&c.response.fields).is_some()
}

/// RFC 9111 3.3: one range of bytes that was asked for as such.
fn is_storable_part(c: &Candidate<'_>) -> bool {
    c.rules.store_parts
        && c.response.status == 206
        && range::content_range(&c.response.fields).is_some()
        && matches!(range::parse(&c.request.fields), RangeRequest::One(_))
        && !CONDITIONS.iter().any(|name| c.request.fields.has(name))
}

/// Under a condition a part may be of another content than the next one asked for.
pub const CONDITIONS: [&str; 5] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];

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

/// Whether these rules would have stored what another policy has, as far as an entry still tells: what was let in against the origin's word
/// goes with the policy that let it in. `identified`: its request carried identity outside the key.
pub fn is_still_storable(rules: &Rules, directives: &CacheControl, identified: bool) -> bool {
    let refused = (directives.no_store && !directives.must_understand) || directives.private;
    rules.override_unsafe || !(refused || identified && !is_shareable(directives))
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
            let vary_covers =
                |name: &Name| matches!(&names, Vary::Names(names) if names.iter().any(|other| name == other));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::identity;
    use crate::testing::{get, response, rules};
    use crate::time::Timestamp;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn check(settings: &str, request: &RequestHead, response: &ResponseHead) -> Result<(), NotStored> {
        let rules = rules(settings);
        let directives = CacheControl::of_response(&response.fields, &rules.targeted);
        let times = Times { request: NOW, response: NOW, date: None, age: Seconds::ZERO };
        let covers = &rules.key.headers;
        storable(&Candidate {
            identity: identity::identity(&rules, &request.fields),
            rules: &rules,
            request,
            covers,
            response,
            directives: &directives,
            times: &times,
        })
        .map(|_| ())
    }

    #[test]
    fn rfc_9111_3_what_responses_may_be_stored() {
        let fresh = ("cache-control", "max-age=60");
        let respect = r#""ttl":"respect","status_ttl":{"404":"respect"}"#;
        for (name, response, want) in [
            ("explicit lifetime", response(200, &[fresh]), Ok(())),
            ("a validator and no lifetime", response(200, &[("etag", "\"a\"")]), Ok(())),
            ("nothing at all", response(200, &[]), Err(NotStored::NoLifetime)),
            ("302 with a validator only", response(302, &[("etag", "\"a\"")]), Err(NotStored::NoLifetime)),
            ("302, public", response(302, &[("etag", "\"a\""), ("cache-control", "public")]), Ok(())),
            ("302, over", response(302, &[("etag", "\"a\""), ("expires", "0")]), Ok(())),
            ("no-store", response(200, &[("cache-control", "max-age=60, no-store")]), Err(NotStored::NoStore)),
            ("private", response(200, &[("cache-control", "private, max-age=60")]), Err(NotStored::Private)),
            ("private fields only", response(200, &[("cache-control", "private=\"x\", max-age=60")]), Ok(())),
            ("206", response(206, &[fresh]), Err(NotStored::Partial)),
            ("200 with a range", response(200, &[fresh, ("content-range", "bytes 0-1/9")]), Err(NotStored::Partial)),
            ("200 with a range that is none", response(200, &[fresh, ("content-range", "x")]), Ok(())),
            ("304", response(304, &[fresh]), Err(NotStored::Partial)),
            ("302 with a lifetime", response(302, &[fresh]), Ok(())),
            ("404, named", response(404, &[fresh]), Ok(())),
            ("400, not named", response(400, &[fresh]), Err(NotStored::Error)),
            ("410, not named", response(410, &[fresh]), Err(NotStored::Error)),
            ("500, not named", response(500, &[fresh]), Err(NotStored::Error)),
            ("set-cookie", response(200, &[fresh, ("set-cookie", "a=b")]), Err(NotStored::SetCookie)),
            ("vary *", response(200, &[fresh, ("vary", "*")]), Err(NotStored::VaryAny)),
            ("vary user-agent", response(200, &[fresh, ("vary", "user-agent")]), Err(NotStored::VaryNotAllowed)),
            ("too large", response(200, &[fresh, ("content-length", "999999999")]), Err(NotStored::TooLarge)),
            ("split", response(200, &[fresh, ("x", "a\r\nset-cookie: b")]), Err(NotStored::Unclean)),
            (
                "must-understand, not understood",
                response(299, &[("cache-control", "max-age=60, must-understand")]),
                Err(NotStored::NotUnderstood),
            ),
            (
                "must-understand lifts no-store",
                response(200, &[("cache-control", "max-age=60, must-understand, no-store")]),
                Ok(()),
            ),
        ] {
            assert_eq!(check(respect, &get("/x", &[]), &response), want, "{name}");
        }
    }

    #[test]
    fn rfc_9111_3_3_a_part_is_stored_where_the_policy_says_so_and_one_range_was_asked_for() {
        let part = |range: &str| response(206, &[("cache-control", "max-age=60"), ("content-range", range)]);
        let one = get("/x", &[("range", "bytes=0-1")]);
        assert_eq!(check("", &one, &part("bytes 0-1/9")), Err(NotStored::Partial), "not by default");
        let store = r#""partial":"store""#;
        assert_eq!(check(store, &one, &part("bytes 0-1/9")), Ok(()));
        for (request, range) in [
            (&[][..], "bytes 0-1/9"),
            (&[("range", "bytes=0-1,3-4")], "bytes 0-1/9"),
            (&[("range", "bytes=0-1"), ("if-range", "\"a\"")], "bytes 0-1/9"),
            (&[("range", "bytes=0-1")], "bytes 0-1/*"),
            (&[("range", "bytes=0-1")], "multipart"),
        ] {
            assert_eq!(check(store, &get("/x", request), &part(range)), Err(NotStored::Partial), "{request:?} {range}");
        }
        let whole = response(200, &[("cache-control", "max-age=60"), ("content-range", "bytes 0-1/9")]);
        assert_eq!(check(store, &one, &whole), Err(NotStored::Partial));
    }

    #[test]
    fn rfc_9111_3_5_identity_is_shared_only_where_the_response_says_so() {
        let bearer = get("/x", &[("authorization", "Bearer x")]);
        let cookie = get("/x", &[("cookie", "session=x")]);
        for (directives, want) in [
            ("max-age=60", false),
            ("public, max-age=60", true),
            ("s-maxage=60", true),
            ("max-age=60, must-revalidate", true),
            ("private, s-maxage=60", false),
        ] {
            let response = response(200, &[("cache-control", directives)]);
            for request in [&bearer, &cookie] {
                assert_eq!(check("", request, &response).is_ok(), want, "{directives} {:?}", request.fields);
            }
        }
        let fresh = response(200, &[("cache-control", "max-age=60")]);
        let keyed = r#""key":{"user":["authorization"]}"#;
        assert_eq!(check(keyed, &bearer, &fresh), Ok(()), "the key tells users apart");
        let harmless = r#""identity":{"session_cookies":["sid"]}"#;
        assert_eq!(check(harmless, &cookie, &fresh), Ok(()), "a cookie that is no session");
        assert_eq!(check(harmless, &get("/x", &[("cookie", "a=b; sid=1")]), &fresh), Err(NotStored::SessionCookie));
    }

    #[test]
    fn a_policy_lifetime_does_not_beat_the_origins_no() {
        let fixed = r#""ttl":"60s""#;
        for (directives, want) in [
            ("max-age=0", Ok(())),
            ("no-cache", Ok(())),
            ("no-store", Err(NotStored::NoStore)),
            ("private", Err(NotStored::Private)),
        ] {
            assert_eq!(
                check(fixed, &get("/x", &[]), &response(200, &[("cache-control", directives)])),
                want,
                "{directives}"
            );
        }
        let forced = r#""ttl":"60s","override":"unsafe""#;
        for directives in ["no-store", "private", "no-cache"] {
            assert_eq!(check(forced, &get("/x", &[]), &response(200, &[("cache-control", directives)])), Ok(()));
        }
    }

    #[test]
    fn input_outside_the_key_is_not_stored() {
        let fresh = response(200, &[("cache-control", "max-age=60"), ("access-control-allow-origin", "https://a")]);
        assert_eq!(check("", &get("/x", &[("origin", "https://a")]), &fresh), Err(NotStored::UnkeyedOrigin));
        assert_eq!(check("", &get("/x", &[]), &fresh), Ok(()));
        let plain = response(200, &[("cache-control", "max-age=60")]);
        let posing = get("/x", &[("x-forwarded-host", "evil")]);
        assert_eq!(check("", &posing, &plain), Err(NotStored::UnkeyedInput));
        assert_eq!(check(r#""key":{"headers":["x-forwarded-host"]}"#, &posing, &plain), Ok(()));
        let fat = RequestHead { has_body: true, ..get("/x", &[]) };
        assert_eq!(check("", &fat, &plain), Err(NotStored::RequestBody));
        let odd = get("/x", &[("x-big", &"a".repeat(5000))]);
        let error = response(404, &[("cache-control", "max-age=60")]);
        assert_eq!(check(r#""status_ttl":{"404":"10s"}"#, &odd, &error), Err(NotStored::OddRequest));
    }

    #[test]
    fn a_hundred_does_not_name_errors_that_are_about_the_request() {
        let all = r#""ttl":"60s","status_ttl":{"4xx":"10s","403":"5s"}"#;
        for (status, fields, want) in [
            (404, &[][..], Ok(())),
            (410, &[], Ok(())),
            (403, &[], Ok(())),
            (400, &[], Err(NotStored::Error)),
            (406, &[], Err(NotStored::Error)),
            (431, &[], Err(NotStored::Error)),
            (400, &[("cache-control", "max-age=60")], Ok(())),
        ] {
            assert_eq!(check(all, &get("/x", &[]), &response(status, fields)), want, "{status} {fields:?}");
        }
    }

    #[test]
    fn what_belongs_to_one_hop_or_one_client_is_not_kept() {
        let rules = rules("");
        let response = response(
            200,
            &[
                ("cache-control", "max-age=60, private=\"x-user\", no-cache=\"x-once\""),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("x-user", "1"),
                ("x-once", "1"),
                ("age", "5"),
                ("set-cookie", "a=b"),
                ("x-larder-lease", "1"),
                ("etag", "\"a\""),
            ],
        );
        let directives = CacheControl::of_response(&response.fields, &rules.targeted);
        let kept = stored_fields(&rules, &directives, &response.fields);
        let names: Vec<&str> = kept.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["cache-control", "etag"]);
    }
}
