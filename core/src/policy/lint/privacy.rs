//! Personal data that could be shared.
//!
//! Larder shares nothing that a request's identity may have shaped, unless the policy takes that care away; these lints look
//! where it does, and at paths whose names say that they are about one user.

use super::findings::Findings;
use super::rules::SHARED_PERSONAL;
use super::{Step, Subject};
use crate::policy::path::Segment;
use crate::policy::rules::{AuthorizationRule, Kind, SetCookieRule, Ttl};

/// Segments of paths that are about whoever asks.
const PERSONAL_SEGMENTS: [&str; 24] = [
    "account",
    "basket",
    "billing",
    "cart",
    "checkout",
    "inbox",
    "login",
    "logout",
    "me",
    "messages",
    "my",
    "notifications",
    "oauth",
    "password",
    "payment",
    "payments",
    "preferences",
    "profile",
    "self",
    "session",
    "sessions",
    "settings",
    "token",
    "wishlist",
];

const HELP: &str = "name what tells users apart in \"key.user\", use the class \"personal\", or take this out";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let rules = subject.rules;
    let shared = subject.stores() && rules.key.user.is_empty() && !matches!(rules.kind, Kind::Personal | Kind::Never);
    if !shared {
        return;
    }
    let mut found = |place: Vec<Step>, message: String| findings.add(&SHARED_PERSONAL, &place, message, HELP);
    let mut told = false;
    if rules.override_unsafe {
        let place = match (&subject.route.override_unsafe, subject.class) {
            (None, Some((name, _))) => vec!["classes".into(), name.into(), "override".into()],
            _ => subject.at("override"),
        };
        found(
            place,
            format!(
                "\"{}\" stores for everybody what the origin calls private, and what users are told",
                subject.name()
            ),
        );
        told = true;
    }
    if rules.identity.authorization == AuthorizationRule::Ignore {
        let place = subject.place("identity.authorization");
        found(place, "what one user's Authorization brought is given to others".to_owned());
        told = true;
    }
    if rules.identity.set_cookie == SetCookieRule::Keep {
        let place = subject.place("identity.set_cookie");
        found(place, "a cookie that was set for one client is set for all".to_owned());
        told = true;
    }
    if rules.identity.session_cookies.is_empty() && rules.kind != Kind::Static {
        let place = subject.place("identity.session_cookies");
        found(
            place,
            "no cookie counts as a session's: what a user who is logged in gets is given to others".to_owned(),
        );
        told = true;
    }
    let Some(segment) = personal_segment(subject).filter(|_| !told && by_policy(rules.ttl)) else { return };
    let message =
        format!("\"{segment}\" in the path sounds like one user's data, and the policy has it stored for everybody");
    findings.add(
        &SHARED_PERSONAL,
        &subject.at("path"),
        message,
        "use the class \"personal\", or name what tells users apart in \"key.user\"",
    );
}

/// Whether a response is stored though its origin gives no lifetime.
const fn by_policy(ttl: Ttl) -> bool {
    match ttl {
        Ttl::Fixed(_) => true,
        Ttl::Respect { floor, absent, .. } => floor.is_some() || absent.is_some(),
        Ttl::Never => false,
    }
}

fn personal_segment(subject: &Subject<'_>) -> Option<&'static str> {
    let segments = subject.route.path.as_ref()?.segments();
    segments.iter().find_map(|segment| match segment {
        Segment::Literal(bytes) => {
            PERSONAL_SEGMENTS.into_iter().find(|name| name.as_bytes().eq_ignore_ascii_case(bytes))
        }
        _ => None,
    })
}
