//! Why a request is answered as it is: every step of the decision, with what decided it.
//!
//! No rules of its own. The steps are told from what the functions in `decide/` return, in the order in which an [`Exchange`] asks
//! them, and the verdict is that of an exchange which is run to its end here ([`Explanation::agrees`] says whether the two are of one
//! mind; a test holds that they are, over generated requests, responses and policies). What would change the verdict is found by
//! changing one thing after another and asking the same functions again. For tools: no request is served by this.
//!
//! [`Exchange`]: crate::Exchange

mod case;
mod client;
mod key;
mod lifetime;
mod request;
mod response;
mod run;
mod ways;

use std::fmt;
use std::sync::Arc;

pub use key::{KeyPart, parts};
pub use ways::{Change, Way, Who};

use self::case::Case;
use crate::decide::admit::Bypass;
use crate::decide::lifetime::Lifetime;
use crate::decide::store::NotStored;
use crate::exchange::Edits;
use crate::fields::{Fields, RequestHead, ResponseHead};
use crate::policy::rules::Rules;
use crate::policy::{Policy, Setting};
use crate::purge::{Mode, Scope};
use crate::time::Timestamp;

/// A request, and how its origin answers it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The policy in force.
    pub policy: &'a Arc<Policy>,
    /// When the request comes; the response comes at once.
    pub now: Timestamp,
    /// The request.
    pub request: RequestHead,
    /// The origin's response.
    pub response: ResponseHead,
    /// The response's body.
    pub body: &'a [u8],
}

/// Why a request is answered as it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The route that matched, `None` where none did.
    pub route: Option<String>,
    /// The class in force, by name.
    pub class: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What it comes to.
    pub verdict: Verdict,
    /// What the response is stored under, where the request may use the cache.
    pub key: Option<StoredKey>,
    /// The request as the origin gets it; `None` where it does not come so far.
    pub forwarded: Option<RequestHead>,
    /// What the client gets.
    pub sent: Option<Sent>,
    /// What the next request of the same kind gets, one moment later.
    pub again: Again,
    /// What is invalidated.
    pub purges: Vec<(Scope, Mode)>,
    /// What would have later requests answered from the cache; empty where they are.
    pub ways: Vec<Way>,
    /// Whether the exchange that was run came to what the steps say. Anything else is an error of Larder.
    pub agrees: bool,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What is decided, a word that stays the same: `route`, `key`, `no-store`.
    pub about: &'static str,
    /// How it went.
    pub went: Went,
    /// What was found.
    pub text: String,
    /// What decided.
    pub because: Vec<Because>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// Nothing stands against it.
    On,
    /// Here it ends.
    Stop,
    /// Told for its own sake.
    Told,
}

/// What decided a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// A setting: its path in the file, or where else it comes from.
    Policy(String),
    /// A section of an RFC: `RFC 9111 3.5`.
    Rfc(&'static str),
    /// A rule of Larder's own, which no setting changes.
    Larder(&'static str),
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(text) => f.write_str(text),
            Self::Rfc(text) | Self::Larder(text) => f.write_str(text),
        }
    }
}

/// What a decision comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The cache was not used.
    Bypassed(Bypass),
    /// It was, and the response is not stored.
    NotStored(NotStored),
    /// The response is stored, with this lifetime (jitter applied).
    Stored(Lifetime),
    /// Answered here without asking the origin, with this status: `only-if-cached`, `PURGE`.
    Answered(u16),
}

/// What a response is stored under.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// What the key is made of, in order.
    pub parts: Vec<KeyPart>,
    /// What the cluster knows the key by.
    pub name: String,
    /// The URL by which it is purged.
    pub url: String,
    /// Request fields that tell variants under this key apart, with what the request says.
    pub vary: Vec<(String, Option<Vec<u8>>)>,
    /// Tags by which it is purged, too; known where it is stored.
    pub tags: Vec<String>,
}

/// A response as a client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Status code.
    pub status: u16,
    /// Header fields, without `Content-Length`, which hosts add.
    pub fields: Fields,
}

/// What the next request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Again {
    /// An answer from the cache.
    FromCache(Sent),
    /// The origin is asked again, with these changes to the request.
    Origin(Edits),
    /// Nothing of use: the request does not come so far.
    Unknown,
}

/// Explains.
pub fn explain(question: &Question<'_>) -> Explanation {
    let case = Case::of(question);
    let ran = run::run(question);
    let mut steps = request::steps(question.policy, &case, &ran);
    let (verdict, lifetime) = (run::verdict(&case, &ran), case.storable());
    if case.admitted().is_ok() && !matches!(ran.verdict, run::Ended::Answered(_)) {
        response::steps(question, &case, &ran, &mut steps);
        if let Ok(lifetime) = &lifetime {
            lifetime::steps(question.policy, &case, lifetime, &ran, &mut steps);
        }
    }
    client::steps(question, &case, &ran, &mut steps);
    let route = question.policy.route_path(&case.rules).is_some().then(|| case.rules.route.to_string());
    Explanation {
        route,
        class: case.rules.class.to_string(),
        key: case.admitted().is_ok().then(|| key::stored(&case, &ran)),
        ways: ways::ways(question, &case, &ran),
        agrees: run::agrees(&case, &ran),
        forwarded: ran.forwarded,
        sent: ran.sent,
        again: ran.again,
        purges: ran.purges,
        steps,
        verdict,
    }
}

impl Step {
    fn new(about: &'static str, went: Went, text: impl Into<String>, because: Vec<Because>) -> Self {
        Self { about, went, text: text.into(), because }
    }
}

/// Where a setting of these rules comes from.
fn setting(policy: &Policy, rules: &Rules, name: &'static str) -> Because {
    Because::Policy(policy.source(rules, Setting(name)).to_string())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of a field, for people.
fn said(fields: &Fields, name: &str) -> Option<String> {
    fields.joined(name).map(|value| text(&value))
}
