//! Whether a request carries identity that its key does not cover (RFC 9111 3.5, and the same for session cookies).

use crate::field::cookie;
use crate::fields::Fields;
use crate::policy::rules::{AuthorizationRule, Rules, UserPart};

/// Identity that would be shared if its response were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular, or somebody whom the key names.
    None,
    /// `Authorization`.
    Authorization,
    /// A session cookie.
    SessionCookie,
}

/// What identity a request carries outside its key.
pub fn identity(rules: &Rules, request: &Fields) -> Identity {
    if rules.identity.authorization != AuthorizationRule::Ignore
        && request.has("authorization")
        && !rules.key.user.contains(&UserPart::Authorization)
    {
        return Identity::Authorization;
    }
    if request.has("cookie") && carries_session(rules, request) {
        return Identity::SessionCookie;
    }
    Identity::None
}

fn carries_session(rules: &Rules, request: &Fields) -> bool {
    let listed = |list: &[String], name: &[u8]| list.iter().any(|pattern| cookie::name_matches(pattern, name));
    let keyed = |name: &[u8]| {
        rules.key.cookies.iter().any(|keyed| keyed.as_bytes() == name)
            || rules.key.user.iter().any(|part| matches!(part, UserPart::Cookie(keyed) if keyed.as_bytes() == name))
    };
    cookie::cookies(request).into_iter().any(|(name, _)| {
        listed(&rules.identity.session_cookies, name) && !listed(&rules.identity.ignore_cookies, name) && !keyed(name)
    })
}
