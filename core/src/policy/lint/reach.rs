//! What lints ask about rules: whether they store, for how long, and who would be asked for a path.

use std::fmt::Write as _;

use crate::fields::RequestHead;
use crate::policy::model::Route;
use crate::policy::rules::{Rules, Ttl};
use crate::time::Seconds;

/// Whether any response under these rules is stored.
pub(super) fn stores(rules: &Rules) -> bool {
    rules.ttl != Ttl::Never || rules.status_ttl.iter().any(|(_, ttl)| *ttl != Ttl::Never)
}

/// The longest lifetime that the policy gives or lets the origin give; `None` where only the origin bounds it.
pub(super) fn longest(ttl: Ttl) -> Option<Seconds> {
    match ttl {
        Ttl::Fixed(span) => Some(span),
        Ttl::Respect { ceiling, .. } => ceiling,
        Ttl::Never => Some(Seconds::ZERO),
    }
}

/// Hosts of which the route matches requests, one for each of its patterns.
pub(super) fn hosts(route: &Route) -> Vec<String> {
    let patterns = route.host.as_ref().map_or(&[][..], |hosts| hosts.patterns());
    let host = |pattern: String| pattern.strip_prefix("*.").map(|rest| format!("any.{rest}")).unwrap_or(pattern);
    if patterns.is_empty() { vec![String::new()] } else { patterns.iter().map(|p| host(p.to_string())).collect() }
}

/// A GET for a URL or a path.
pub(super) fn get(host: &str, url: &str) -> RequestHead {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        Some((scheme, rest.get(..at)?, rest.get(at..)?))
    });
    let (scheme, host, target) = parts.unwrap_or(("https", host, url));
    let slash = if target.starts_with('/') { "" } else { "/" };
    RequestHead {
        method: "GET".to_owned(),
        scheme: scheme.to_owned(),
        authority: host.to_owned(),
        target: format!("{slash}{target}"),
        ..RequestHead::default()
    }
}

/// A template's text with every parameter replaced by `with`.
pub(super) fn filled(template: &str, with: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, braced)) = rest.split_once('{') {
        let (_, after) = braced.split_once('}').unwrap_or(("", ""));
        let _ = write!(text, "{before}{with}");
        rest = after;
    }
    text + rest
}

/// A span in words, as policies write it.
pub(super) fn span(span: Seconds) -> String {
    crate::policy::duration::seconds_text(span)
}
