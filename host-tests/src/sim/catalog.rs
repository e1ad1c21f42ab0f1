//! What there is at the origin: how each kind of resource behaves, and what the RFCs and the policy then allow.
//!
//! The oracles read `Kind`'s facts. They are written from the RFCs and from what `docs/policies.md` says of settings, not from what core
//! makes of the policy. The policy itself comes in variations, which are pushed during a run (`policy`).

use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// How a resource behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `max-age` and a strong ETag.
    Plain,
    /// The origin says nothing; the policy has a fixed lifetime, and an ETag is made at the edge.
    Fixed,
    /// Differs by `Accept-Language` and says so.
    Varies,
    /// Belongs to who asks, and is `private`.
    Private,
    /// Belongs to who asks by `Authorization`, and carries `max-age` as for everybody (RFC 9111 3.5).
    NaiveAuthorization,
    /// Belongs to who asks by a cookie, and carries `max-age` as for everybody.
    NaiveCookie,
    /// Greets everybody alike, and sets a cookie that is somebody's.
    SetsCookie,
    /// `no-store`.
    NoStore,
    /// `no-cache` with an ETag.
    NoCache,
    /// Short `max-age`, `must-revalidate`, and a `stale-if-error` that does not count.
    MustRevalidate,
    /// Short `max-age` and `stale-while-revalidate`.
    WhileRevalidate,
    /// Short `max-age` and `stale-if-error`.
    IfError,
    /// More than what is held back, kept in small memories or sent along by nodes.
    Large,
    /// `public`: to be shared though requests carry `Authorization`, and the same for everybody.
    Public,
    /// Keyed by user: the policy says so, and the origin answers by `Authorization`.
    KeyedByUser,
    /// Short `max-age`, refreshed before its end where it is used often.
    Ahead,
    /// Comes from a cache before the origin, which has had it for a while and says so by `Age` alone (RFC 9111 4.2.3).
    Aged,
    /// Comes and goes: every other version is a 404. The policy keeps 404 and the origin's own 503 for a moment.
    Erring,
}

/// All kinds.
pub const KINDS: [Kind; 18] = [
    Kind::Plain,
    Kind::Fixed,
    Kind::Varies,
    Kind::Private,
    Kind::NaiveAuthorization,
    Kind::NaiveCookie,
    Kind::SetsCookie,
    Kind::NoStore,
    Kind::NoCache,
    Kind::MustRevalidate,
    Kind::WhileRevalidate,
    Kind::IfError,
    Kind::Large,
    Kind::Public,
    Kind::KeyedByUser,
    Kind::Ahead,
    Kind::Aged,
    Kind::Erring,
];

/// How long a stored response may be used, in milliseconds from when the origin last gave or confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without asking.
    pub fresh: u64,
    /// After that, while it is refreshed.
    pub while_revalidate: u64,
    /// After that, where the origin fails.
    pub if_error: u64,
}

const LONG: u64 = 60_000;
const SHORT: u64 = 2_000;
const WINDOW: u64 = 4_000;

impl Kind {
    /// One of them; the plain ones more often.
    pub fn draw(dice: &mut Dice) -> Self {
        if dice.per_mille(300) { dice.pick(&[Self::Plain, Self::Fixed]) } else { dice.pick(&KINDS) }
    }

    /// The name in paths and policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fixed => "fixed",
            Self::Varies => "varies",
            Self::Private => "private",
            Self::NaiveAuthorization => "naive-authorization",
            Self::NaiveCookie => "naive-cookie",
            Self::SetsCookie => "sets-cookie",
            Self::NoStore => "no-store",
            Self::NoCache => "no-cache",
            Self::MustRevalidate => "must-revalidate",
            Self::WhileRevalidate => "while-revalidate",
            Self::IfError => "if-error",
            Self::Large => "large",
            Self::Public => "public",
            Self::KeyedByUser => "keyed-by-user",
            Self::Ahead => "ahead",
            Self::Aged => "aged",
            Self::Erring => "erring",
        }
    }

    /// The origin's `Cache-Control`.
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Varies | Self::SetsCookie | Self::Large | Self::Erring => Some("max-age=60"),
            Self::NaiveAuthorization | Self::NaiveCookie => Some("max-age=60"),
            Self::Fixed | Self::KeyedByUser => None,
            Self::Private => Some("private, max-age=60"),
            Self::NoStore => Some("no-store, max-age=60"),
            Self::NoCache => Some("no-cache, max-age=60"),
            Self::MustRevalidate => Some("max-age=2, must-revalidate, stale-if-error=60"),
            Self::WhileRevalidate => Some("max-age=2, stale-while-revalidate=4"),
            Self::IfError => Some("max-age=2, stale-if-error=4"),
            Self::Public => Some("public, max-age=60"),
            Self::Ahead => Some("max-age=4"),
            Self::Aged => Some("max-age=10"),
        }
    }

    /// How long a shared cache may use what it has stored under a variation of the policy; `None`: it must not store it (RFC 9111 3,
    /// RFC 5861). Where the policy names a `ttl`, that is the lifetime, whatever the origin said and whichever policy it was stored under.
    pub fn lifetime(self, variation: usize) -> Option<Lifetime> {
        let fresh = |fresh| Some(Lifetime { fresh, while_revalidate: 0, if_error: 0 });
        match self {
            Self::Fixed => fresh(variation_of(variation).fixed_secs * 1_000),
            Self::Plain => fresh(variation_of(variation).plain_secs.map_or(LONG, |secs| secs * 1_000)),
            Self::Varies | Self::Large | Self::Public | Self::KeyedByUser | Self::Erring => fresh(LONG),
            Self::NoCache => fresh(0),
            Self::MustRevalidate => fresh(SHORT),
            Self::WhileRevalidate => Some(Lifetime { fresh: SHORT, while_revalidate: WINDOW, if_error: 0 }),
            Self::IfError => Some(Lifetime { fresh: SHORT, while_revalidate: 0, if_error: WINDOW }),
            Self::Ahead => fresh(2 * SHORT),
            Self::Aged => fresh(10_000),
            Self::NoStore if variation_of(variation).overrides => fresh(LONG),
            Self::Private | Self::NoStore => None,
            // Responses to requests without identity may be shared with such requests (for `sets-cookie`: with nobody).
            Self::NaiveAuthorization | Self::NaiveCookie => fresh(LONG),
            Self::SetsCookie => None,
        }
    }

    /// How long an error of this status may be used, in milliseconds; `None`: it must not be stored (README, `status_ttl`).
    pub fn error_lifetime(self, variation: usize, status: u16) -> Option<u64> {
        let named = variation_of(variation).status_secs.iter().find(|(named, _)| *named == status);
        named.filter(|_| self == Self::Erring).map(|(_, secs)| secs * 1_000)
    }

    /// How old it is when it comes from the origin, in seconds.
    pub const fn age_secs(self) -> u64 {
        match self {
            Self::Aged => 6,
            _ => 0,
        }
    }

    /// Whether the body belongs to who asked.
    pub const fn is_personal(self) -> bool {
        matches!(self, Self::Private | Self::NaiveAuthorization | Self::NaiveCookie | Self::KeyedByUser)
    }

    /// Whether the origin gives an ETag.
    pub const fn has_etag(self) -> bool {
        !matches!(self, Self::Fixed | Self::NoStore | Self::KeyedByUser)
    }

    /// Whether every 200 to a request without identity is stored and shared by everybody who asks so.
    pub const fn is_surely_shared(self) -> bool {
        matches!(self, Self::Plain | Self::Fixed | Self::Public)
    }

    /// Whether everything there is of it is stored under one key.
    pub const fn has_one_key(self) -> bool {
        !matches!(self, Self::Varies | Self::KeyedByUser)
    }

    /// The length of its body.
    pub const fn body_bytes(self) -> usize {
        match self {
            Self::Large => 150_000,
            _ => 700,
        }
    }

    /// The route in the policy.
    fn route(self, collapse: &str, variation: &Variation) -> String {
        let name = self.name();
        let special = match self {
            Self::Fixed => format!(
                r#", "ttl": "{}s", "etag": "strong", "client": {{ "cache_control": {{ "browser_ttl": "{}s" }} }}"#,
                variation.fixed_secs, variation.browser_secs
            ),
            Self::Plain => variation.plain_secs.map(|secs| format!(r#", "ttl": "{secs}s""#)).unwrap_or_default(),
            Self::KeyedByUser if variation.keys_users => {
                r#", "ttl": "60s", "key": { "user": ["authorization"] }"#.to_owned()
            }
            Self::KeyedByUser => r#", "ttl": "60s""#.to_owned(),
            Self::NoStore if variation.overrides => r#", "ttl": "60s", "override": "unsafe""#.to_owned(),
            Self::NaiveCookie => r#", "identity": { "session_cookies": ["session"] }"#.to_owned(),
            Self::Ahead => variation.ahead.map(|ahead| format!(r#", "refresh_ahead": {ahead}"#)).unwrap_or_default(),
            Self::Erring => {
                let named: Vec<String> =
                    variation.status_secs.iter().map(|(status, secs)| format!(r#""{status}": "{secs}s""#)).collect();
                format!(r#", "status_ttl": {{ {} }}"#, named.join(", "))
            }
            _ => String::new(),
        };
        format!(
            r#"{{ "name": "{name}", "path": "/{name}/{{id}}", "tags": ["{name}:{{id}}"], {collapse}
                "invalidate": {{ "tags": ["{name}:{{id}}"] }}{special} }}"#
        )
    }
}

/// In what policies differ from one another.
#[derive(Clone, Copy, Debug)]
pub struct Variation {
    /// Lifetime of `fixed`.
    fixed_secs: u64,
    /// What clients of `fixed` are told: each variation another number, so that an answer says which policy it is under.
    pub browser_secs: u64,
    /// Lifetime of `plain`, where it is not the origin's to say.
    plain_secs: Option<u64>,
    /// `keyed-by-user` is keyed by user.
    pub keys_users: bool,
    /// `no-store` is kept against the origin's word.
    overrides: bool,
    /// `refresh_ahead` of `ahead`.
    ahead: Option<&'static str>,
    /// `status_ttl` of `erring`.
    status_secs: &'static [(u16, u64)],
}

/// The first is what Envoys are configured with.
const VARIATIONS: [Variation; 4] = [
    Variation {
        fixed_secs: 60,
        browser_secs: 100,
        plain_secs: None,
        keys_users: true,
        overrides: false,
        ahead: Some(r#"{ "within": "2s", "hits": 2 }"#),
        status_secs: &[(404, 3), (503, 2)],
    },
    Variation {
        fixed_secs: 3,
        browser_secs: 101,
        plain_secs: None,
        keys_users: true,
        overrides: true,
        ahead: Some(r#"{ "within": "50%", "hits": 1 }"#),
        status_secs: &[(404, 1)],
    },
    Variation {
        fixed_secs: 60,
        browser_secs: 102,
        plain_secs: Some(2),
        keys_users: false,
        overrides: false,
        ahead: None,
        status_secs: &[(404, 3), (503, 2)],
    },
    Variation {
        fixed_secs: 8,
        browser_secs: 103,
        plain_secs: Some(20),
        keys_users: true,
        overrides: false,
        ahead: None,
        status_secs: &[(503, 4)],
    },
];

/// How many policies there are to be pushed, numbered from 0.
pub const VARIATIONS_COUNT: usize = VARIATIONS.len();

/// A variation by its number.
pub const fn variation_of(number: usize) -> &'static Variation {
    &VARIATIONS[number % VARIATIONS.len()]
}

/// The text of a policy.
pub fn policy(options: &super::Options, variation: usize) -> String {
    let collapse = match options.collapse_ms {
        0 => r#""collapse": "off","#.to_owned(),
        wait => format!(r#""collapse": {{ "wait": "{wait}ms" }},"#),
    };
    let routes: Vec<String> = KINDS.iter().map(|kind| kind.route(&collapse, variation_of(variation))).collect();
    format!(
        r#"{{ "version": 1, "name": "sim", "defaults": {{ "identity": {{ "session_cookies": ["session"] }} }},
            "routes": [ {} ] }}"#,
        routes.join(",\n")
    )
}

/// The module's configuration.
pub fn configuration(options: &super::Options) -> String {
    let reroute = match options.reroute_above {
        None => String::new(),
        Some(bytes) => format!(r#", "reroute_above": "{bytes}B""#),
    };
    let cluster = match options.nodes {
        0 => String::new(),
        _ => format!(
            r#""cluster": {{ "name": "{}", "timeout": "{}ms", "purge_lag_max": "{}ms", "poll": "{}ms"{reroute} }},"#,
            crate::cluster::CLUSTER,
            options.lookup_timeout_ms,
            options.purge_lag_max_ms,
            options.poll_ms
        ),
    };
    format!(
        r#"{{ {cluster} "l1_bytes": "{}B", "tick": "100ms", "refresh": {{ "cluster": "origin", "timeout": "5s" }},
          "policy": {} }}"#,
        options.l1_bytes,
        policy(options, 0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_one() {
        for seed in 0..200 {
            let options = super::super::Options::draw(seed);
            let text = configuration(&options);
            let value: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(value["l1_bytes"], format!("{}B", options.l1_bytes));
            let policy = super::policy(&options, seed as usize);
            larder_core::Policy::parse(&policy).unwrap_or_else(|errors| panic!("{}", errors.in_file("policy")));
        }
    }
}
