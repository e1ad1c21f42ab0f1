//! What is to be said of an operation: read off the policy's behaviour on a plain response.

use std::sync::Arc;

use larder_core::Policy;
use larder_core::decide::invalidation::is_unsafe;
use larder_core::policy::NO_CLASS;
use larder_core::policy::rules::{Rules, Ttl};

use crate::behaviour::{self, Behaviour, words};
use crate::document::{New, Operation};

/// What is to be said of an operation.
pub struct Plan {
    /// `x-larder-policy`.
    pub policy: New,
    /// Headers of its successful responses, by name.
    pub headers: Vec<(String, New)>,
    /// Headers of errors that are kept, and for which statuses.
    pub error_headers: Vec<(String, New)>,
    pub rules: Arc<Rules>,
    /// Clients can revalidate: a 304, and the parameters that ask for it.
    pub validates: bool,
    /// Preconditions are evaluated by the cache: a 412.
    pub preconditions: bool,
}

/// The plan for an operation.
pub fn of(policy: &Arc<Policy>, operation: &Operation) -> Plan {
    let requests = operation
        .places
        .iter()
        .map(|place| behaviour::request(&operation.method, &place.scheme, &place.host, &place.example()));
    // Of several servers the first one that the policy has a route for.
    let requests: Vec<_> = requests.collect();
    let matched = requests.iter().find(|request| policy.route_path(&policy.route(request).rules).is_some());
    let request = matched.or(requests.first()).cloned().unwrap_or_default();
    let behaviour = Behaviour::of(policy, request);
    let rules = Arc::clone(&behaviour.rules);
    let reads = matches!(operation.method.as_str(), "GET" | "HEAD");
    let is_get = operation.method == "GET";
    let stored = reads && behaviour.stores();
    let told = behaviour.sent("cache-control");
    let has_etag = is_get && behaviour.sent("etag").is_some();

    let mut headers = Vec::new();
    if reads {
        if let Some(told) = &told {
            headers.push((
                "Cache-Control".to_owned(),
                header("How long the response may be kept by clients and by other caches.", told),
            ));
        }
        if has_etag {
            headers.push(("ETag".to_owned(), shared("headers", "LarderETag")));
        }
        if stored && (told.is_none() || behaviour.hit("age").is_some()) {
            headers.push(("Age".to_owned(), shared("headers", "LarderAge")));
        }
    }
    headers.push(("Cache-Status".to_owned(), shared("headers", "LarderCacheStatus")));
    let mut error_headers = Vec::new();
    if stored {
        error_headers.push(("Age".to_owned(), shared("headers", "LarderAge")));
        error_headers.push(("Cache-Status".to_owned(), shared("headers", "LarderCacheStatus")));
    }
    Plan {
        policy: described(policy, &behaviour, &operation.method),
        headers,
        error_headers,
        rules,
        validates: reads && (has_etag || stored),
        preconditions: stored,
    }
}

/// A reference to a component that all operations share.
pub fn shared(kind: &str, name: &str) -> New {
    New::reference(&format!("#/components/{kind}/{name}"))
}

/// A header with one value.
pub fn header(description: &str, example: &str) -> New {
    New::map([
        ("description", New::text(description)),
        ("schema", New::map([("type", New::text("string"))])),
        ("example", New::text(example)),
    ])
}

/// `x-larder-policy`: the same for programs and for people.
fn described(policy: &Policy, behaviour: &Behaviour, method: &str) -> New {
    let rules = &behaviour.rules;
    let route = policy.route_path(rules).map_or(New::Null, |_| New::text(&*rules.route));
    let class = if *rules.class == *NO_CLASS { New::Null } else { New::text(&*rules.class) };
    let mut members = vec![("policy", New::text(&policy.name)), ("route", route), ("class", class)];
    if is_unsafe(method) {
        let invalidate = &rules.invalidate;
        let list = |texts: Vec<String>| New::List(texts.into_iter().map(New::Text).collect());
        members.push((
            "invalidates",
            New::map([
                ("own_url", New::Bool(true)),
                ("tags", list(invalidate.tags.iter().map(ToString::to_string).collect())),
                ("paths", list(invalidate.paths.iter().map(ToString::to_string).collect())),
            ]),
        ));
        return New::map(members);
    }
    if !matches!(method, "GET" | "HEAD") || !behaviour.stores() {
        members.push(("cached", New::Bool(false)));
        return New::map(members);
    }
    members.push(("cached", New::Bool(true)));
    members.push(("ttl", New::text(words::ttl(rules.ttl))));
    if let Ttl::Fixed(ttl) = rules.ttl {
        members.push(("ttl_seconds", New::Number(ttl.get().into())));
    }
    let errors = words::status_ttl(rules);
    if !errors.is_empty() {
        members.push(("status_ttl", New::map(errors.into_iter().map(|(status, ttl)| (status, New::Text(ttl))))));
    }
    let stale = [("while_revalidate", rules.stale.while_revalidate), ("if_error", rules.stale.if_error)];
    let stale: Vec<_> =
        stale.into_iter().filter_map(|(name, window)| Some((name, New::Text(words::stale(window)?)))).collect();
    if !stale.is_empty() {
        members.push(("stale", New::map(stale)));
    }
    members.push((
        "differs_by",
        New::List(words::differs_by(rules).into_iter().map(|text| New::Text(text.replace('`', ""))).collect()),
    ));
    if !rules.tags.templates.is_empty() {
        members.push(("tags", New::List(rules.tags.templates.iter().map(|tag| New::text(tag.to_string())).collect())));
    }
    New::map(members)
}
