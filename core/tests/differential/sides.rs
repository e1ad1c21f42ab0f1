//! The two sides: what larder-core and what http-cache-semantics answer to a case.

#![allow(clippy::disallowed_types, reason = "the other side takes `SystemTime`; nothing here asks for the time")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use larder_core::exchange::{Edit, RequestVerdict, ResponseVerdict};
use larder_core::flights::StreamId;
use larder_core::{Exchange, Fields, Policy, RequestHead, ResponseHead, Timestamp, Worker};

use crate::case::{ARRIVAL, Case, Lines, Request};

/// What makes a request conditional or partial.
pub const CONDITIONS: [&str; 6] =
    ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"];

/// Conditions and ranges of a request, in the order of [`CONDITIONS`].
pub type Conditions = Vec<(&'static str, String)>;

/// What a side says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The response may be stored.
    pub stored: bool,
    /// For so many seconds from its arrival it is fresh.
    pub fresh_for: u64,
    /// It answers the second request without the origin.
    pub reused: bool,
    /// Where it does not and the request is forwarded: what the forwarded request asks.
    pub conditions: Option<Conditions>,
}

/// Does what origin and client say, as `policies/conformance.json`. A quarter instead of a tenth of the time since
/// Last-Modified: floats hold it exactly. No targeted fields: the other side does not know them.
pub fn policy() -> Arc<Policy> {
    let text = r#"{"version":1,"name":"differential","defaults":{
        "ttl":"respect","status_ttl":{"4xx":"respect","5xx":"respect"},"heuristic":{"percent":"25%","max":"1d"},
        "vary":"any","request_directives":"obey","post":"store","partial":"store","targeted":[],
        "identity":{"authorization":"rfc9111","session_cookies":[],"set_cookie":"keep_unsafe"}}}"#;
    Arc::new(Policy::parse(text).unwrap_or_else(|errors| panic!("{errors}")))
}

/// Our side, from the first request's head to the second's verdict.
pub fn ours(policy: &Arc<Policy>, case: &Case) -> Answers {
    let mut worker = Worker::new(1 << 16, 1);
    let arrival = Timestamp::from_secs(ARRIVAL);
    fetch(policy, case, arrival, &mut worker);
    let stored = worker.shelf.bytes() > 0;

    // The first request again, as plain as it can be asked.
    let mut plain = case.first.clone();
    plain.lines.retain(|line| !CONDITIONS.contains(&line.0) && line.0 != "cache-control" && line.0 != "pragma");
    if plain.method == "POST" {
        // RFC 9110 9.3.3: it is stored for GET.
        plain.method = "GET";
    }
    let fresh_for = match ask(policy, &plain, arrival, &mut worker) {
        RequestVerdict::Respond(reply) => reply.fields().find_map(time_to_live).unwrap_or_default(),
        _ => 0,
    };

    let later = Timestamp::from_secs(ARRIVAL + case.wait);
    let (reused, conditions) = match ask(policy, &case.second, later, &mut worker) {
        RequestVerdict::Respond(reply) => (reply.status != 504, None),
        RequestVerdict::Forward(edits) => {
            let mut fields = head(&case.second).fields;
            edits.into_iter().for_each(|edit| apply(edit, &mut fields));
            let value = |name| Some((name, String::from_utf8(fields.joined(name)?).ok()?));
            (false, Some(CONDITIONS.into_iter().filter_map(value).collect()))
        }
        RequestVerdict::Wait | RequestVerdict::Reroute(_) | RequestVerdict::Follow(..) => {
            panic!("nobody to wait for, and no cluster")
        }
    };
    Answers { stored, fresh_for, reused, conditions }
}

fn fetch(policy: &Arc<Policy>, case: &Case, arrival: Timestamp, worker: &mut Worker) {
    let mut out = Vec::new();
    let mut exchange = Exchange::new(policy.clone(), StreamId(1));
    let sent = Timestamp::from_secs(ARRIVAL - case.delay);
    if let RequestVerdict::Forward(_) = exchange.on_request(sent, head(&case.first), worker, &mut out) {
        let response = ResponseHead { status: case.status, fields: fields(&case.response), ..ResponseHead::default() };
        match exchange.on_response(arrival, response, worker, &mut out) {
            ResponseVerdict::Hold | ResponseVerdict::Pass { capture: true, .. } => {
                exchange.on_end(arrival, b"ab", worker, &mut out);
            }
            ResponseVerdict::Pass { capture: false, .. } | ResponseVerdict::Replace(_) | ResponseVerdict::Wait => {}
        }
    }
    exchange.on_close(worker, &mut out);
}

fn ask(policy: &Arc<Policy>, request: &Request, now: Timestamp, worker: &mut Worker) -> RequestVerdict {
    let mut out = Vec::new();
    let mut exchange = Exchange::new(policy.clone(), StreamId(2));
    let verdict = exchange.on_request(now, head(request), worker, &mut out);
    exchange.on_close(worker, &mut out);
    verdict
}

/// `ttl` of our own member of Cache-Status (RFC 9211 2.4).
fn time_to_live(line: &larder_core::fields::Field) -> Option<u64> {
    let value = (line.name == "cache-status").then(|| std::str::from_utf8(&line.value).ok())??;
    let ttl: i64 = value.split(';').find_map(|part| part.trim().strip_prefix("ttl="))?.parse().ok()?;
    Some(u64::try_from(ttl).unwrap_or_default())
}

fn apply(edit: Edit, fields: &mut Fields) {
    match edit {
        Edit::Remove(name) => fields.remove(&name),
        Edit::Set(name, value) => fields.set(&name, value),
        Edit::Add(name, value) => fields.add(&name, value),
        Edit::Target(_) | Edit::Route => {}
    }
}

fn fields(lines: &Lines) -> Fields {
    Fields::from_pairs(lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())))
}

fn head(request: &Request) -> RequestHead {
    RequestHead {
        method: request.method.to_owned(),
        scheme: "http".to_owned(),
        authority: "h.example".to_owned(),
        target: request.target.to_owned(),
        fields: fields(&request.lines),
        has_body: request.method == "POST" || request.method == "PUT",
    }
}

/// The other side. `immutable` gives no lifetime of its own here (RFC 8246 2).
pub fn theirs(case: &Case) -> Answers {
    let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    let options =
        CacheOptions { cache_heuristic: 0.25, immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
    let mut response = http::Response::builder().status(case.status);
    for (name, value) in &case.response {
        response = response.header(*name, value);
    }
    let response = response.body(()).expect("a response");
    let stored = CachePolicy::new_options(&request(&case.first), &response, at(ARRIVAL), options);
    let (reused, conditions) = match stored.before_request(&request(&case.second), at(ARRIVAL + case.wait)) {
        BeforeRequest::Fresh(_) => (true, None),
        BeforeRequest::Stale { request, .. } => {
            let value = |name| {
                let lines: Vec<&str> = request.headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
                (!lines.is_empty()).then(|| (name, lines.join(", ")))
            };
            (false, Some(CONDITIONS.into_iter().filter_map(value).collect()))
        }
    };
    Answers { stored: stored.is_storable(), fresh_for: stored.time_to_live(at(ARRIVAL)).as_secs(), reused, conditions }
}

fn request(request: &Request) -> http::Request<()> {
    let mut built = http::Request::builder().method(request.method).uri(format!("http://h.example{}", request.target));
    for (name, value) in &request.lines {
        built = built.header(*name, value);
    }
    built.body(()).expect("a request")
}
