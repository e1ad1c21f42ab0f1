//! The steps of the request's half: route, whether the cache may be used, key, what the origin gets.

use super::case::Case;
use super::key::parts;
use super::run::{Ended, Ran};
use super::{Because, Step, Went, setting, text};
use crate::decide::admit::Bypass;
use crate::policy::rules::{AuthorizationRule, PurgeRule};
use crate::policy::{NO_CLASS, Policy};

pub(super) fn steps(policy: &Policy, case: &Case, ran: &Ran) -> Vec<Step> {
    let mut steps = vec![route(policy, case)];
    if case.request.method == "PURGE" && case.rules.purge_method == PurgeRule::Token {
        let because = vec![setting(policy, &case.rules, "purge_method")];
        steps.push(Step::new("purge", Went::Stop, "PURGE is answered here, for those who have a token", because));
        return steps;
    }
    if !admission(policy, case, &mut steps) {
        return steps;
    }
    steps.push(key(policy, case));
    steps.push(Step::new(
        "look-up",
        Went::On,
        "nothing is stored under this key yet",
        vec![Because::Rfc("RFC 9111 4")],
    ));
    if let Ended::Answered(status) = ran.verdict {
        let text = format!("the client wants a stored response or none: {status}");
        steps.push(Step::new("only-if-cached", Went::Stop, text, vec![Because::Rfc("RFC 9111 5.2.1.7")]));
    }
    steps
}

fn route(policy: &Policy, case: &Case) -> Step {
    let rules = &case.rules;
    match policy.route_path(rules) {
        Some(path) => {
            let class = if *rules.class == *NO_CLASS { String::new() } else { format!(", class \"{}\"", rules.class) };
            let text = format!(
                "{} {} is under the route \"{}\"{class}",
                case.request.method,
                case.request.path(),
                rules.route
            );
            let mut because = vec![Because::Policy(format!("{path}.path"))];
            if !class.is_empty() {
                because.push(Because::Policy(format!("{path}.class")));
            }
            Step::new("route", Went::On, text, because)
        }
        None => {
            let text =
                format!("no route matches {} {}: \"defaults\" alone apply", case.request.method, case.request.path());
            Step::new("route", Went::On, text, vec![Because::Policy("routes".to_owned())])
        }
    }
}

/// One thing that `admit` asks.
struct Question<'a> {
    reasons: &'a [Bypass],
    about: &'static str,
    yes: String,
    no: String,
    because: Because,
    /// Worth telling where nothing stands against it.
    told: bool,
}

/// The questions in the order of `admit`, whose answer it is. Says whether the request is let in.
fn admission(policy: &Policy, case: &Case, steps: &mut Vec<Step>) -> bool {
    let request = &case.request;
    let method = &request.method;
    let never = setting(policy, &case.rules, "ttl");
    let authorization = setting(policy, &case.rules, "identity.authorization");
    let questions = [
        Question {
            reasons: &[Bypass::Method, Bypass::UnsafeMethod],
            about: "method",
            yes: format!("{method} may be answered from a cache"),
            no: match case.admitted() {
                Err(Bypass::UnsafeMethod) => format!("{method} may change things: it goes to the origin, and what it changes is invalidated"),
                _ => format!("{method} is not answered from a cache"),
            },
            because: Because::Rfc(if case.admitted() == Err(Bypass::UnsafeMethod) { "RFC 9111 4.4" } else { "RFC 9110 9.2.3" }),
            told: true,
        },
        Question {
            reasons: &[Bypass::RequestBody],
            about: "request-body",
            yes: "the request has no body".to_owned(),
            no: format!("a {method} with a body means something that is not in its key"),
            because: Because::Rfc("RFC 9110 9.3.1"),
            told: false,
        },
        Question {
            reasons: &[Bypass::Upgrade],
            about: "upgrade",
            yes: "the connection stays HTTP".to_owned(),
            no: "the connection is to be upgraded".to_owned(),
            because: Because::Rfc("RFC 9110 7.8"),
            told: false,
        },
        Question {
            reasons: &[Bypass::AmbiguousPath],
            about: "path",
            yes: "the path can be read in one way only".to_owned(),
            no: "the path can be read in more than one way (dot segments, \"//\", \";\", needless or odd encodings): the origin may answer for another route".to_owned(),
            because: Because::Larder("paths that proxies and origins read differently are never cached"),
            told: false,
        },
        Question {
            reasons: &[Bypass::Policy],
            about: "policy",
            yes: "the policy has responses stored".to_owned(),
            no: "the policy says never".to_owned(),
            because: never,
            told: true,
        },
        Question {
            reasons: &[Bypass::Authorization],
            about: "authorization",
            yes: "Authorization does not keep the request from the cache".to_owned(),
            no: "the policy keeps requests with Authorization away from the cache".to_owned(),
            because: authorization,
            told: request.fields.has("authorization") && case.rules.identity.authorization != AuthorizationRule::Ignore,
        },
    ];
    let decided = case.admitted();
    for Question { reasons, about, yes, no, because, told } in questions {
        match decided {
            Err(reason) if reasons.contains(&reason) => {
                steps.push(Step::new(about, Went::Stop, no, vec![because]));
                return false;
            }
            _ if told => steps.push(Step::new(about, Went::On, yes, vec![because])),
            _ => {}
        }
    }
    if let Err(reason) = decided {
        let text = format!("the cache is not used: {}", reason.as_str());
        steps.push(Step::new("bypass", Went::Stop, text, Vec::new()));
    }
    decided.is_ok()
}

fn key(policy: &Policy, case: &Case) -> Step {
    let keyed = case.keyed();
    let shown: Vec<String> = parts(&keyed.key)
        .into_iter()
        .map(|part| match part.value {
            Some(value) => format!("{} {value}", part.name),
            None => format!("{} (absent)", part.name),
        })
        .collect();
    let mut because = vec![Because::Rfc("RFC 9111 2")];
    let rules = &case.rules.key;
    let settings = [
        ("key.query", case.request.query().is_some()),
        ("key.sort_query", rules.sort_query && case.request.query().is_some()),
        ("key.accept_encoding", rules.accept_encoding.is_some()),
        ("key.accept_language", rules.accept_language.is_some()),
        ("key.headers", !rules.headers.is_empty()),
        ("key.cookies", !rules.cookies.is_empty()),
        ("key.user", !rules.user.is_empty()),
    ];
    because.extend(settings.into_iter().filter(|(_, used)| *used).map(|(name, _)| setting(policy, &case.rules, name)));
    let mut told = format!("the key is {}", shown.join(", "));
    if let Some(target) = &keyed.forward_target {
        told.push_str(&format!("; what it leaves out is not forwarded either: {target}"));
    }
    for (name, value) in &keyed.forward_fields {
        told.push_str(&format!("; the origin gets \"{name}: {}\"", text(value)));
    }
    Step::new("key", Went::On, told, because)
}
