//! A request that warms: what is sent, what purges name it by.

use std::fmt;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use larder_core::exchange::group_tag;
use larder_core::field::{cache_groups, surrogate};
use larder_core::purge::{Scope, is_under};

use super::coverage::Covered;
use super::target::Target;

/// Fields of a request.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// A request that warms one variant of one URL.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) target: Target,
    pub(super) fields: Fields,
    /// How often, where a policy says.
    pub(super) every: Option<Duration>,
    pub(super) covered: Option<Covered>,
    /// What purges name it by.
    pub(super) url: String,
    /// The tags that the route's templates give it.
    pub(super) tags: Vec<String>,
}

/// A URL and the fields that are sent along.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(pub(super) Target, Vec<(String, Vec<u8>)>);

impl Request {
    /// The URL.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The fields that are sent along.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// How often a policy wants it to be warm.
    pub const fn every(&self) -> Option<Duration> {
        self.every
    }

    /// The route that it is under.
    pub fn route(&self) -> Option<&str> {
        self.covered.as_ref().map(|covered| &*covered.rules.route)
    }

    pub(super) const fn sent_fields(&self) -> &Fields {
        &self.fields
    }

    /// The same for another URL, to which an answer has led.
    pub(super) fn led_to(&self, target: Target, covered: Option<Covered>) -> Self {
        let same_host = target.authority() == self.target.authority() && target.scheme() == self.target.scheme();
        let secret = |name: &HeaderName| matches!(name.as_str(), "authorization" | "cookie");
        let fields = self.fields.iter().filter(|(name, _)| same_host || !secret(name)).cloned().collect();
        Self { fields, covered, target, ..self.clone() }
    }

    /// The tags that an answer's own fields give it, as purges name them.
    pub(super) fn tags_of(&self, fields: &larder_core::Fields) -> Vec<String> {
        let Some(covered) = &self.covered else { return Vec::new() };
        let (groups, listed): (Vec<String>, Vec<String>) =
            covered.rules.tags.fields.iter().cloned().partition(|name| name == "cache-groups");
        let mut tags = surrogate::tags(fields, &listed).tags;
        if !groups.is_empty() {
            tags.extend(cache_groups::groups(fields).iter().map(|group| group_tag(&self.url, group)));
        }
        tags.truncate(covered.rules.limits.tags_per_entry_max as usize);
        tags
    }

    /// Whether a purge makes what was warmed stale or gone, as far as can be known: `said` are the tags that the last answer's fields
    /// gave it.
    pub(super) fn is_purged_by(&self, scope: &Scope, said: &[String]) -> bool {
        match scope {
            Scope::All => true,
            Scope::Url(url) => *url == self.url,
            Scope::Prefix(prefix) => is_under(&self.url, prefix),
            Scope::Tag(tag) => self.tags.contains(tag) || said.contains(tag) || self.hides_tags(),
        }
    }

    /// Whether tags that the origin gives do not reach clients: then any purge by tag may be meant.
    fn hides_tags(&self) -> bool {
        let Some(covered) = &self.covered else { return false };
        covered.rules.tags.fields.iter().any(|name| covered.rules.client.remove.contains(name))
    }

    /// What tells it from others.
    pub(super) fn identity(&self) -> Identity {
        let mut fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        fields.sort_unstable();
        Identity(self.target.clone(), fields)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)?;
        let shown = self.fields.iter().filter(|(name, _)| *name != USER_AGENT);
        for (index, (name, value)) in shown.enumerate() {
            let between = if index == 0 { " (" } else { ", " };
            let secret = matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization");
            let value = if secret { "...".into() } else { String::from_utf8_lossy(value.as_bytes()) };
            write!(f, "{between}{name}: {value}")?;
        }
        if self.fields.iter().any(|(name, _)| *name != USER_AGENT) { f.write_str(")") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::warming::plan::of_policies;
    use larder_core::Policy;

    #[test]
    fn purges_name_what_was_warmed_by_url_prefix_and_tag() {
        let text = r#"{"version":1,"name":"p","routes":[{"name":"r","path":"/v1/products/{id}","ttl":"60s",
            "tags":["product:{id}"],"key":{"query":{"deny":["utm_*"]}},"warm":[{"url":"/v1/products/7?utm_a=1","every":"9s"}]}]}"#;
        let policy = Arc::new(Policy::parse(text).expect("a policy"));
        let via = "http://h".parse().expect("a proxy");
        let (plan, _) = of_policies(&[policy], &[], &via, 10);
        let request = &plan.requests[0];
        for (scope, said, want) in [
            (Scope::All, &[][..], true),
            (Scope::Url("http://h/v1/products/7".into()), &[], true),
            (Scope::Url("http://h/v1/products/8".into()), &[], false),
            (Scope::Prefix("http://h/v1/products".into()), &[], true),
            (Scope::Prefix("http://h/v1/prod".into()), &[], false),
            (Scope::Tag("product:7".into()), &[], true),
            (Scope::Tag("product:70".into()), &[], false),
            (Scope::Tag("lists".into()), &[], false),
            (Scope::Tag("lists".into()), &["lists".to_owned()], true),
        ] {
            assert_eq!(request.is_purged_by(&scope, said), want, "{scope:?}");
        }
        let mut fields = larder_core::Fields::new();
        fields.add("surrogate-key", "a b");
        fields.add("cache-groups", "\"g\"");
        assert_eq!(request.tags_of(&fields), ["a", "b", "http://h#g"]);
    }
}
