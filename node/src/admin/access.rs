//! Who asks, and whether they may.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;
use crate::shared::Shared;
use crate::tokens::{Scope, Verdict};

/// Who asks where nobody has to say: the node listens on loopback only.
const LOCAL: &str = "local";

const MISDIRECTED: &str = "without tokens the admin plane answers to localhost, 127.0.0.1 and [::1] only";

/// Whether the request is for this machine, by the name that it says.
fn is_local(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
    let Ok(host) = host.parse::<Authority>() else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

const ELSEWHERE: &str = "without tokens, nothing is changed for a page from elsewhere";

/// Whether a page of another origin makes the browser ask: browsers say so of everything that may change something.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own =
        |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    headers.get_all(header::ORIGIN).iter().any(|origin| !origin.to_str().is_ok_and(own))
}

/// Who changes something, where they may. Where nobody has to say who they are, a page from elsewhere must not change anything by what a
/// browser sends unasked.
pub(super) fn allow_change<'a>(shared: &'a Shared, headers: &HeaderMap, scope: Scope) -> Result<&'a str, Problem> {
    let who = allow(shared, headers, scope)?;
    if shared.tokens.is_none() && is_from_elsewhere(headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, ELSEWHERE));
    }
    Ok(who)
}

/// Who asks, where they may.
pub(super) fn allow<'a>(shared: &'a Shared, headers: &HeaderMap, scope: Scope) -> Result<&'a str, Problem> {
    let Some(tokens) = &shared.tokens else {
        // A page from elsewhere, whose name somebody has made to mean this machine, says that name (DNS rebinding).
        return if is_local(headers) {
            Ok(LOCAL)
        } else {
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, MISDIRECTED))
        };
    };
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "send a token: Authorization: Bearer ..."));
    };
    match tokens.judge(token, scope) {
        Verdict::Allowed(who) => Ok(who),
        Verdict::NotForThat(who) => {
            let detail = format!("the token of {who} has not the scope {}", scope.as_str());
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        }
        Verdict::Unknown => Err(Problem::new(StatusCode::UNAUTHORIZED, "this token is not known")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for (hosts, want) in [
            (&["localhost:9902"][..], true),
            (&["LOCALHOST"], true),
            (&["127.0.0.1:1"], true),
            (&["127.8.9.1"], true),
            (&["[::1]:9902"], true),
            (&["evil.example:9902"], false),
            (&["127.0.0.1.evil.example"], false),
            (&["localhost.evil.example"], false),
            (&["10.0.0.1"], false),
            (&["localhost", "evil.example"], false),
            (&["a b"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().expect("a value"));
            }
            assert_eq!(is_local(&headers), want, "{hosts:?}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_says_so() {
        for (origin, want) in [
            (None, false),
            (Some("http://localhost:9902"), false),
            (Some("http://LOCALHOST:9902"), false),
            (Some("http://localhost:9903"), true),
            (Some("https://evil.example"), true),
            (Some("null"), true),
            (Some(""), true),
        ] {
            let mut headers = HeaderMap::from_iter([(header::HOST, "localhost:9902".parse().expect("a value"))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().expect("a value"))));
            assert_eq!(is_from_elsewhere(&headers), want, "{origin:?}");
        }
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        for (value, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a value"))]);
            assert_eq!(bearer(&headers), want.map(str::as_bytes), "{value}");
        }
    }
}
