//! Invalidation by unsafe methods (RFC 9111 4.4), by the policy's word, and by `Cache-Group-Invalidation` (RFC 9875 3).

use super::verdict::Effect;
use super::{Exchange, keyed, share, storing};
use crate::decide::invalidation::{self, UrlKey};
use crate::field::cache_groups;
use crate::fields::{RequestHead, ResponseHead, Source};
use crate::key;
use crate::policy::Policy;
use crate::policy::rules::Rules;
use crate::policy::template::Params;
use crate::purge::{Mode, Scope};
use crate::tally::Count;
use crate::worker::Worker;

impl Exchange {
    /// A response to an unsafe request is here.
    pub(super) fn invalidate(
        &self,
        request: &RequestHead,
        rules: &Rules,
        params: &Params,
        response: &ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) {
        let scopes = scopes(&self.policy, request, rules, params, response, worker);
        worker.tally.add(rules.index, Count::Invalidated, scopes.len() as u64);
        out.extend(share::purge(scopes, worker).map(|invalidation| Effect::Invalidate(Box::new(invalidation))));
    }
}

/// What the response to an unsafe request invalidates under a policy; nothing where it is none of the origin's, or says that it failed.
pub(crate) fn scopes(
    policy: &Policy,
    request: &RequestHead,
    rules: &Rules,
    params: &Params,
    response: &ResponseHead,
    worker: &Worker,
) -> Vec<(Scope, Mode)> {
    let succeeded = (200..400).contains(&response.status) && response.source == Source::Origin;
    if !succeeded {
        return Vec::new();
    }
    let mode = if rules.invalidate.soft { Mode::Soft } else { Mode::Hard };
    let mut scopes: Vec<(Scope, Mode)> = Vec::new();
    for url in invalidation::targets(request, response) {
        scopes.push((Scope::Url(stored_url(policy, request, &url, worker)), Mode::Hard));
    }
    let tags = rules.invalidate.tags.iter().filter_map(|tag| tag.expand(params));
    scopes.extend(tags.map(|tag| (Scope::Tag(tag), mode)));
    let scheme = request.scheme.to_ascii_lowercase();
    let authority = key::canonical_authority(&scheme, &request.authority);
    for path in rules.invalidate.paths.iter().filter_map(|path| path.expand(params)) {
        let scope = match path.strip_suffix('*') {
            Some(prefix) => Scope::Prefix(key::url(&scheme, &authority, prefix, None)),
            None => {
                let url = UrlKey { scheme: scheme.clone(), authority: authority.clone(), target: path };
                Scope::Url(stored_url(policy, request, &url, worker))
            }
        };
        scopes.push((scope, mode));
    }
    let origin = key::url(&scheme, &authority, "/", None);
    let groups = cache_groups::invalidations(&response.fields);
    scopes.extend(groups.iter().map(|group| (Scope::Tag(storing::group_tag(&origin, group)), Mode::Hard)));
    scopes.dedup();
    scopes
}

/// The URL under which a GET of this target would be stored.
pub(super) fn stored_url(policy: &Policy, request: &RequestHead, url: &UrlKey, worker: &Worker) -> String {
    let get = RequestHead {
        method: "GET".to_owned(),
        scheme: url.scheme.clone(),
        authority: url.authority.clone(),
        target: url.target.clone(),
        fields: request.fields.clone(),
        has_body: false,
    };
    let matched = policy.route(&get);
    keyed(&matched.rules, &get, &worker.shelf).url()
}
