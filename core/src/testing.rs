//! Shared by the core's own tests: rules from a few words of policy, heads from text.

use std::sync::Arc;

use crate::fields::{Fields, RequestHead, ResponseHead};
use crate::policy::Policy;
use crate::policy::rules::Rules;

/// A policy with one route for everything that has these settings (a JSON object's inside).
pub fn policy(settings: &str) -> Arc<Policy> {
    let comma = if settings.is_empty() { "" } else { "," };
    let text = format!(
        r#"{{"version":1,"name":"test",
            "routes":[{{"name":"all","path":"/{{*rest}}","comment":"a route without a class"{comma}{settings}}}]}}"#
    );
    Arc::new(Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors}")))
}

/// The rules of that route.
pub fn rules(settings: &str) -> Arc<Rules> {
    policy(settings).route(&get("/x", &[])).rules
}

/// Fields from pairs.
pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::from_pairs(pairs.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())))
}

/// A GET.
pub fn get(target: &str, pairs: &[(&str, &str)]) -> RequestHead {
    RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: target.into(),
        fields: fields(pairs),
        has_body: false,
    }
}

/// A response of the origin with a body to come.
pub fn response(status: u16, pairs: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status, fields: fields(pairs), ..ResponseHead::default() }
}
