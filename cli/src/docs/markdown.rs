//! The documentation as Markdown: a table of all endpoints, a section for each, and how to read the answers.

use std::fmt::Write as _;
use std::sync::Arc;

use larder_core::Policy;
use larder_core::policy::RouteSummary;
use larder_core::policy::rules::Ttl;

use super::html::Slugs;
use crate::behaviour::purging::{Purgers, path, unsafe_methods};
use crate::behaviour::{Behaviour, example_path, request, words};

/// All of it.
pub fn text(policy: &Arc<Policy>, base_url: &str) -> String {
    let purgers = Purgers::of(policy);
    let mut endpoints: Vec<Endpoint> =
        policy.routes().map(|route| Endpoint::of(policy, &route, &purgers, base_url)).collect();
    let mut slugs = Slugs::default();
    endpoints.iter_mut().for_each(|endpoint| endpoint.anchor = slugs.of(&endpoint.heading));
    let mut out = format!("# Caching of {}\n\n", policy.name);
    if let Some(description) = &policy.file().description {
        let _ = writeln!(out, "{}\n", line(description));
    }
    out.push_str(
        "A shared cache stands before this API. What it keeps, for how long, and how to ask for the rest is said here for each \
         endpoint. It is made from the cache's own policy.\n\n",
    );
    if endpoints.is_empty() {
        let _ = writeln!(out, "No endpoint has rules of its own.\n");
    } else {
        out.push_str("| Endpoint | Kept by the cache | Kept by clients | Revalidation |\n|---|---|---|---|\n");
        endpoints.iter().for_each(|endpoint| out.push_str(&endpoint.row()));
        out.push('\n');
    }
    let unmatched = policy.unmatched();
    let _ = writeln!(
        out,
        "Everything else is kept {}.\n",
        match unmatched.ttl {
            Ttl::Never => "nowhere: it is not cached".to_owned(),
            other => format!("{}, and shared by {}", words::ttl(other), words::shared(unmatched)),
        }
    );
    endpoints.iter().for_each(|endpoint| out.push_str(&endpoint.section()));
    out.push_str(READING);
    out
}

/// The same facts for programs.
pub fn json(policy: &Arc<Policy>, base_url: &str) -> anyhow::Result<String> {
    let purgers = Purgers::of(policy);
    let endpoints: Vec<serde_json::Value> = policy
        .routes()
        .map(|route| {
            let endpoint = Endpoint::of(policy, &route, &purgers, base_url);
            let facts = endpoint.facts.iter().map(|(name, text)| serde_json::json!({ "name": name, "text": text }));
            serde_json::json!({
                "route": route.rules.route.to_string(),
                "endpoint": endpoint.heading,
                "description": endpoint.description,
                "facts": facts.collect::<Vec<_>>(),
                "examples": endpoint.examples,
            })
        })
        .collect();
    let document = serde_json::json!({ "policy": policy.name, "endpoints": endpoints });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

const READING: &str = "## How to read an answer\n\n\
    Every answer says in `Cache-Status` (RFC 9211) what the cache did.\n\n\
    | `Cache-Status` | means |\n|---|---|\n\
    | `Larder; hit; ttl=41` | from the cache, fresh for 41 more seconds |\n\
    | `Larder; hit; ttl=-3; detail=stale-while-revalidate` | from the cache, 3 seconds past its lifetime, while a new one is fetched |\n\
    | `Larder; fwd=uri-miss; stored` | from the API, and kept |\n\
    | `Larder; fwd=stale; fwd-status=304; stored` | the API has confirmed what the cache had |\n\
    | `Larder; fwd=uri-miss; detail=session-cookie` | from the API, not kept, and why |\n\
    | `Larder; fwd=bypass; detail=policy` | the cache has no part in this endpoint |\n\n\
    `Age` says for how many seconds an answer has been kept. A client that has an answer already sends its `ETag` in `If-None-Match`, or \
    its `Last-Modified` in `If-Modified-Since`: where it is still good, the answer is `304 Not Modified` without a body.\n";

/// An endpoint with all that is said of it.
struct Endpoint {
    heading: String,
    anchor: String,
    description: Vec<String>,
    facts: Vec<(&'static str, String)>,
    examples: Vec<String>,
    kept: String,
    browser: String,
    validation: String,
}

impl Endpoint {
    fn of(policy: &Arc<Policy>, route: &RouteSummary<'_>, purgers: &Purgers, base_url: &str) -> Self {
        let url = url(route, base_url);
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
        let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let behaviour = Behaviour::of(policy, request("GET", scheme, host, target));
        let methods =
            route.route.methods.as_ref().map(|list| list.iter().map(|method| method.0.as_str()).collect::<Vec<_>>());
        let reads =
            methods.as_ref().is_none_or(|methods| methods.iter().any(|method| matches!(*method, "GET" | "HEAD")));
        let heading = match &methods {
            Some(methods) => format!("{} {}", methods.join(", "), path(route)),
            None => path(route),
        };
        let texts = [&route.route.description, &route.route.comment];
        let mut endpoint = Self {
            heading,
            anchor: String::new(),
            description: texts.into_iter().flatten().map(|text| line(text)).collect(),
            facts: Vec::new(),
            examples: Vec::new(),
            kept: "not kept".to_owned(),
            browser: "as the API says".to_owned(),
            validation: "as the API does".to_owned(),
        };
        if reads {
            endpoint.reading(&behaviour, route, purgers, &url);
        }
        endpoint.writing(route, &url);
        endpoint
    }

    /// What is kept, and how it is asked for.
    fn reading(&mut self, behaviour: &Behaviour, route: &RouteSummary<'_>, purgers: &Purgers, url: &str) {
        let rules = route.rules;
        let told = behaviour.sent("cache-control");
        if let Some(browser) = words::browser(rules.client.cache_control.as_ref()) {
            self.browser = browser;
        }
        let stores = behaviour.stores();
        self.kept = if stores { words::ttl(rules.ttl) } else { "not kept".to_owned() };
        self.fact("Kept by the cache", self.kept.clone());
        if stores {
            if rules.jitter_percent > 0 {
                self.fact(
                    "Shortened",
                    format!("by up to {} %, so that not everything expires together", rules.jitter_percent),
                );
            }
            let stale = [
                (rules.stale.while_revalidate, "while a new one is fetched"),
                (rules.stale.if_error, "where the API fails"),
            ];
            let stale: Vec<String> = stale
                .into_iter()
                .filter_map(|(window, when)| Some(format!("{when}: {}", words::stale(window)?)))
                .collect();
            if !stale.is_empty() {
                self.fact("Used past that", stale.join("; "));
            }
            let errors = words::status_ttl(rules)
                .into_iter()
                .map(|(status, kept)| format!("{status}: {kept}"))
                .collect::<Vec<_>>();
            if !errors.is_empty() {
                self.fact("Other statuses", errors.join("; "));
            }
            self.fact("One answer for each", words::differs_by(rules).join("; "));
            self.fact("Shared by", words::shared(rules));
        }
        if let Some(told) = told {
            self.fact("Clients are told", code(&format!("Cache-Control: {told}")));
        }
        if behaviour.sent("etag").is_some() || stores {
            self.validation = match behaviour.sent("etag") {
                Some(_) => "`ETag`".to_owned(),
                None => "where the API gives a validator".to_owned(),
            };
            self.fact("Revalidation", format!("{}; the cache answers 304 by itself", words::validators(rules)));
        }
        if stores {
            self.purged(route, purgers);
        }
        self.examples.push(format!("curl -i '{url}'"));
        if behaviour.sent("etag").is_some() {
            self.examples.push(format!("curl -i -H 'If-None-Match: \"the ETag you have\"' '{url}'"));
        }
        if let Some(language) = rules.key.accept_language.as_ref().and_then(|languages| languages.get(1)) {
            self.examples.push(format!("curl -i -H 'Accept-Language: {language}' '{url}'"));
        }
    }

    /// What takes answers out before their time.
    fn purged(&mut self, route: &RouteSummary<'_>, purgers: &Purgers) {
        let mut by = Vec::new();
        if let Some(methods) = unsafe_methods(route) {
            by.push(format!("a successful {methods} to the same URL"));
        }
        let own = path(route);
        for purger in purgers.for_route(route).into_iter().filter(|purger| purger.path != own) {
            by.push(format!("a successful {} to {}", purger.methods, code(&purger.path)));
        }
        by.dedup();
        let tags: Vec<String> = route.rules.tags.templates.iter().map(|tag| code(&tag.to_string())).collect();
        if !tags.is_empty() {
            by.push(format!(
                "a purge of {} {}",
                if tags.len() == 1 { "its tag" } else { "one of its tags" },
                tags.join(", ")
            ));
        }
        by.push("a purge of its URL".to_owned());
        self.fact("Taken out early by", by.join("; "));
    }

    /// What writes invalidate.
    fn writing(&mut self, route: &RouteSummary<'_>, url: &str) {
        let Some(methods) = unsafe_methods(route) else { return };
        let invalidate = &route.rules.invalidate;
        let mut what: Vec<String> =
            invalidate.tags.iter().map(|tag| format!("everything tagged {}", code(&tag.to_string()))).collect();
        what.extend(invalidate.paths.iter().map(|path| code(&path.to_string())));
        if !what.is_empty() {
            self.fact(
                "Writes",
                format!("a successful {methods} makes the cache forget its own URL, {}", what.join(", ")),
            );
            if let Some(method) = methods.split(" or ").find(|method| *method != "write") {
                self.examples.push(format!("curl -i -X {method} '{url}'"));
            }
        }
    }

    fn fact(&mut self, name: &'static str, text: String) {
        self.facts.push((name, text));
    }

    fn row(&self) -> String {
        let cells = [self.kept.as_str(), &self.browser, &self.validation].map(|cell| cell.replace('|', "\\|"));
        let heading = self.heading.replace('|', "\\|");
        format!("| [{}](#{}) | {} |\n", code(&heading), self.anchor, cells.join(" | "))
    }

    fn section(&self) -> String {
        let mut out = format!("## {}\n\n", code(&self.heading));
        for text in &self.description {
            let _ = writeln!(out, "{text}\n");
        }
        for (name, text) in &self.facts {
            let _ = writeln!(out, "- **{name}:** {text}");
        }
        if !self.examples.is_empty() {
            let _ = write!(out, "\n```sh\n{}\n```\n", self.examples.join("\n"));
        }
        out.push('\n');
        out
    }
}

/// The URL of an example.
fn url(route: &RouteSummary<'_>, base_url: &str) -> String {
    let host = route.route.host.as_ref().and_then(|hosts| hosts.patterns().first()).map(ToString::to_string);
    let base = match host {
        Some(host) => {
            let (scheme, _) = base_url.split_once("://").unwrap_or(("https", ""));
            format!("{scheme}://{}", host.strip_prefix("*.").map_or(host.clone(), |rest| format!("any.{rest}")))
        }
        None => base_url.to_owned(),
    };
    base + &example_path(&path(route))
}

/// Text as code, whatever it has in it.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest > 0 { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

/// A remark as one paragraph.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
