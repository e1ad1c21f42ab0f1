//! Where a setting in force comes from: the route, its class, `defaults`, what a kind presets, or nowhere.
//!
//! For tools that tell people which line of their policy decided; no request depends on it. The layers themselves are
//! `compile`'s.

use std::fmt;

use super::Policy;
use super::errors::{Step, path_text};
use super::kinds::presets;
use super::model::{Class, ClientCacheControlSetting, KindWord, Route, Settings};
use super::rules::{Kind, Rules};

/// A setting by its path below a route, a class or `defaults`: `ttl`, `key.query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting(pub &'static str);

/// Which layer of the policy a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The file says so, at this path: `routes[2].ttl`.
    File(String),
    /// A preset of the class's kind.
    Preset(&'static str),
    /// The built-in default: the file is silent.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Preset(kind) => write!(f, "preset of kind \"{kind}\""),
            Self::BuiltIn => f.write_str("built-in default"),
        }
    }
}

impl Policy {
    /// Where `setting` of these rules comes from. The rules must be of this policy.
    pub fn source(&self, rules: &Rules, setting: Setting) -> Source {
        let layers = FileLayers::of(self, rules.index);
        match layers.owner(setting) {
            Some((_, steps)) => Source::File(path_text(&steps)),
            None if has(&presets(rules.kind), setting.0) || is_promised(rules.kind, setting) => {
                kind_word(rules.kind).map_or(Source::BuiltIn, Source::Preset)
            }
            None => Source::BuiltIn,
        }
    }

    /// The path of the route that these rules are of; `None` where no route matched.
    pub fn route_path(&self, rules: &Rules) -> Option<String> {
        self.file.routes.as_ref()?.get(rules.index)?;
        Some(path_text(&["routes".into(), rules.index.into()]))
    }

    /// The class of these rules as it is in the file; kinds that are used as they are have none.
    pub fn class_of(&self, rules: &Rules) -> Option<&Class> {
        self.file.classes.as_ref()?.0.iter().find(|(name, _)| *name.0 == *rules.class).map(|(_, class)| class)
    }
}

/// The word for a kind, as files have it.
pub(crate) const fn kind_word(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Static => KindWord::Static.word(),
        Kind::Reference => KindWord::Reference.word(),
        Kind::Catalog => KindWord::Catalog.word(),
        Kind::Volatile => KindWord::Volatile.word(),
        Kind::Personal => KindWord::Personal.word(),
        Kind::Never => KindWord::Never.word(),
        Kind::Plain => return None,
    })
}

/// What a kind says by its name and not by a preset.
fn is_promised(kind: Kind, setting: Setting) -> bool {
    matches!(kind, Kind::Personal | Kind::Never) && setting.0 == "ttl"
        || kind == Kind::Static && setting.0 == "client.cache_control"
}

/// The layers of a file that a route's settings come from.
pub(crate) struct FileLayers<'a> {
    pub route: Option<(usize, &'a Route)>,
    pub class: Option<(&'a str, &'a Class)>,
    pub defaults: Option<&'a Settings>,
    kind: Kind,
}

impl<'a> FileLayers<'a> {
    /// The layers of a route.
    pub const fn new(
        route: (usize, &'a Route),
        class: Option<(&'a str, &'a Class)>,
        defaults: Option<&'a Settings>,
        kind: Kind,
    ) -> Self {
        Self { route: Some(route), class, defaults, kind }
    }

    /// The layers of the route at `index`; past the last route those of requests that none matches.
    pub fn of(policy: &'a Policy, index: usize) -> Self {
        let file = &policy.file;
        let route = file.routes.as_ref().and_then(|routes| routes.get(index));
        let class = route.and_then(|route| route.class.as_ref()).and_then(|wanted| {
            let classes = &file.classes.as_ref()?.0;
            classes.iter().find(|(name, _)| name == wanted).map(|(name, class)| (name.0.as_str(), class))
        });
        let kind = policy.compiled.rules.get(index).map_or(Kind::Plain, |rules| rules.kind);
        Self { route: route.map(|route| (index, route)), class, defaults: file.defaults.as_ref(), kind }
    }

    /// The uppermost layer that has the setting, and the path of the setting there.
    pub fn owner(&self, setting: Setting) -> Option<(&'a Settings, Vec<Step>)> {
        let path = |mut steps: Vec<Step>| {
            steps.extend(setting.0.split('.').map(Step::from));
            steps
        };
        if let Some((index, route)) = self.route
            && has(&route.settings, setting.0)
        {
            return Some((&route.settings, path(vec!["routes".into(), index.into()])));
        }
        if let Some((name, class)) = self.class
            && has(&class.settings, setting.0)
        {
            return Some((&class.settings, path(vec!["classes".into(), name.into()])));
        }
        let defaults = self.defaults.filter(|defaults| has(defaults, setting.0))?;
        // `without_sharing`: what `defaults` says about these is not meant for such kinds.
        let shared = matches!(setting.0, "ttl" | "status_ttl" | "heuristic" | "refresh_ahead" | "warm")
            || setting.0.starts_with("stale")
            || setting.0.starts_with("client");
        let meant = !(shared && matches!(self.kind, Kind::Personal | Kind::Never));
        meant.then(|| (defaults, path(vec!["defaults".into()])))
    }
}

/// Whether a layer says anything about a setting.
pub(crate) fn has(settings: &Settings, setting: &str) -> bool {
    let stale = settings.stale.as_ref();
    let client = settings.client.as_ref();
    let key = settings.key.as_ref();
    let identity = settings.identity.as_ref();
    let invalidate = settings.invalidate.as_ref();
    let limits = settings.limits.as_ref();
    match setting {
        "ttl" => settings.ttl.is_some(),
        "status_ttl" => settings.status_ttl.is_some(),
        "heuristic" => settings.heuristic.is_some(),
        "jitter" => settings.jitter.is_some(),
        "stale" => stale.is_some(),
        "stale.while_revalidate" => stale.is_some_and(|s| s.while_revalidate.is_some()),
        "stale.if_error" => stale.is_some_and(|s| s.if_error.is_some()),
        "refresh_ahead" => settings.refresh_ahead.is_some(),
        "client.cache_control" => client.is_some_and(|c| c.cache_control.is_some()),
        "client.cache_control.browser_ttl" => client.is_some_and(|c| match &c.cache_control {
            Some(ClientCacheControlSetting::Directives(told)) => told.browser_ttl.is_some(),
            _ => false,
        }),
        "client.remove" => client.is_some_and(|c| c.remove.is_some()),
        "etag" => settings.etag.is_some(),
        "last_modified" => settings.last_modified.is_some(),
        "key" => key.is_some(),
        "key.query" => key.is_some_and(|k| k.query.is_some()),
        "key.sort_query" => key.is_some_and(|k| k.sort_query.is_some()),
        "key.headers" => key.is_some_and(|k| k.headers.is_some()),
        "key.cookies" => key.is_some_and(|k| k.cookies.is_some()),
        "key.accept_encoding" => key.is_some_and(|k| k.accept_encoding.is_some()),
        "key.accept_language" => key.is_some_and(|k| k.accept_language.is_some()),
        "key.user" => key.is_some_and(|k| k.user.is_some()),
        "identity.authorization" => identity.is_some_and(|i| i.authorization.is_some()),
        "identity.session_cookies" => identity.is_some_and(|i| i.session_cookies.is_some()),
        "identity.set_cookie" => identity.is_some_and(|i| i.set_cookie.is_some()),
        "vary" => settings.vary.is_some(),
        "tags" => settings.tags.is_some(),
        "tag_fields" => settings.tag_fields.is_some(),
        "invalidate" => invalidate.is_some(),
        "invalidate.tags" => invalidate.is_some_and(|i| i.tags.is_some()),
        "invalidate.paths" => invalidate.is_some_and(|i| i.paths.is_some()),
        "request_directives" => settings.request_directives.is_some(),
        "targeted" => settings.targeted.is_some(),
        "post" => settings.post.is_some(),
        "partial" => settings.partial.is_some(),
        "purge_method" => settings.purge_method.is_some(),
        "collapse" => settings.collapse.is_some(),
        "limits" => limits.is_some(),
        "limits.object_bytes" => limits.is_some_and(|l| l.object_bytes.is_some()),
        "limits.hold_bytes" => limits.is_some_and(|l| l.hold_bytes.is_some()),
        "limits.variants_per_key" => limits.is_some_and(|l| l.variants_per_key.is_some()),
        "limits.tags_per_entry" => limits.is_some_and(|l| l.tags_per_entry.is_some()),
        "warm" => settings.warm.is_some(),
        "target_hit_ratio" => settings.target_hit_ratio.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_uppermost_layer_owns_a_setting() {
        let text = r#"{"version":1,"name":"p","defaults":{"ttl":"9s","jitter":"5%"},
            "classes":{"a":{"kind":"catalog","stale":{"if_error":"1m"}}},
            "routes":[{"name":"r","path":"/r","class":"a","key":{"query":"none"}},
                      {"name":"m","path":"/m","class":"personal"}]}"#;
        let policy = Policy::parse(text).unwrap();
        let rules: Vec<_> = policy.routes().map(|route| route.rules.clone()).collect();
        let source = |index: usize, setting| policy.source(&rules[index], Setting(setting)).to_string();
        assert_eq!(source(0, "ttl"), "defaults.ttl");
        assert_eq!(source(0, "stale.if_error"), "classes.a.stale.if_error");
        assert_eq!(source(0, "stale.while_revalidate"), "preset of kind \"catalog\"");
        assert_eq!(source(0, "key.query"), "routes[0].key.query");
        assert_eq!(source(0, "key.headers"), "built-in default");
        assert_eq!(source(1, "ttl"), "preset of kind \"personal\"", "defaults.ttl is not meant for personal data");
        assert_eq!(source(1, "jitter"), "defaults.jitter");
        assert_eq!(policy.source(policy.unmatched(), Setting("ttl")).to_string(), "defaults.ttl");
        assert_eq!(policy.route_path(policy.unmatched()), None);
    }
}
