//! What would have later requests answered from the cache.
//!
//! Each way is a few changes to the request, the response or the policy, found by making them and asking `decide/` again: nothing is
//! proposed that has not been tried. (Tags and broken-off bodies show in an exchange only; what is said of these is not tried.)

use super::Question;
use super::case::{Case, Reason};
use super::lifetime::with_ttl;
use super::run::{Ended, Ran};
use crate::decide::admit::Bypass;
use crate::decide::store::NotStored;
use crate::decide::unkeyed;
use crate::decide::vary as vary_rule;
use crate::field::cookie;
use crate::field::hop;
use crate::field::vary;
use crate::policy::rules::{AuthorizationRule, Kind, SetCookieRule, StatusPattern, Ttl, UserPart};
use crate::time::Seconds;

/// Changes of which all are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way(pub Vec<Change>);

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Who would have to change.
    pub who: Who,
    /// What, as a half sentence: `the response did not set a cookie`.
    pub what: String,
}

/// Who would have to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client.
    Request,
    /// The origin.
    Response,
    /// Who writes the policy.
    Policy,
}

/// Longest way.
const CHANGES_MAX: usize = 4;
/// Most ways that are told, the shortest ones.
const WAYS_MAX: usize = 8;
/// A lifetime to try with.
const TRIED: Seconds = Seconds::saturating(60);

pub(super) fn ways(question: &Question<'_>, case: &Case, ran: &Ran) -> Vec<Way> {
    if let Ended::NotStored(reason @ (NotStored::Tags | NotStored::Truncated)) = ran.verdict {
        let what = match reason {
            NotStored::Tags => (Who::Policy, "\"limits.tags_per_entry\" allowed more tags".to_owned()),
            _ => (Who::Response, "the body were as long as Content-Length says".to_owned()),
        };
        return vec![Way(vec![Change { who: what.0, what: what.1 }])];
    }
    if matches!(ran.verdict, Ended::Answered(_)) && case.request.method == "PURGE" {
        return Vec::new();
    }
    let mut found = Vec::new();
    // By length, so that nothing is told that a shorter way makes needless.
    let mut fringe = vec![(case.clone(), Vec::new())];
    for _ in 0..=CHANGES_MAX {
        let mut next = Vec::new();
        for (case, made) in fringe {
            match case.serves() {
                Ok(()) if made.is_empty() => return Vec::new(),
                Ok(()) => found.push(Way(made)),
                Err(reason) => next.extend(steps(question, &case, reason).into_iter().map(|(changed, change)| {
                    let mut made = made.clone();
                    made.push(change);
                    (changed, made)
                })),
            }
        }
        if found.len() >= WAYS_MAX {
            break;
        }
        fringe = next;
        fringe.truncate(64);
    }
    let all = found.clone();
    let is_part = |part: &Way, of: &Way| part != of && part.0.iter().all(|change| of.0.contains(change));
    found.retain(|way| !all.iter().any(|other| is_part(other, way)));
    found.truncate(WAYS_MAX);
    found
}

/// Changes that do away with a reason; another may show behind it.
fn steps(question: &Question<'_>, case: &Case, reason: Reason) -> Vec<(Case, Change)> {
    let mut list = List { case, found: Vec::new() };
    match reason {
        Reason::Bypass(reason) => bypass(question, &mut list, reason),
        Reason::NotStored(reason) => not_stored(&mut list, reason),
        Reason::NeverFresh => lifetimes(&mut list, "gave it a lifetime, such as \"max-age=60\""),
        Reason::AlwaysValidated => {
            list.response("did not say no-cache", |case| without_directive(case, "no-cache"));
            list.policy("the route said \"override\": \"unsafe\", which gives its answers to everybody", |case| {
                case.rules.override_unsafe = true
            });
        }
    }
    list.found
}

struct List<'a> {
    case: &'a Case,
    found: Vec<(Case, Change)>,
}

impl List<'_> {
    fn add(&mut self, who: Who, what: String, change: impl FnOnce(&mut Case)) {
        let mut changed = self.case.clone();
        change(&mut changed);
        self.found.push((changed, Change { who, what }));
    }

    fn request(&mut self, what: &str, change: impl FnOnce(&mut Case)) {
        self.add(Who::Request, format!("the request {what}"), change);
    }

    fn response(&mut self, what: &str, change: impl FnOnce(&mut Case)) {
        self.add(Who::Response, format!("the response {what}"), change);
    }

    fn policy(&mut self, what: &str, change: impl FnOnce(&mut Case)) {
        self.add(Who::Policy, what.to_owned(), change);
    }
}

fn bypass(question: &Question<'_>, list: &mut List<'_>, reason: Bypass) {
    match reason {
        Bypass::Method | Bypass::UnsafeMethod => list.request("were a GET", |case| {
            case.request.method = "GET".to_owned();
            case.request.has_body = false;
            // A GET may be another route's.
            case.rules = question.policy.route(&case.request).rules.as_ref().clone();
        }),
        Bypass::RequestBody => list.request("had no body", |case| case.request.has_body = false),
        Bypass::Upgrade => list.request("asked for no upgrade", |case| case.request.fields.remove("upgrade")),
        Bypass::AmbiguousPath => {
            list.request("had a plain path, without dot segments, \"//\", \";\" and needless encodings", |case| {
                case.ambiguous_path = false;
            })
        }
        Bypass::Policy => never(list),
        Bypass::Authorization => {
            list.request("had no Authorization", |case| case.request.fields.remove("authorization"));
            list.policy("\"identity.authorization\" were \"rfc9111\"", |case| {
                case.rules.identity.authorization = AuthorizationRule::Rfc9111;
            });
        }
        _ => {}
    }
}

/// What a class promises is not broken by a lifetime alone.
fn never(list: &mut List<'_>) {
    match list.case.rules.kind {
        Kind::Personal => {
            let cookies = cookie::cookies(&list.case.request.fields).into_iter();
            let cookies: Vec<UserPart> = cookies.map(|(name, _)| UserPart::Cookie(super::text(name))).collect();
            list.policy(
                "\"key.user\" said what tells users apart, and \"ttl\" gave each user's answer a lifetime",
                |case| {
                    case.rules.key.user.push(UserPart::Authorization);
                    case.rules.key.user.extend(cookies);
                    case.rules = with_ttl(case, |_| Ttl::Fixed(TRIED));
                },
            );
        }
        Kind::Never => list.policy("the route were of another class, with a lifetime", |case| {
            case.rules = with_ttl(case, |_| Ttl::Fixed(TRIED));
        }),
        _ => lifetimes(list, ""),
    }
}

/// What gives a response a lifetime.
fn lifetimes(list: &mut List<'_>, said: &str) {
    let (status, ttl) = (list.case.response.status, list.case.rules.ttl);
    if !said.is_empty() {
        list.response(said, |case| case.response.fields.set("cache-control", "max-age=60"));
    }
    let setting = if status >= 400 {
        format!("\"status_ttl\" gave {status} a lifetime")
    } else {
        "\"ttl\" gave it a lifetime".to_owned()
    };
    list.policy(&setting, |case| case.rules = with_ttl(case, |_| Ttl::Fixed(TRIED)));
    if ttl == Ttl::Never && said.is_empty() && status < 400 {
        list.policy("\"ttl\" were \"respect\"", |case| {
            case.rules = with_ttl(case, |_| Ttl::Respect { floor: None, ceiling: None, absent: None });
        });
    }
}

fn not_stored(list: &mut List<'_>, reason: NotStored) {
    let case = list.case;
    let status = case.response.status;
    let overridden = "the route said \"override\": \"unsafe\", which gives its answers to everybody";
    match reason {
        NotStored::Method => list.request("were a GET", |case| case.request.method = "GET".to_owned()),
        NotStored::Partial => {
            list.response("were a whole one", |case| {
                case.response.status = 200;
                case.response.fields.remove("content-range");
            });
            if status == 206 {
                list.policy("\"partial\" were \"store\"", |case| case.rules.store_parts = true);
            }
        }
        NotStored::Error => list.policy(&format!("\"status_ttl\" gave {status} a lifetime"), |case| {
            case.rules.status_ttl.insert(0, (StatusPattern::Exact(case.response.status), Ttl::Fixed(TRIED)));
        }),
        NotStored::OddRequest => list.request("were an ordinary one, without odd fields", |case| {
            let name = case.request.fields.clone();
            for line in name.iter() {
                let mut alone = case.request.clone();
                alone.fields.retain(|other| other.name == line.name);
                if unkeyed::is_odd(&alone) {
                    case.request.fields.remove(&line.name);
                }
            }
        }),
        NotStored::NotUnderstood => {
            list.response("did not say must-understand", |case| without_directive(case, "must-understand"))
        }
        NotStored::RequestNoStore => {
            list.request("did not say no-store", |case| case.request.fields.remove("cache-control"))
        }
        NotStored::NoStore => {
            list.response("did not say no-store", |case| without_directive(case, "no-store"));
            list.policy(overridden, |case| case.rules.override_unsafe = true);
        }
        NotStored::Private => {
            list.response("did not say private", |case| without_directive(case, "private"));
            list.policy(overridden, |case| case.rules.override_unsafe = true);
        }
        NotStored::SetCookie => {
            list.response("set no cookie", |case| case.response.fields.remove("set-cookie"));
            list.policy("\"identity.set_cookie\" were \"strip\"", |case| {
                case.rules.identity.set_cookie = SetCookieRule::Strip
            });
        }
        NotStored::Authorization => {
            list.response("said public", |case| with_directive(case, "public"));
            list.request("had no Authorization", |case| case.request.fields.remove("authorization"));
            list.policy("\"key.user\" had \"authorization\", and each user an answer of its own", |case| {
                case.rules.key.user.push(UserPart::Authorization);
            });
        }
        NotStored::SessionCookie => session_cookie(list),
        NotStored::VaryAny => list.response("named the fields that it varies by, instead of \"Vary: *\"", |case| {
            case.response.fields.remove("vary");
        }),
        NotStored::VaryNotAllowed => vary_not_allowed(list),
        NotStored::UnkeyedInput => {
            let Some(name) = unkeyed::unkeyed(&case.request, &case.keyed().covers) else { return };
            list.request(&format!("had no {name}"), |case| case.request.fields.remove(&name));
            list.policy(&format!("\"key.headers\" had \"{name}\""), |case| {
                case.rules.key.headers.push(name.to_string())
            });
        }
        NotStored::PageForFile => list.response("were no page, or its Content-Type that of the file", |case| {
            case.response.fields.remove("content-type");
        }),
        NotStored::UnkeyedOrigin => {
            list.response("said \"Vary: Origin\"", |case| case.response.fields.add("vary", "origin"));
            list.response("said \"Access-Control-Allow-Origin: *\"", |case| {
                case.response.fields.set("access-control-allow-origin", "*");
            });
            list.policy("\"key.headers\" had \"origin\"", |case| case.rules.key.headers.push("origin".to_owned()));
        }
        NotStored::NoLifetime => lifetimes(list, "gave it a lifetime, such as \"max-age=60\""),
        NotStored::Policy => lifetimes(list, ""),
        NotStored::Unclean => list.response("had no CR, LF or NUL in its fields", |case| {
            case.response.fields.retain(|line| hop::is_clean(&line.value));
        }),
        NotStored::TooLarge => {
            let bytes = case.body_bytes.max(case.response.content_length().unwrap_or_default());
            list.policy(&format!("\"limits.object_bytes\" were {bytes} or more"), |case| {
                case.rules.limits.object_bytes_max = bytes;
            });
        }
        // What is left has no remedy that would not be another request altogether.
        _ => {}
    }
}

fn session_cookie(list: &mut List<'_>) {
    let case = list.case;
    let names: Vec<String> =
        cookie::cookies(&case.request.fields).into_iter().map(|(name, _)| super::text(name)).collect();
    let listed = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    list.policy(&format!("\"identity.ignore_cookies\" had {listed}, as cookies that tell no session"), |case| {
        case.rules.identity.ignore_cookies.extend(names.iter().cloned());
    });
    list.response("said public", |case| with_directive(case, "public"));
    list.request("had no cookies", |case| case.request.fields.remove("cookie"));
    list.policy(&format!("\"key.user\" had the cookie ({listed}), and each user an answer of its own"), |case| {
        case.rules.key.user.extend(names.iter().cloned().map(UserPart::Cookie));
    });
}

fn vary_not_allowed(list: &mut List<'_>) {
    let case = list.case;
    let vary = vary::parse(&case.response.fields);
    let Some(name) = vary_rule::not_allowed(&vary, case.rules.vary_allow.as_deref(), &case.keyed().covers) else {
        return;
    };
    list.policy(&format!("\"key.headers\" had \"{name}\", brought to a few values before"), |case| {
        case.rules.key.headers.push(name.to_string());
    });
    list.policy(&format!("\"vary.allow\" had \"{name}\""), |case| {
        if let Some(allow) = &mut case.rules.vary_allow {
            allow.push(name.clone());
        }
    });
    list.response(&format!("did not vary by {name}"), |case| {
        let vary::Vary::Names(names) = vary::parse(&case.response.fields) else { return };
        let left: Vec<String> = names.into_iter().filter(|other| *other != name).collect();
        case.response.fields.remove("vary");
        if !left.is_empty() {
            case.response.fields.add("vary", left.join(", "));
        }
    });
}

/// The field whose directives are in force.
fn control_field(case: &Case) -> String {
    let directives = case.directives();
    let targeted = case.rules.targeted.iter().find(|name| directives.targeted && case.response.fields.has(name));
    targeted.cloned().unwrap_or_else(|| "cache-control".to_owned())
}

fn with_directive(case: &mut Case, directive: &str) {
    let field = control_field(case);
    case.response.fields.add(&field, directive);
}

fn without_directive(case: &mut Case, directive: &str) {
    let field = control_field(case);
    let Some(value) = case.response.fields.joined(&field).map(|value| super::text(&value)) else { return };
    let name = |part: &str| part.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    let left: Vec<&str> = value.split(',').map(str::trim).filter(|part| name(part) != directive).collect();
    case.response.fields.remove(&field);
    if !left.is_empty() {
        case.response.fields.add(&field, left.join(", "));
    }
}
