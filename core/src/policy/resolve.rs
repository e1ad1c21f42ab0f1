//! What settings amount to: the rules in force, with the built-in defaults where the settings are silent.
//!
//! The built-in defaults are documented in `rules.rs` and held here. Decides nothing about which settings apply: `compile` does.

use super::kinds::immutable_for;
use super::model::{
    self, AuthorizationWord, ClientCacheControlSetting, ClientDirectives, CollapseSetting, EtagWord, HeuristicSetting,
    InvalidateMode, LastModifiedWord, PurgeMethodWord, QueryList, QuerySetting, QueryWord, RefreshAheadSetting,
    RequestDirectivesWord, ScopeWord, SetCookieWord, Settings, Span, StaleSetting, StoreWord, TagField, TtlSetting,
    TtlWord, VarySetting,
};
use super::rules::{
    AheadWindow, AuthorizationRule, ClientCacheControl, ClientRules, EtagRule, Heuristic, IdentityRules,
    InvalidateRules, KeyRules, Kind, Limits, PurgeRule, QueryRule, RefreshAhead, Rules, Scope, SetCookieRule,
    StaleRules, StaleWindow, StatusPattern, TagRules, Ttl,
};
use crate::time::{Millis, Seconds};

/// The rules that `settings` amount to, with the built-in defaults where they are silent.
pub(crate) fn rules(
    index: usize,
    route: &str,
    class: &str,
    kind: Kind,
    settings: &Settings,
    override_unsafe: bool,
) -> Rules {
    let Settings { stale, key, identity, tags, tag_fields, targeted, .. } = settings;
    let ttl = ttl(settings.ttl.as_ref());
    let stale = stale.as_ref();
    let key = key.as_ref();
    let identity = identity.as_ref();
    Rules {
        index,
        route: route.into(),
        class: class.into(),
        kind,
        ttl,
        status_ttl: status_ttl(settings),
        heuristic: heuristic(settings.heuristic.as_ref()),
        jitter_percent: settings.jitter.map_or(0, |jitter| jitter.0),
        stale: StaleRules {
            while_revalidate: stale_window(stale.and_then(|s| s.while_revalidate.as_ref())),
            if_error: stale_window(stale.and_then(|s| s.if_error.as_ref())),
        },
        refresh_ahead: settings.refresh_ahead.as_ref().and_then(refresh_ahead),
        client: client(kind, ttl, settings),
        etag: match settings.etag {
            None | Some(EtagWord::Origin) => EtagRule::Origin,
            Some(EtagWord::Strong) => EtagRule::Strong,
            Some(EtagWord::Weak) => EtagRule::Weak,
        },
        add_last_modified: settings.last_modified == Some(LastModifiedWord::Stored),
        key: KeyRules {
            query: query(key.and_then(|k| k.query.as_ref())),
            sort_query: key.and_then(|k| k.sort_query).unwrap_or(false),
            no_vary_search: key.and_then(|k| k.no_vary_search).unwrap_or(true),
            headers: texts(key.and_then(|k| k.headers.as_ref()), |name| &name.0),
            cookies: texts(key.and_then(|k| k.cookies.as_ref()), |name| &name.0),
            accept_encoding: key
                .and_then(|k| k.accept_encoding.as_ref())
                .map(|codings| codings.iter().map(|coding| coding.word().to_owned()).collect()),
            accept_language: key
                .and_then(|k| k.accept_language.as_ref())
                .map(|languages| languages.iter().map(|language| language.0.clone()).collect()),
            user: key.and_then(|k| k.user.clone()).unwrap_or_default(),
        },
        identity: IdentityRules {
            authorization: match identity.and_then(|i| i.authorization) {
                None | Some(AuthorizationWord::Rfc9111) => AuthorizationRule::Rfc9111,
                Some(AuthorizationWord::Bypass) => AuthorizationRule::Bypass,
                Some(AuthorizationWord::Ignore) => AuthorizationRule::Ignore,
            },
            session_cookies: match identity.and_then(|i| i.session_cookies.as_ref()) {
                None => vec!["*".to_owned()],
                some => texts(some, |pattern| &pattern.0),
            },
            ignore_cookies: match identity.and_then(|i| i.ignore_cookies.as_ref()) {
                None => ANALYTICS_COOKIES.iter().map(|name| (*name).to_owned()).collect(),
                some => texts(some, |pattern| &pattern.0),
            },
            set_cookie: match identity.and_then(|i| i.set_cookie) {
                None | Some(SetCookieWord::NotStored) => SetCookieRule::NotStored,
                Some(SetCookieWord::Strip) => SetCookieRule::Strip,
                Some(SetCookieWord::Keep | SetCookieWord::KeepUnsafe) => SetCookieRule::Keep,
            },
        },
        vary_allow: match &settings.vary {
            None => Some(VARY_DEFAULT.iter().map(|name| (*name).to_owned()).collect()),
            Some(VarySetting::Word(_)) => None,
            Some(VarySetting::List(list)) => Some(texts(list.allow.as_ref(), |name| &name.0)),
        },
        tags: TagRules {
            templates: tags.iter().flatten().map(|tag| tag.0.clone()).collect(),
            fields: match tag_fields {
                None => TagField::WORDS.iter().map(|word| (*word).to_owned()).collect(),
                Some(fields) => fields.iter().map(|field| field.word().to_owned()).collect(),
            },
        },
        invalidate: invalidate(settings),
        obey_request_directives: settings.request_directives == Some(RequestDirectivesWord::Obey),
        targeted: match targeted {
            None => vec!["cdn-cache-control".to_owned()],
            some => texts(some.as_ref(), |name| &name.0),
        },
        store_post: settings.post == Some(StoreWord::Store),
        store_parts: settings.partial == Some(StoreWord::Store),
        purge_method: match settings.purge_method {
            Some(PurgeMethodWord::Token) => PurgeRule::Token,
            Some(PurgeMethodWord::Pass) | None => PurgeRule::Pass,
        },
        collapse_wait: match &settings.collapse {
            None => Some(Millis(5000)),
            Some(CollapseSetting::Word(_)) => None,
            Some(CollapseSetting::Bounds(bounds)) => bounds.wait.map(|wait| wait.0),
        },
        limits: limits(settings),
        override_unsafe,
    }
}

/// Cookies of well-known analytics, which tell nobody's session.
const ANALYTICS_COOKIES: [&str; 21] = [
    "_ga",
    "_ga_*",
    "_gid",
    "_gat",
    "_gat_*",
    "_gac_*",
    "_gcl_*",
    "__utm*",
    "_fbp",
    "_fbc",
    "_hjid",
    "_hjSession*",
    "_hjSessionUser*",
    "_pk_id*",
    "_pk_ses*",
    "_pk_ref*",
    "_uetsid",
    "_uetvid",
    "_clck",
    "_clsk",
    "_ttp",
];

/// Uses that make a response one that is used often, where the policy says nothing.
const AHEAD_HITS: u32 = 3;

/// What a stored response may vary by where the policy says nothing.
const VARY_DEFAULT: [&str; 4] = ["accept", "accept-encoding", "accept-language", "origin"];

fn texts<T>(list: Option<&Vec<T>>, text: impl Fn(&T) -> &String) -> Vec<String> {
    list.into_iter().flatten().map(|item| text(item).clone()).collect()
}

const fn span(span: Option<Span>) -> Option<Seconds> {
    match span {
        Some(span) => Some(span.0),
        None => None,
    }
}

fn ttl(setting: Option<&TtlSetting>) -> Ttl {
    match setting {
        None | Some(TtlSetting::Word(TtlWord::Respect)) => Ttl::Respect { floor: None, ceiling: None, absent: None },
        Some(TtlSetting::Word(TtlWord::Never)) => Ttl::Never,
        Some(TtlSetting::Fixed(fixed)) => Ttl::Fixed(fixed.0),
        Some(TtlSetting::Bounds(bounds)) => {
            let (floor, ceiling) = (span(bounds.floor), span(bounds.ceiling));
            // The bounds hold for what a kind presets, too.
            let absent = span(bounds.absent).map(|absent| absent.max(floor.unwrap_or(absent)));
            Ttl::Respect { floor, ceiling, absent: absent.map(|absent| absent.min(ceiling.unwrap_or(absent))) }
        }
    }
}

/// Lifetimes by status, exact ones first: the first match wins.
fn status_ttl(settings: &Settings) -> Vec<(StatusPattern, Ttl)> {
    let mut list: Vec<_> = settings
        .status_ttl
        .iter()
        .flat_map(|named| &named.0)
        .map(|(pattern, setting)| (*pattern, ttl(Some(setting))))
        .collect();
    list.sort_by_key(|(pattern, _)| matches!(pattern, StatusPattern::Class(_)));
    list
}

fn heuristic(setting: Option<&HeuristicSetting>) -> Option<Heuristic> {
    match setting {
        None | Some(HeuristicSetting::Word(_)) => None,
        Some(HeuristicSetting::Bounds(bounds)) => Some(Heuristic {
            percent: bounds.percent.map_or(10, |percent| percent.0),
            max: bounds.max.map_or(Seconds::saturating(86_400), |max| max.0),
        }),
    }
}

fn stale_window(setting: Option<&StaleSetting>) -> StaleWindow {
    match setting {
        None | Some(StaleSetting::Word(_)) => StaleWindow::Origin,
        Some(StaleSetting::Fixed(fixed)) => StaleWindow::Policy(fixed.0),
    }
}

fn refresh_ahead(setting: &RefreshAheadSetting) -> Option<RefreshAhead> {
    let (within, hits) = match setting {
        RefreshAheadSetting::Word(_) => return None,
        RefreshAheadSetting::Window(window) => (*window, None),
        RefreshAheadSetting::Bounds(bounds) => (bounds.within?, bounds.hits),
    };
    let within = match within {
        model::AheadWindow::Share(share) => AheadWindow::Share(share.0),
        model::AheadWindow::Span(span) => AheadWindow::Span(span.0),
    };
    Some(RefreshAhead { within, hits: hits.unwrap_or(AHEAD_HITS) })
}

fn client(kind: Kind, ttl: Ttl, settings: &Settings) -> ClientRules {
    let client = settings.client.as_ref();
    let cache_control = match (client.and_then(|c| c.cache_control.as_ref()), kind, ttl) {
        (Some(ClientCacheControlSetting::Directives(directives)), ..) => Some(client_cache_control(directives)),
        (None, Kind::Static, Ttl::Fixed(ttl)) => Some(client_cache_control(&immutable_for(ttl))),
        (None | Some(ClientCacheControlSetting::Word(_)), ..) => None,
    };
    let contradicting = || match cache_control {
        Some(_) => ["pragma", "expires", "surrogate-control"].map(str::to_owned).to_vec(),
        None => Vec::new(),
    };
    let remove = match client.and_then(|c| c.remove.as_ref()) {
        None => contradicting(),
        some => texts(some, |name| &name.0),
    };
    ClientRules { cache_control, remove }
}

fn client_cache_control(directives: &ClientDirectives) -> ClientCacheControl {
    ClientCacheControl {
        browser_ttl: span(directives.browser_ttl),
        scope: directives.scope.map(|scope| match scope {
            ScopeWord::Public => Scope::Public,
            ScopeWord::Private => Scope::Private,
        }),
        immutable: directives.immutable.unwrap_or(false),
        must_revalidate: directives.must_revalidate.unwrap_or(false),
        no_cache: directives.no_cache.unwrap_or(false),
        no_store: directives.no_store.unwrap_or(false),
        stale_while_revalidate: span(directives.stale_while_revalidate),
        stale_if_error: span(directives.stale_if_error),
    }
}

fn query(setting: Option<&QuerySetting>) -> QueryRule {
    match setting {
        None | Some(QuerySetting::Word(QueryWord::All)) => QueryRule::All,
        Some(QuerySetting::Word(QueryWord::None)) => QueryRule::None,
        Some(QuerySetting::List(QueryList { allow: Some(allow), .. })) => {
            QueryRule::Allow(texts(Some(allow), |pattern| &pattern.0))
        }
        Some(QuerySetting::List(QueryList { deny, .. })) => QueryRule::Deny(texts(deny.as_ref(), |pattern| &pattern.0)),
    }
}

fn invalidate(settings: &Settings) -> InvalidateRules {
    let Some(invalidate) = &settings.invalidate else { return InvalidateRules::default() };
    InvalidateRules {
        tags: invalidate.tags.iter().flatten().map(|tag| tag.0.clone()).collect(),
        paths: invalidate.paths.iter().flatten().map(|path| path.0.clone()).collect(),
        soft: invalidate.mode == Some(InvalidateMode::Soft),
    }
}

fn limits(settings: &Settings) -> Limits {
    let limits = settings.limits.as_ref();
    Limits {
        object_bytes_max: limits.and_then(|l| l.object_bytes).map_or(1 << 20, |bytes| bytes.0),
        hold_bytes_max: limits.and_then(|l| l.hold_bytes).map_or(64 << 10, |bytes| bytes.0),
        variants_per_key_max: limits.and_then(|l| l.variants_per_key).unwrap_or(16),
        tags_per_entry_max: limits.and_then(|l| l.tags_per_entry).unwrap_or(64),
    }
}
