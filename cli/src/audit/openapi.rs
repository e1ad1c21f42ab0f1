//! An OpenAPI document held against a policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use larder_core::explain::Verdict;
use larder_core::{Fields, Policy, RequestHead};

use super::report::{Kind, Report};
use crate::behaviour::{self, Behaviour};
use crate::document::{Api, Operation, Tree};
use crate::init::openapi::{is_secured, values};
use crate::input::{self, Source};

/// Response fields by which a document may contradict a policy.
const FIELDS: [&str; 8] = [
    "cache-control",
    "cdn-cache-control",
    "surrogate-control",
    "expires",
    "pragma",
    "set-cookie",
    "vary",
    "content-location",
];

/// Audits.
pub fn audit(policy: &Arc<Policy>, source: &Source) -> anyhow::Result<Report> {
    let text = input::read(source)?;
    let tree = Tree::parse(&text).with_context(|| format!("cannot read {source}"))?;
    let api = Api::of(&tree).with_context(|| format!("cannot use {source}"))?;
    let mut report = Report { looked_at: format!("{} operations", api.operations.len()), ..Report::default() };
    let mut used = BTreeSet::new();
    for operation in &api.operations {
        let name = format!("{} {}", operation.method, operation.path);
        let Some(request) = request(policy, operation) else { continue };
        let rules = policy.route(&request).rules;
        let route = policy.route_path(&rules).map(|_| rules.route.to_string());
        used.insert(rules.index);
        if route.is_none() {
            report.add(Kind::WithoutPolicy, &name, None, None, "no route matches it: \"defaults\" alone apply");
        }
        if operation.method == "GET" {
            look(policy, &api, operation, &name, request, route.as_deref(), &mut report);
        }
    }
    for summary in policy.routes().filter(|summary| !used.contains(&summary.rules.index)) {
        let path = behaviour::purging::path(&summary);
        report.add(
            Kind::WithoutEndpoint,
            &path,
            Some(&summary.rules.route),
            None,
            format!("the document has no operation under the route \"{}\"", summary.rules.route),
        );
    }
    Ok(report)
}

/// The request for an operation: at the first of its servers that the policy has a route for.
fn request(policy: &Policy, operation: &Operation) -> Option<RequestHead> {
    let requests = operation
        .places
        .iter()
        .map(|place| behaviour::request(&operation.method, &place.scheme, &place.host, &place.example()));
    let requests: Vec<RequestHead> = requests.collect();
    let matched = requests.iter().find(|request| policy.route_path(&policy.route(request).rules).is_some());
    matched.or(requests.first()).cloned()
}

fn look(
    policy: &Arc<Policy>,
    api: &Api<'_>,
    operation: &Operation,
    name: &str,
    request: RequestHead,
    route: Option<&str>,
    report: &mut Report,
) {
    let plain = Behaviour::of(policy, request.clone());
    let (fields, has_validator) = told(api, operation);
    let personal = plain.sent("cache-control").is_some_and(|told| told.contains("private"));
    if (plain.stores() || personal)
        && !has_validator
        && plain.sent("etag").is_none()
        && plain.sent("last-modified").is_none()
    {
        report.add(
            Kind::WithoutValidator,
            name,
            route,
            None,
            "the document names no ETag and no Last-Modified, and the policy makes none: \"etag\": \"strong\" would",
        );
    }
    let is_secured = is_secured(api, operation);
    let mut asked = request;
    if is_secured {
        // Whatever the scheme: it is in Authorization, or as good as there.
        asked.fields.add("authorization", "Bearer token");
    }
    let as_told = Behaviour::with(policy, asked, fields);
    match (plain.plain.verdict, as_told.plain.verdict) {
        (Verdict::Stored(_), Verdict::NotStored(reason)) => {
            let why = as_told
                .plain
                .steps
                .iter()
                .find(|step| step.about != "key" && step.went == larder_core::explain::Went::Stop);
            let why = why.map_or_else(|| reason.as_str().to_owned(), |step| step.text.clone());
            let way = as_told.plain.ways.first().map(|way| {
                let changes: Vec<&str> = way.0.iter().map(|change| change.what.as_str()).collect();
                format!("; it would be cached if {}", changes.join(", and "))
            });
            report.add(
                Kind::Contradiction,
                name,
                route,
                None,
                format!("the policy has it cached, and {why}{}", way.unwrap_or_default()),
            );
        }
        (Verdict::NotStored(_) | Verdict::Bypassed(_), _)
            if !plain.stores() && !personal && says_public(api, operation) =>
        {
            report.add(
                Kind::Contradiction,
                name,
                route,
                None,
                "the document says that caches may keep it, and the policy says never",
            );
        }
        _ => {}
    }
}

/// What a document says of the fields of a successful answer; and whether it has a validator.
fn told(api: &Api<'_>, operation: &Operation) -> (Fields, bool) {
    let tree = api.tree;
    let mut fields = Fields::new();
    let mut has_validator = false;
    let responses: Vec<_> = api.responses(operation).collect();
    let success = responses
        .iter()
        .find(|(status, _)| *status == "200")
        .or(responses.iter().find(|(status, _)| status.starts_with('2')));
    let Some((_, response)) = success else { return (fields, false) };
    let response = tree.dereferenced(response);
    for header in tree.get(response, "headers").iter().flat_map(|headers| headers.members()) {
        let name = header.key.to_ascii_lowercase();
        has_validator |= matches!(name.as_str(), "etag" | "last-modified");
        if !FIELDS.contains(&name.as_str()) {
            continue;
        }
        let value = values(tree, tree.dereferenced(&header.node)).into_iter().next();
        match (value, name.as_str()) {
            (Some(value), _) => fields.add(&name, value),
            // A cookie is a cookie, whatever is in it.
            (None, "set-cookie") => fields.add(&name, "name=value"),
            (None, _) => {}
        }
    }
    (fields, has_validator)
}

/// Whether a document says in so many words that shared caches may keep an answer.
fn says_public(api: &Api<'_>, operation: &Operation) -> bool {
    let (fields, _) = told(api, operation);
    let control = fields
        .joined("cache-control")
        .map(|value| String::from_utf8_lossy(&value).to_ascii_lowercase())
        .unwrap_or_default();
    control.split(',').map(str::trim).any(|part| part == "public" || part.starts_with("s-maxage="))
}
