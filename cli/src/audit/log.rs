//! An access log held against a policy. Requests are summed up as they are read: by route where one matches, by endpoint where none
//! does; both are bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_core::explain::{Question, Verdict, Went, explain};
use larder_core::policy::rules::{EtagRule, Ttl};
use larder_core::{Fields, Policy, RequestHead, ResponseHead, Timestamp};

use super::report::{Kind, Report};
use crate::behaviour::purging;
use crate::input::Source;
use crate::traffic::{self, Endpoints, Entry};

/// Different answers that are asked about for a route.
const ANSWERS_MAX: usize = 64;
/// Reasons in `Cache-Status` that are counted for a route.
const REASONS_MAX: usize = 32;
/// Endpoints without a policy that are listed.
const LISTED_MAX: usize = 50;

/// What came under a route.
#[derive(Default)]
struct Under {
    requests: u64,
    gets: u64,
    errors: BTreeMap<u16, u64>,
    told: u64,
    without_validator: u64,
    /// GETs, by why a cache in front has not stored the answer.
    reasons: BTreeMap<String, u64>,
    /// GETs, by the answer's fields about caching: with a request for it.
    answers: BTreeMap<Answer, (u64, RequestHead)>,
}

/// An answer as far as caching goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    status: u16,
    identified: bool,
    /// In order of their names. Of validators and cookies only that they are there.
    fields: Vec<(&'static str, String)>,
}

/// Audits.
pub fn audit(policy: &Arc<Policy>, source: &Source) -> anyhow::Result<Report> {
    let mut under: BTreeMap<usize, Under> = BTreeMap::new();
    let mut unrouted = Endpoints::default();
    let read = traffic::read(source, |entry| {
        let request = request(&entry);
        let rules = policy.route(&request).rules;
        if policy.route_path(&rules).is_none() {
            unrouted.add(&entry);
        }
        under.entry(rules.index).or_default().add(&entry, request);
    })?;
    if read.requests == 0 {
        anyhow::bail!("{source} has no request in it that is understood ({} lines are not)", read.unread);
    }
    let mut report = Report { looked_at: format!("{} requests", read.requests), ..Report::default() };
    if read.unread > 0 {
        report.notes.push(format!("{} lines are not understood", read.unread));
    }
    without_policy(&unrouted, &mut report);
    for summary in policy.routes() {
        let name = purging::path(&summary);
        let route = Some(&*summary.rules.route);
        match under.get(&summary.rules.index) {
            None => report.add(
                Kind::WithoutEndpoint,
                &name,
                route,
                None,
                format!("no request of the log is under the route \"{}\"", summary.rules.route),
            ),
            Some(seen) => look(policy, &name, route, summary.rules.etag, summary.rules.ttl, seen, &mut report),
        }
    }
    Ok(report)
}

fn without_policy(unrouted: &Endpoints, report: &mut Report) {
    // What was never answered well is no endpoint: scanners ask for much.
    let list: Vec<_> = unrouted
        .list()
        .into_iter()
        .filter(|endpoint| endpoint.seen.statuses.keys().any(|status| *status < 400))
        .collect();
    for endpoint in list.iter().take(LISTED_MAX) {
        let methods: Vec<&str> = endpoint.seen.methods.keys().map(String::as_str).collect();
        let name = format!("{} {}", methods.join(", "), endpoint.template);
        report.add(
            Kind::WithoutPolicy,
            &name,
            None,
            Some(endpoint.seen.requests()),
            "no route matches it: \"defaults\" alone apply",
        );
    }
    if list.len() > LISTED_MAX {
        report.notes.push(format!("{} more endpoints have no policy", list.len() - LISTED_MAX));
    }
    if unrouted.lumped > 0 {
        report
            .notes
            .push(format!("{} requests without a policy are to more paths than are told apart", unrouted.lumped));
    }
}

fn look(
    policy: &Arc<Policy>,
    name: &str,
    route: Option<&str>,
    etag: EtagRule,
    ttl: Ttl,
    seen: &Under,
    report: &mut Report,
) {
    if seen.told > 0 && seen.without_validator == seen.told && etag == EtagRule::Origin && ttl != Ttl::Never {
        report.add(
            Kind::WithoutValidator,
            name,
            route,
            Some(seen.told),
            "no answer has ETag or Last-Modified, and the policy makes none: \"etag\": \"strong\" would",
        );
    }
    let mut by_text: BTreeMap<String, u64> = BTreeMap::new();
    for (answer, (count, request)) in &seen.answers {
        if let Some(text) = contradiction(policy, answer, request) {
            *by_text.entry(text).or_default() += count;
        }
    }
    for (reason, count) in &seen.reasons {
        *by_text.entry(format!("the cache in front has not stored it: {reason}")).or_default() += count;
    }
    let mut found: Vec<(String, u64)> = by_text.into_iter().collect();
    found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (text, count) in found {
        report.add(Kind::Contradiction, name, route, Some(count), text);
    }
    for (status, count) in seen.errors.iter().filter(|(_, count)| **count * 10 > seen.gets) {
        if ttl != Ttl::Never {
            let text = format!(
                "more than a tenth of the answers are {status}, and the policy keeps none of these: \"status_ttl\": {{\"{status}\": \"10s\"}} would"
            );
            report.add(Kind::Contradiction, name, route, Some(*count), text);
        }
    }
}

/// Whether a plain answer to a plain request would be stored, and this one is not.
fn contradiction(policy: &Arc<Policy>, answer: &Answer, request: &RequestHead) -> Option<String> {
    if answer.status >= 400 {
        return None;
    }
    let verdict = |request: RequestHead, fields: Fields| {
        let response = ResponseHead { status: answer.status, fields, ..ResponseHead::default() };
        explain(&Question { policy, now: Timestamp::from_secs(0), request, response, body: b"{}" })
    };
    let mut fields = Fields::new();
    answer.fields.iter().for_each(|(name, value)| fields.add(name, value.as_str()));
    // A plain answer has a validator, where this one has: what is asked is what else is about it.
    let mut plain = fields.clone();
    plain.retain(|line| matches!(line.name.as_str(), "etag" | "last-modified"));
    let mut asked = request.clone();
    if answer.identified {
        asked.fields.add("authorization", "Bearer token");
    }
    let Verdict::Stored(_) = verdict(request.clone(), plain).verdict else { return None };
    let told = verdict(asked, fields);
    let Verdict::NotStored(_) = told.verdict else { return None };
    let why = told.steps.iter().find(|step| step.went == Went::Stop)?;
    Some(format!("the policy has it cached, and {}", why.text))
}

impl Under {
    fn add(&mut self, entry: &Entry, request: RequestHead) {
        self.requests += 1;
        if entry.method != "GET" {
            return;
        }
        self.gets += 1;
        if matches!(entry.status, 404 | 410) {
            *self.errors.entry(entry.status).or_default() += 1;
        }
        let has = |names: &[&str]| entry.fields.iter().any(|(name, _)| names.contains(name));
        if entry.status == 200 && entry.tells_fields {
            self.told += 1;
            self.without_validator += u64::from(!has(&["etag", "last-modified"]));
        }
        if let Some(reason) = entry.cache_status.as_deref().and_then(not_stored)
            && (self.reasons.len() < REASONS_MAX || self.reasons.contains_key(reason))
        {
            *self.reasons.entry(reason.to_owned()).or_default() += 1;
        }
        if !entry.tells_fields && !entry.identified {
            return;
        }
        let mut fields: Vec<(&'static str, String)> =
            entry.fields.iter().map(|(name, value)| (*name, coarse(name, value))).collect();
        fields.sort();
        let answer = Answer { status: entry.status, identified: entry.identified, fields };
        if let Some((count, _)) = self.answers.get_mut(&answer) {
            *count += 1;
        } else if self.answers.len() < ANSWERS_MAX {
            self.answers.insert(answer, (1, request));
        }
    }
}

/// What is different for each answer, made alike.
fn coarse(name: &str, value: &str) -> String {
    match name {
        "etag" => "\"1\"".to_owned(),
        "set-cookie" => "name=value".to_owned(),
        // A date, long gone or far off; when the log was written does not matter.
        "last-modified" => "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        "expires" => if value.len() < 20 { "0" } else { "Thu, 01 Jan 1970 01:00:00 GMT" }.to_owned(),
        _ => value.chars().take(200).collect(),
    }
}

/// Why Larder's own member of `Cache-Status` says that an answer was not stored.
fn not_stored(status: &str) -> Option<&str> {
    let own = status.rsplit(',').find(|member| member.trim_start().starts_with("Larder"))?;
    let mut parts = own.split(';').map(str::trim);
    let (mut forwarded, mut stored, mut detail) = (false, false, None);
    for part in parts.by_ref() {
        forwarded |= matches!(part, "fwd=uri-miss" | "fwd=vary-miss" | "fwd=stale" | "fwd=miss");
        stored |= part == "stored";
        detail = part.strip_prefix("detail=").map(|detail| detail.trim_matches('"')).or(detail);
    }
    detail.filter(|_| forwarded && !stored)
}

fn request(entry: &Entry) -> RequestHead {
    let (scheme, host) = (entry.scheme.as_deref().unwrap_or("https"), entry.host.as_deref().unwrap_or(""));
    crate::behaviour::request(&entry.method, scheme, host, &entry.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_off_larders_own_member() {
        for (status, want) in [
            ("Larder; fwd=uri-miss; detail=set-cookie", Some("set-cookie")),
            ("Other; hit, Larder; fwd=stale; fwd-status=200; detail=\"no-store\"", Some("no-store")),
            ("Larder; fwd=uri-miss; stored; detail=cluster-timeout", None),
            ("Larder; hit; ttl=4", None),
            ("Larder; fwd=bypass; detail=policy", None),
            ("Other; fwd=miss; detail=x", None),
            ("", None),
        ] {
            assert_eq!(not_stored(status), want, "{status}");
        }
    }
}
