//! Which URLs may be asked for: those of hosts that policies have routes for, and of sites that somebody has named.

use std::sync::Arc;

use larder_core::policy::rules::Rules;
use larder_core::policy::template::Params;
use larder_core::{Fields, Policy, RequestHead};

use super::target::{Site, Target, Via};

/// Which URLs may be asked for.
///
/// A URL is covered where a policy's route that names its host matches it, or where its host is that of a named site (or of the proxy
/// itself). A route for any host names none: with such a policy, sites are to be named.
#[derive(Clone, Debug)]
pub struct Coverage {
    policies: Vec<Arc<Policy>>,
    sites: Vec<Site>,
    own: Site,
}

/// What a covered URL is under.
#[derive(Clone, Debug)]
pub(super) struct Covered {
    pub(super) rules: Arc<Rules>,
    pub(super) params: Params,
}

impl Coverage {
    /// By these policies, the first one that has a route counts; `sites` are those whose URLs are covered besides.
    pub fn new(policies: Vec<Arc<Policy>>, sites: Vec<Site>, via: &Via) -> Self {
        Self { policies, sites, own: via.site().clone() }
    }

    pub(super) fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The sites that were named, or the proxy's own.
    pub(super) fn sites(&self) -> &[Site] {
        if self.sites.is_empty() { std::slice::from_ref(&self.own) } else { &self.sites }
    }

    /// Whether sites were named.
    pub(super) fn names_sites(&self) -> bool {
        !self.sites.is_empty()
    }

    /// What a URL is under; nothing where no policy was given. Says why it is not covered.
    pub(super) fn of(&self, target: &Target) -> Result<Option<Covered>, String> {
        let head = head(target);
        let is_named = self.sites.iter().chain([&self.own]).any(|site| site.has(target));
        let mut without_host = None;
        for policy in &self.policies {
            let matched = policy.route(&head);
            let Some(route) = policy.file().routes.as_ref().and_then(|routes| routes.get(matched.rules.index)) else {
                continue;
            };
            if route.host.is_some() || is_named {
                return Ok(Some(Covered { rules: matched.rules, params: matched.params }));
            }
            without_host = Some(matched.rules.route.clone());
        }
        if is_named {
            let rules = self.policies.first().map(|policy| policy.unmatched().clone());
            return Ok(rules.map(|rules| Covered { rules, params: Params::new() }));
        }
        Err(match without_host {
            Some(route) => format!(
                "the route \"{route}\" is for any host, and nobody has named {}: name it as a site",
                target.authority()
            ),
            None if self.policies.is_empty() => format!("{} is not a named site", target.authority()),
            None => "no route of the policy matches it".to_owned(),
        })
    }
}

/// A GET.
pub(super) fn head(target: &Target) -> RequestHead {
    RequestHead {
        method: "GET".to_owned(),
        scheme: target.scheme().to_owned(),
        authority: target.authority().to_owned(),
        target: target.path().to_owned(),
        fields: Fields::new(),
        has_body: false,
    }
}
