//! The steps of the response's half: what could forbid storing it.

use super::case::Case;
use super::run::{Ended, Ran, is_late};
use super::{Because, Question, Step, Went, said, setting};
use crate::decide::identity::Identity;
use crate::decide::store::NotStored;
use crate::decide::unkeyed;
use crate::decide::vary as vary_rule;
use crate::field::vary::{self, Vary};
use crate::policy::rules::SetCookieRule;

/// What is said of responses without directives.
const NO_CONTROL: &str = "no Cache-Control";

/// One thing that `storable` asks.
struct Asked<'a> {
    reasons: &'a [NotStored],
    about: &'static str,
    yes: String,
    no: String,
    because: Vec<Because>,
    /// Worth telling where nothing stands against it.
    told: bool,
}

/// The questions in the order of `storable`, whose answer it is.
pub(super) fn steps(question: &Question<'_>, case: &Case, ran: &Ran, steps: &mut Vec<Step>) {
    let decided = case.storable();
    for Asked { reasons, about, yes, no, because, told } in questions(question, case) {
        match decided {
            Err(reason) if reasons.contains(&reason) => {
                steps.push(Step::new(about, Went::Stop, no, because));
                return;
            }
            _ if told => steps.push(Step::new(about, Went::On, yes, because)),
            _ => {}
        }
    }
    match (decided, ran.verdict) {
        (Err(reason), _) => {
            steps.push(Step::new(reason.as_str(), Went::Stop, "the response is not stored", Vec::new()));
        }
        (Ok(_), Ended::NotStored(reason)) if is_late(reason) => steps.push(late(question, case, reason)),
        (Ok(_), _) => {}
    }
}

fn questions<'a>(question: &Question<'_>, case: &Case) -> Vec<Asked<'a>> {
    let (rules, request, response) = (&case.rules, &case.request, &case.response);
    let policy = question.policy;
    let of = |name: &'static str| setting(policy, rules, name);
    let status = response.status;
    let directives = case.directives();
    let overridden = rules.override_unsafe;
    let say = said(&response.fields, "cache-control");
    let field = rules.targeted.iter().find(|name| directives.targeted && response.fields.has(name));
    let source = field.map_or_else(|| "Cache-Control".to_owned(), |name| name.clone());
    let control = match (field, &say) {
        (Some(name), _) => format!("\"{name}: {}\"", said(&response.fields, name).unwrap_or_default()),
        (None, Some(value)) => format!("\"Cache-Control: {value}\""),
        (None, None) => NO_CONTROL.to_owned(),
    };
    let mut reads = vec![Because::Rfc(if directives.targeted { "RFC 9213 2.2" } else { "RFC 9111 5.2.2" })];
    if directives.targeted {
        reads.push(of("targeted"));
    }
    let wins =
        |rfc| if overridden { vec![Because::Rfc(rfc), override_of(question, case)] } else { vec![Because::Rfc(rfc)] };
    let identity = case.identity();
    vec![
        Asked {
            reasons: &[NotStored::Method],
            about: "stored-method",
            yes: "responses to GET are stored".to_owned(),
            no: format!("the response to {} is not stored; what a GET has stored answers it", request.method),
            because: vec![Because::Rfc("RFC 9111 3")],
            told: false,
        },
        Asked {
            reasons: &[NotStored::Local, NotStored::RequestBody],
            about: "source",
            yes: "the origin itself has answered".to_owned(),
            no: "the proxy wrote the response itself".to_owned(),
            because: vec![Because::Larder("answers of the proxy are not the origin's")],
            told: false,
        },
        Asked {
            reasons: &[NotStored::Partial],
            about: "whole",
            yes: "the response is a part, and the policy has parts stored".to_owned(),
            no: format!("{status} is no whole response"),
            because: vec![Because::Rfc("RFC 9111 3.3"), of("partial")],
            told: status == 206,
        },
        Asked {
            reasons: &[NotStored::Error],
            about: "status",
            yes: match status {
                400.. => format!("the policy gives {status} a lifetime"),
                _ => format!("{status} may be stored"),
            },
            no: if unkeyed::is_about_the_request(status)
                && rules.status_ttl.iter().any(|(named, _)| named.matches(status))
            {
                format!(
                    "{status} is about the request, and its hundred does not name it: \"status_ttl\" has to name it itself"
                )
            } else {
                format!("{status} is an error, and errors are stored only where the policy names them")
            },
            because: if status >= 400 { vec![of("status_ttl")] } else { vec![Because::Rfc("RFC 9111 3")] },
            told: true,
        },
        Asked {
            reasons: &[NotStored::OddRequest],
            about: "odd-request",
            yes: "the request is an ordinary one".to_owned(),
            no: "the error may be the request's own fault: it has odd fields, or is very long".to_owned(),
            because: vec![Because::Larder("errors that a client could provoke are not stored for others")],
            told: status >= 400,
        },
        Asked {
            reasons: &[NotStored::NotUnderstood],
            about: "must-understand",
            yes: format!("{status} is understood, as must-understand asks"),
            no: format!("must-understand, and {status} is not understood here"),
            because: vec![Because::Rfc("RFC 9111 5.2.2.3")],
            told: directives.must_understand,
        },
        Asked {
            reasons: &[NotStored::RequestNoStore],
            about: "request-no-store",
            yes: "the request allows storing".to_owned(),
            no: "the request says no-store".to_owned(),
            because: vec![Because::Rfc("RFC 9111 5.2.1.5")],
            told: false,
        },
        Asked {
            reasons: &[NotStored::NoStore],
            about: "no-store",
            yes: match (directives.no_store, overridden) {
                (true, true) => format!("{control}, and the policy wins over it"),
                (true, false) => format!("{control}: must-understand takes the place of no-store"),
                (false, _) if control == NO_CONTROL => "there is no Cache-Control that forbids storing".to_owned(),
                (false, _) => format!("{control} does not forbid storing"),
            },
            no: format!("{control} forbids storing"),
            because: if directives.no_store { wins("RFC 9111 5.2.2.5") } else { reads },
            told: true,
        },
        Asked {
            reasons: &[NotStored::Private],
            about: "private",
            yes: format!("{source} says private, and the policy wins over it"),
            no: format!("{control} says that the response is for one user"),
            because: wins("RFC 9111 5.2.2.7"),
            told: directives.private,
        },
        Asked {
            reasons: &[NotStored::SetCookie],
            about: "set-cookie",
            yes: match rules.identity.set_cookie {
                SetCookieRule::Strip => "Set-Cookie is for this client only, and stored without".to_owned(),
                SetCookieRule::Keep => "Set-Cookie is stored and sent to everybody".to_owned(),
                SetCookieRule::NotStored => "Set-Cookie does not count".to_owned(),
            },
            no: "the response sets a cookie".to_owned(),
            because: if overridden {
                vec![override_of(question, case)]
            } else {
                vec![of("identity.set_cookie"), Because::Rfc("RFC 9111 7.3")]
            },
            told: response.fields.has("set-cookie"),
        },
        identity_asked(question, case, identity),
        Asked {
            reasons: &[NotStored::PageForFile],
            about: "page-for-file",
            yes: String::new(),
            no: "the response is a page, and the path has the name of a file that is none".to_owned(),
            because: vec![Because::Larder("what a path's name does not promise is not kept under it")],
            told: false,
        },
        vary_asked(question, case),
        Asked {
            reasons: &[NotStored::UnkeyedOrigin],
            about: "cors",
            yes: "the response is told apart by Origin, or for any".to_owned(),
            no: "Access-Control-Allow-Origin names one origin, and Vary does not name Origin".to_owned(),
            because: vec![Because::Larder("a response for one origin is not given to another"), of("key.headers")],
            told: request.fields.has("origin") && response.fields.has("access-control-allow-origin"),
        },
        Asked {
            reasons: &[NotStored::UnkeyedInput],
            about: "unkeyed-input",
            yes: String::new(),
            no: match unkeyed::unkeyed(request, &case.keyed().covers) {
                Some(name) => format!("origins are known to answer by {name}, which is not in the key"),
                None => "the answer may depend on a field that is not in the key".to_owned(),
            },
            because: vec![Because::Larder("what the key does not cover must not poison the cache"), of("key.headers")],
            told: false,
        },
        Asked {
            reasons: &[NotStored::Unclean],
            about: "unclean",
            yes: String::new(),
            no: "a field of the response has CR, LF or NUL in it".to_owned(),
            because: vec![Because::Rfc("RFC 9110 5.5")],
            told: false,
        },
        Asked {
            reasons: &[NotStored::TooLarge],
            about: "size",
            yes: format!("Content-Length is within {} bytes", rules.limits.object_bytes_max),
            no: format!("Content-Length is more than {} bytes", rules.limits.object_bytes_max),
            because: vec![of("limits.object_bytes")],
            told: response.content_length().is_some(),
        },
        Asked {
            reasons: &[NotStored::Policy],
            about: "lifetime",
            yes: String::new(),
            no: format!("the policy gives {status} no lifetime"),
            because: vec![of(if rules.status_ttl.iter().any(|(pattern, _)| pattern.matches(status)) {
                "status_ttl"
            } else {
                "ttl"
            })],
            told: false,
        },
        Asked {
            reasons: &[NotStored::NoLifetime],
            about: "lifetime",
            yes: String::new(),
            no: format!(
                "neither {control} nor the policy gives a lifetime, and there is {}",
                if response.fields.has("etag") || response.fields.has("last-modified") {
                    "no leave to store this status without one"
                } else {
                    "nothing to validate it with"
                }
            ),
            because: vec![Because::Rfc("RFC 9111 3"), of("ttl"), of("heuristic")],
            told: false,
        },
    ]
}

fn identity_asked<'a>(question: &Question<'_>, case: &Case, identity: Identity) -> Asked<'a> {
    let rules = &case.rules;
    let request = &case.request.fields;
    let carries = request.has("authorization") || request.has("cookie");
    let (about, name, setting_name) = match identity {
        Identity::SessionCookie => ("session-cookie", "a session cookie", "identity.session_cookies"),
        _ => ("authorization", "Authorization", "identity.authorization"),
    };
    let yes = match identity {
        _ if rules.override_unsafe => "who asks does not count".to_owned(),
        Identity::None if !rules.key.user.is_empty() => "the key names the user".to_owned(),
        Identity::None => "the request tells nobody's identity that counts".to_owned(),
        _ => format!("the request carries {name}, and the response says that it may be shared all the same"),
    };
    let mut because = match identity {
        Identity::None if !rules.key.user.is_empty() => vec![setting(question.policy, rules, "key.user")],
        Identity::None if request.has("cookie") => vec![setting(question.policy, rules, "identity.session_cookies")],
        _ => vec![setting(question.policy, rules, setting_name)],
    };
    if rules.override_unsafe {
        because = vec![override_of(question, case)];
    }
    because.insert(0, Because::Rfc("RFC 9111 3.5"));
    Asked {
        reasons: &[NotStored::Authorization, NotStored::SessionCookie],
        about: if identity == Identity::None { "identity" } else { about },
        yes,
        no: format!(
            "the request carries {name}, and the response does not say that it may be shared (public, s-maxage, must-revalidate)"
        ),
        because,
        told: carries,
    }
}

fn vary_asked<'a>(question: &Question<'_>, case: &Case) -> Asked<'a> {
    let vary = vary::parse(&case.response.fields);
    let keyed = case.keyed();
    let bad = vary_rule::not_allowed(&vary, case.rules.vary_allow.as_deref(), &keyed.covers);
    let names = match &vary {
        Vary::Any => "*".to_owned(),
        Vary::Names(names) => names.join(", "),
    };
    Asked {
        reasons: &[NotStored::VaryAny, NotStored::VaryNotAllowed],
        about: "vary",
        yes: format!("the response varies by {names}, which the key covers or variants tell apart"),
        no: match bad.as_deref() {
            Some("*") | None => "the response varies by what no request shows".to_owned(),
            Some(name) => format!("the response varies by {name}, which the policy does not allow"),
        },
        because: vec![Because::Rfc("RFC 9111 4.1"), setting(question.policy, &case.rules, "vary")],
        told: case.response.fields.has("vary"),
    }
}

/// What shows with the body only.
fn late(question: &Question<'_>, case: &Case, reason: NotStored) -> Step {
    let limits = &case.rules.limits;
    let of = |name| vec![setting(question.policy, &case.rules, name)];
    let (text, because) = match reason {
        NotStored::TooLarge => {
            (format!("the body is more than {} bytes", limits.object_bytes_max), of("limits.object_bytes"))
        }
        NotStored::Tags => (
            format!("it has more than {} tags, or one that cannot be kept", limits.tags_per_entry_max),
            of("limits.tags_per_entry"),
        ),
        NotStored::Truncated => {
            ("the body is not as long as Content-Length says".to_owned(), vec![Because::Rfc("RFC 9112 8")])
        }
        _ => ("the part is not what its Content-Range says".to_owned(), vec![Because::Rfc("RFC 9110 14.4")]),
    };
    Step::new(reason.as_str(), Went::Stop, text, because)
}

/// Where `"override": "unsafe"` stands.
pub(super) fn override_of(question: &Question<'_>, case: &Case) -> Because {
    let route = question.policy.route_path(&case.rules);
    let own = question.policy.file().routes.as_ref().and_then(|routes| routes.get(case.rules.index));
    Because::Policy(match (route, own.is_some_and(|route| route.override_unsafe.is_some())) {
        (Some(path), true) => format!("{path}.override"),
        _ => format!("classes.{}.override", case.rules.class),
    })
}
