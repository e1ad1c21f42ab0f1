//! From the model to the rules in force for each route.
//!
//! Lays route over class over `defaults` over the kind's presets over the built-in defaults (which are here, in
//! [`rules`], and documented in `rules.rs`), and builds the router. What combinations make no sense is `check`'s business.

use std::sync::Arc;

use super::check;
use super::decode::Overlay;
use super::errors::{Collected, Problem, Step, path_text};
use super::kinds::{immutable_for, never_stored, presets, without_sharing};
use super::model::{
    AuthorizationWord, Class, ClientCacheControlSetting, ClientDirectives, CollapseSetting, EtagWord, HeuristicSetting,
    InvalidateMode, KindWord, LastModifiedWord, Name, PolicyFile, QueryList, QuerySetting, QueryWord,
    RequestDirectivesWord, Route, ScopeWord, SetCookieWord, Settings, Span, StaleSetting, TtlSetting, TtlWord,
    VarySetting,
};
use super::nearest::nearest;
use super::router::{Router, VISITS_MAX};
use super::rules::{
    AuthorizationRule, ClientCacheControl, ClientRules, EtagRule, Heuristic, IdentityRules, InvalidateRules, KeyRules,
    Kind, Limits, QueryRule, Rules, Scope, SetCookieRule, StaleRules, StaleWindow, StatusPattern, TagRules, Ttl,
};
use super::spanned::{Node, Quoted};
use crate::time::{Millis, Seconds};

/// The name of the class of routes without one. Names in files cannot begin with `_`.
pub const NO_CLASS: &str = "_defaults";
/// The name of the route of requests that no route matches.
pub const NO_ROUTE: &str = "_unmatched";

/// What a file amounts to.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub rules: Vec<Arc<Rules>>,
    pub unmatched: Arc<Rules>,
    pub router: Router,
}

/// Compiles a file, whose parts are at their places under `root`. What is wrong goes to `errors`; the result is of use only
/// where nothing is.
pub(crate) fn compile(file: &PolicyFile, root: &Node, errors: &mut Collected) -> Compiled {
    let mut cx = Errors { root, errors };
    let no_settings = Settings::default();
    let defaults = Layer { path: vec!["defaults".into()], settings: file.defaults.as_ref().unwrap_or(&no_settings) };
    check::layer(&defaults, &mut cx);
    check::dangers(&defaults, &mut cx);
    let classes = file.classes.as_ref().map_or(&[][..], |named| &named.0);
    for (name, class) in classes {
        check::class(name, class, &class_layer(name, &class.settings), &mut cx);
    }
    let routes = file.routes.as_deref().unwrap_or_default();
    check::route_names(routes, root, &mut cx);

    let mut router = Router::new();
    let mut compiled = Vec::with_capacity(routes.len());
    let mut uses = check::ClassUses::default();
    for (index, route) in routes.iter().enumerate() {
        let found = find_class(route, index, classes, root, &mut cx);
        let path = route_path(root, index);
        let layers = Layers {
            kind: found.kind,
            defaults: &defaults,
            class: class_layer(&found.name, found.class.map_or(&no_settings, |class| &class.settings)),
            route: Layer { path: path.clone(), settings: &route.settings },
            override_unsafe: route.override_unsafe.is_some()
                || found.class.is_some_and(|class| class.override_unsafe.is_some()),
        };
        let settings = layers.settings();
        check::route(route, &layers, &settings, &mut uses, &mut cx);
        let readable = |setting: &str| {
            let place = format!("{}.{setting}", path_text(&path));
            !cx.is_about(|about| {
                about.strip_prefix(&place).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
            })
        };
        if let Some(path_template) = route.path.as_ref().filter(|_| readable("host") && readable("methods")) {
            let hosts = route.host.as_ref().map_or(&[][..], |hosts| hosts.patterns());
            let methods: Vec<_> = route.methods.iter().flatten().map(|method| method.0.as_str()).collect();
            if let Err(taken) = router.add(index, path_template, hosts, &methods) {
                let by = routes.get(taken.by).and_then(|r| r.name.as_ref()).map_or("another", |name| &name.0);
                let mut place = path;
                place.push("path".into());
                cx.add(&place, Problem::new(format!("the route \"{by}\" has the same path, host and method already")));
            }
        }
        let name = route.name.as_ref().map_or("", |name| &name.0);
        compiled.push(Arc::new(rules(index, name, &found.name.0, found.kind, &settings, layers.override_unsafe)));
    }
    for (name, class) in classes.iter().filter(|(name, _)| !uses.has(&name.0)) {
        let layers = Layers {
            kind: class.kind.or(KindWord::from_word(&name.0)).map_or(Kind::Plain, KindWord::kind),
            defaults: &defaults,
            class: class_layer(name, &class.settings),
            route: Layer { path: Vec::new(), settings: &no_settings },
            override_unsafe: class.override_unsafe.is_some(),
        };
        check::unused_class(&layers, &layers.settings(), &mut cx);
    }
    check::unsafe_classes(classes, &uses, &mut cx);
    if router.visits_max() > VISITS_MAX {
        let problem =
            Problem::new("too many paths differ only in which segments are parameters: routing would be slow");
        let problem = problem.and_expected(format!("at most {VISITS_MAX} places to look at for one request"));
        cx.add(&["routes".into()], problem.found(router.visits_max().to_string()));
    }
    let unmatched = rules(routes.len(), NO_ROUTE, NO_CLASS, Kind::Plain, defaults.settings, false);
    Compiled { rules: compiled, unmatched: Arc::new(unmatched), router }
}

/// Where errors about a file go.
pub(crate) struct Errors<'a> {
    root: &'a Node,
    errors: &'a mut Collected,
}

impl Errors<'_> {
    /// Whether a setting could not be read, so that what follows from its absence is no error of its own.
    pub fn is_about(&self, path: impl Fn(&str) -> bool) -> bool {
        self.errors.is_about(path)
    }

    pub fn add(&mut self, path: &[Step], problem: Problem) {
        self.errors.add_at_path(self.root, path, problem);
    }
}

/// Settings and where they stand in the file.
pub(crate) struct Layer<'a> {
    pub path: Vec<Step>,
    pub settings: &'a Settings,
}

impl Layer<'_> {
    /// The path of a setting in this layer.
    pub fn at(&self, setting: &[&str]) -> Vec<Step> {
        let mut path = self.path.clone();
        path.extend(setting.iter().map(|key| Step::from(*key)));
        path
    }
}

/// The layers that make a route's settings.
pub(crate) struct Layers<'a> {
    pub kind: Kind,
    pub defaults: &'a Layer<'a>,
    pub class: Layer<'a>,
    pub route: Layer<'a>,
    pub override_unsafe: bool,
}

impl Layers<'_> {
    /// The settings in force.
    fn settings(&self) -> Settings {
        let mut settings = presets(self.kind);
        if matches!(self.kind, Kind::Personal | Kind::Never) {
            settings.overlay(&without_sharing(self.defaults.settings));
        } else {
            settings.overlay(self.defaults.settings);
        }
        settings.overlay(self.class.settings);
        settings.overlay(self.route.settings);
        let has_user = settings.key.as_ref().and_then(|key| key.user.as_ref()).is_some_and(|user| !user.is_empty());
        if self.kind == Kind::Never || self.kind == Kind::Personal && !has_user {
            never_stored(&mut settings);
        }
        settings
    }

    /// The uppermost layer that has a setting: where an error about it belongs.
    pub fn owner(&self, has: impl Fn(&Settings) -> bool) -> Option<&Layer<'_>> {
        [&self.route, &self.class, self.defaults].into_iter().find(|layer| has(layer.settings))
    }
}

fn class_layer<'a>(name: &Name, settings: &'a Settings) -> Layer<'a> {
    Layer { path: vec!["classes".into(), name.0.as_str().into()], settings }
}

/// The path of a route. Routes that could not be decoded at all are left out of the model, so places are counted among objects.
fn route_path(root: &Node, index: usize) -> Vec<Step> {
    vec!["routes".into(), check::place_of_route(root, index).into()]
}

struct FoundClass<'a> {
    name: Name,
    kind: Kind,
    class: Option<&'a Class>,
}

/// The class that a route names.
fn find_class<'a>(
    route: &Route,
    index: usize,
    classes: &'a [(Name, Class)],
    root: &Node,
    cx: &mut Errors,
) -> FoundClass<'a> {
    let Some(name) = &route.class else {
        return FoundClass { name: Name(NO_CLASS.into()), kind: Kind::Plain, class: None };
    };
    let class = classes.iter().find(|(known, _)| known == name).map(|(_, class)| class);
    let preset = KindWord::from_word(&name.0);
    if class.is_none() && preset.is_none() && !check::is_in_file(root, &["classes", &name.0]) {
        let known = classes.iter().map(|(known, _)| known.0.as_str()).chain(KindWord::WORDS.iter().copied());
        let mut place = route_path(root, index);
        place.push("class".into());
        let problem = Problem::new(format!("unknown class {}", Quoted(&name.0)));
        let problem = match nearest(&name.0, known.clone()) {
            Some(name) => problem.nearest(Some(name)),
            None => problem.and_expected(format!("one of {}", known.take(20).collect::<Vec<_>>().join(", "))),
        };
        cx.add(&place, problem);
    }
    let kind = class.and_then(|class| class.kind).or(preset).map_or(Kind::Plain, KindWord::kind);
    FoundClass { name: name.clone(), kind, class }
}

/// The rules that `settings` amount to, with the built-in defaults where they are silent.
fn rules(index: usize, route: &str, class: &str, kind: Kind, settings: &Settings, override_unsafe: bool) -> Rules {
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
                Some(SetCookieWord::Keep) => SetCookieRule::Keep,
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
                None => super::model::TagField::WORDS.iter().map(|word| (*word).to_owned()).collect(),
                Some(fields) => fields.iter().map(|field| field.word().to_owned()).collect(),
            },
        },
        invalidate: invalidate(settings),
        obey_request_directives: settings.request_directives == Some(RequestDirectivesWord::Obey),
        targeted: match targeted {
            None => vec!["cdn-cache-control".to_owned()],
            some => texts(some.as_ref(), |name| &name.0),
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
