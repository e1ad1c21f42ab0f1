//! Rules in words.

use larder_core::policy::rules::{
    AuthorizationRule, ClientCacheControl, EtagRule, KeyRules, QueryRule, Rules, StaleWindow, StatusPattern, Ttl,
    UserPart,
};
use larder_core::time::Seconds;

/// A span: `1 minute 30 seconds`.
pub fn span(span: Seconds) -> String {
    const UNITS: [(&str, u32); 4] = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let mut left = span.get();
    let mut parts = Vec::new();
    for (unit, seconds) in UNITS {
        let count = left / seconds;
        left %= seconds;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

/// How long something is kept.
pub fn ttl(ttl: Ttl) -> String {
    match ttl {
        Ttl::Never => "not kept".to_owned(),
        Ttl::Fixed(fixed) => span(fixed),
        Ttl::Respect { floor, ceiling, absent } => {
            let mut parts = vec!["as the response says".to_owned()];
            parts.extend(floor.map(|floor| format!("at least {}", span(floor))));
            parts.extend(ceiling.map(|ceiling| format!("at most {}", span(ceiling))));
            parts.extend(absent.map(|absent| format!("{} where it says nothing", span(absent))));
            parts.join(", ")
        }
    }
}

/// Lifetimes by status: `404` and for how long.
pub fn status_ttl(rules: &Rules) -> Vec<(String, String)> {
    let name = |pattern: &StatusPattern| match pattern {
        StatusPattern::Exact(status) => status.to_string(),
        StatusPattern::Class(hundreds) => format!("{hundreds}xx"),
    };
    rules.status_ttl.iter().map(|(pattern, of)| (name(pattern), ttl(*of))).collect()
}

/// Use past the lifetime: while it is refreshed, and where the origin fails; `None` is none.
pub fn stale(window: StaleWindow) -> Option<String> {
    match window {
        StaleWindow::Policy(span) if span == Seconds::ZERO => None,
        StaleWindow::Policy(window) => Some(span(window)),
        StaleWindow::Origin => Some("as the response says".to_owned()),
    }
}

/// What tells responses apart besides scheme, host and path, each in a few words.
pub fn differs_by(rules: &Rules) -> Vec<String> {
    let KeyRules { query, headers, cookies, accept_encoding, accept_language, user, .. } = &rules.key;
    let names = |list: &[String]| list.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut parts = vec![match query {
        QueryRule::All => "the whole query".to_owned(),
        QueryRule::None => "no query parameter: a query is dropped".to_owned(),
        QueryRule::Allow(list) => format!("the query parameters {}; others are dropped", names(list)),
        QueryRule::Deny(list) => format!("the query without {}, which are dropped", names(list)),
    }];
    if let Some(languages) = accept_language {
        let default = languages.first().map(String::as_str).unwrap_or_default();
        parts.push(format!("`Accept-Language`: {} (`{default}` where none of them is asked for)", names(languages)));
    }
    if let Some(codings) = accept_encoding {
        parts.push(format!("`Accept-Encoding`: {}", names(codings)));
    }
    parts.extend(headers.iter().map(|name| format!("the request field `{name}`")));
    parts.extend(cookies.iter().map(|name| format!("the cookie `{name}`")));
    parts.extend(user.iter().map(|part| match part {
        UserPart::Authorization => "the user, by `Authorization`".to_owned(),
        UserPart::Cookie(name) => format!("the user, by the cookie `{name}`"),
        UserPart::Header(name) => format!("the user, by `{name}`"),
    }));
    parts
}

/// Who shares what is stored.
pub fn shared(rules: &Rules) -> String {
    let mut parts = vec![if rules.key.user.is_empty() {
        "everybody".to_owned()
    } else {
        "nobody: each user has responses of their own".to_owned()
    }];
    if rules.key.user.is_empty() && !rules.override_unsafe {
        parts.push(match rules.identity.authorization {
            AuthorizationRule::Bypass => "requests with `Authorization` pass the cache by".to_owned(),
            AuthorizationRule::Rfc9111 => {
                "what a request with `Authorization` brings is shared only where the response says so".to_owned()
            }
            AuthorizationRule::Ignore => "`Authorization` makes no difference".to_owned(),
        });
        let cookies = &rules.identity.session_cookies;
        if cookies.iter().any(|name| name == "*") {
            parts.push("the same goes for cookies".to_owned());
        } else if !cookies.is_empty() {
            let names: Vec<String> = cookies.iter().map(|name| format!("`{name}`")).collect();
            parts.push(format!("the same goes for the cookies {}", names.join(", ")));
        }
    }
    parts.join("; ")
}

/// How clients revalidate.
pub const fn validators(rules: &Rules) -> &'static str {
    match (rules.etag, rules.add_last_modified) {
        (EtagRule::Strong, _) => "every response has an `ETag`, made from its content where the API gives none",
        (EtagRule::Weak, _) => {
            "every response has an `ETag`, a weak one made from its content where the API gives none"
        }
        (EtagRule::Origin, true) => "every response has `Last-Modified`, the time of storing where the API gives none",
        (EtagRule::Origin, false) => "where a response has `ETag` or `Last-Modified`",
    }
}

/// How long clients may keep a response without asking; `None` where the API itself says it.
pub fn browser(told: Option<&ClientCacheControl>) -> Option<String> {
    let told = told?;
    Some(match told {
        ClientCacheControl { no_store: true, .. } => "nothing is kept".to_owned(),
        ClientCacheControl { no_cache: true, .. } => "kept, and asked for again each time".to_owned(),
        ClientCacheControl { browser_ttl: Some(Seconds::ZERO), .. } => "kept, and asked for again each time".to_owned(),
        ClientCacheControl { browser_ttl: Some(ttl), immutable: true, .. } => {
            format!("{}, never asked for again", span(*ttl))
        }
        ClientCacheControl { browser_ttl: Some(ttl), .. } => span(*ttl),
        ClientCacheControl { browser_ttl: None, .. } => "as the browser thinks fit".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_words() {
        for (seconds, want) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "1 minute 30 seconds"),
            (7 * 86_400, "7 days"),
            (90_000, "1 day 1 hour"),
        ] {
            assert_eq!(span(Seconds::saturating(seconds)), want);
        }
    }
}
