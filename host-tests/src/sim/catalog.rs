//! What there is at the origin: how each kind of resource behaves, which policy the edge has for it, and what the RFCs then allow.
//!
//! The oracles read `Kind`'s facts. They are written from the RFCs, not from what core makes of the policy.

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
}

/// All kinds.
pub const KINDS: [Kind; 15] = [
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
        }
    }

    /// The origin's `Cache-Control`.
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Varies | Self::SetsCookie | Self::Large => Some("max-age=60"),
            Self::NaiveAuthorization | Self::NaiveCookie => Some("max-age=60"),
            Self::Fixed | Self::KeyedByUser => None,
            Self::Private => Some("private, max-age=60"),
            Self::NoStore => Some("no-store"),
            Self::NoCache => Some("no-cache, max-age=60"),
            Self::MustRevalidate => Some("max-age=2, must-revalidate, stale-if-error=60"),
            Self::WhileRevalidate => Some("max-age=2, stale-while-revalidate=4"),
            Self::IfError => Some("max-age=2, stale-if-error=4"),
            Self::Public => Some("public, max-age=60"),
        }
    }

    /// How long a shared cache may use what it has stored; `None`: it must not store it (RFC 9111 3, RFC 5861).
    pub fn lifetime(self) -> Option<Lifetime> {
        let fresh = |fresh| Some(Lifetime { fresh, while_revalidate: 0, if_error: 0 });
        match self {
            Self::Plain | Self::Fixed | Self::Varies | Self::Large | Self::Public | Self::KeyedByUser => fresh(LONG),
            Self::NoCache => fresh(0),
            Self::MustRevalidate => fresh(SHORT),
            Self::WhileRevalidate => Some(Lifetime { fresh: SHORT, while_revalidate: WINDOW, if_error: 0 }),
            Self::IfError => Some(Lifetime { fresh: SHORT, while_revalidate: 0, if_error: WINDOW }),
            Self::Private | Self::NoStore => None,
            // Responses to requests without identity may be shared with such requests (for `sets-cookie`: with nobody).
            Self::NaiveAuthorization | Self::NaiveCookie => fresh(LONG),
            Self::SetsCookie => None,
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

    /// The length of its body.
    pub const fn body_bytes(self) -> usize {
        match self {
            Self::Large => 150_000,
            _ => 700,
        }
    }

    /// The route in the policy.
    fn route(self, collapse: &str) -> String {
        let name = self.name();
        let special = match self {
            Self::Fixed => r#", "ttl": "60s", "etag": "strong""#,
            Self::KeyedByUser => r#", "ttl": "60s", "key": { "user": ["authorization"] }"#,
            Self::NaiveCookie => r#", "identity": { "session_cookies": ["session"] }"#,
            _ => "",
        };
        format!(
            r#"{{ "name": "{name}", "path": "/{name}/{{id}}", "tags": ["{name}:{{id}}"], {collapse}
                "invalidate": {{ "tags": ["{name}:{{id}}"] }}{special} }}"#
        )
    }
}

/// The module's configuration.
pub fn configuration(options: &super::Options, name: &str) -> String {
    let collapse = match options.collapse_ms {
        0 => r#""collapse": "off","#.to_owned(),
        wait => format!(r#""collapse": {{ "wait": "{wait}ms" }},"#),
    };
    let routes: Vec<String> = KINDS.iter().map(|kind| kind.route(&collapse)).collect();
    let cluster = match options.nodes {
        0 => String::new(),
        _ => format!(
            r#""cluster": {{ "name": "{}", "timeout": "{}ms", "purge_lag_max": "{}ms", "poll": "{}ms" }},"#,
            crate::cluster::CLUSTER,
            options.lookup_timeout_ms,
            options.purge_lag_max_ms,
            options.poll_ms
        ),
    };
    format!(
        r#"{{ {cluster} "l1_bytes": "{}B", "tick": "100ms", "refresh": {{ "cluster": "origin", "timeout": "5s" }},
          "policy": {{ "version": 1, "name": "{name}", "defaults": {{ "identity": {{ "session_cookies": ["session"] }} }},
            "routes": [ {} ] }} }}"#,
        options.l1_bytes,
        routes.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_one() {
        for seed in 0..200 {
            let options = super::super::Options::draw(seed);
            let text = configuration(&options, "sim");
            let value: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let policy = value["policy"].to_string();
            larder_core::Policy::parse(&policy).unwrap_or_else(|errors| panic!("{}", errors.in_file("policy")));
        }
    }
}
