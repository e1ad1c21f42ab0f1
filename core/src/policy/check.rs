//! What is well formed and still makes no sense: values out of range, settings that contradict one another, promises
//! broken, dangers without `"override": "unsafe"`.
//!
//! Reports only. Each error is placed where the setting that is to blame stands.

use std::collections::BTreeSet;

use super::compile::{Errors, Layer, Layers};
use super::errors::{Problem, Step, path_text};
use super::model::{
    AheadWindow, AuthorizationWord, Class, ClientCacheControlSetting, ClientDirectives, CollapseSetting,
    HeuristicSetting, KindWord, Name, QueryList, QuerySetting, RefreshAheadSetting, Route, ScopeWord, SetCookieWord,
    Settings, TagTemplate, TtlSetting, TtlWord,
};
use super::path::PathTemplate;
use super::rules::Kind;
use super::spanned::Quoted;
use super::template::Template;
use crate::time::{Millis, Seconds};

const JITTER_PERCENT_MAX: u32 = 50;
const AHEAD_PERCENT_MAX: u64 = 50;
const AHEAD_HITS_MAX: u64 = 1_000_000;
const COLLAPSE_WAIT_MAX: Millis = Millis(60_000);
const OBJECT_BYTES_MAX: u64 = 64 << 20;
const HOLD_BYTES_MAX: u64 = 1 << 20;
const VARIANTS_MAX: u32 = 256;
const TAGS_MAX: u32 = 256;

/// Fields that make up a message's frame or coding: taking them out would break it.
const FRAME_FIELDS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks settings by themselves.
pub(crate) fn layer(layer: &Layer, cx: &mut Errors) {
    let settings = layer.settings;
    numbers(layer, cx);
    if let Some(key) = &settings.key {
        query(key.query.as_ref(), &layer.at(&["key", "query"]), cx);
        if key.accept_language.as_ref().is_some_and(Vec::is_empty) {
            let problem = Problem::expected("at least one language (the first is the default)").found("an empty list");
            cx.add(&layer.at(&["key", "accept_language"]), problem);
        }
        for (index, name) in key.headers.iter().flatten().enumerate() {
            let instead = match name.0.as_str() {
                "authorization" => "use \"key.user\", which keeps what belongs to a user apart",
                "cookie" => "use \"key.cookies\" or \"key.user\", which name single cookies",
                "accept-encoding" => "use \"key.accept_encoding\", which brings it to a few values",
                "accept-language" => "use \"key.accept_language\", which brings it to a few values",
                "host" => "the host always takes part",
                _ => continue,
            };
            let problem = Problem::new(format!("{} as it is cannot be part of a key: {instead}", Quoted(&name.0)));
            cx.add(&nth(layer, &["key", "headers"], index), problem);
        }
    }
    for (index, name) in settings.client.iter().flat_map(|c| c.remove.iter().flatten()).enumerate() {
        if FRAME_FIELDS.contains(&name.0.as_str()) {
            let problem = Problem::new(format!("taking out {} would break the response", Quoted(&name.0)));
            cx.add(&nth(layer, &["client", "remove"], index), problem);
        }
    }
    for (index, name) in settings.targeted.iter().flatten().enumerate() {
        if name.0 == "cache-control" {
            let problem = Problem::new("\"cache-control\" is read anyway, after the targeted fields");
            cx.add(&nth(layer, &["targeted"], index), problem);
        }
    }
}

/// Checks a class by itself.
pub(crate) fn class(name: &Name, class: &Class, of: &Layer, cx: &mut Errors) {
    layer(of, cx);
    if let (Some(own), Some(kind)) = (KindWord::from_word(&name.0), class.kind)
        && own != kind
    {
        let problem = Problem::new(format!("a class named {} is of that kind", Quoted(&name.0)));
        let found = format!("\"{}\"", kind.word());
        cx.add(&of.at(&["kind"]), problem.and_expected(format!("\"{}\"", own.word())).found(found));
    }
}

/// Checks that routes have names of their own.
pub(crate) fn route_names(routes: &[Route], paths: &[Vec<Step>], cx: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (name, path) in routes.iter().zip(paths).filter_map(|(route, path)| Some((&route.name.as_ref()?.0, path))) {
        if !seen.insert(name) {
            let mut place = path.clone();
            place.push("name".into());
            cx.add(&place, Problem::new(format!("another route is named {} already", Quoted(name))));
        }
    }
}

/// How the routes of a class stand to its dangerous settings.
#[derive(Default)]
pub(crate) struct ClassUses<'a> {
    /// Classes with a route that leaves their settings in force.
    used: BTreeSet<&'a str>,
    /// Of these, those with such a route without an override.
    without_override: BTreeSet<&'a str>,
}

impl ClassUses<'_> {
    /// Whether a route uses the class.
    pub fn has(&self, class: &str) -> bool {
        self.used.contains(class)
    }
}

/// Checks a route, with its class and the defaults.
pub(crate) fn route<'a>(
    route: &'a Route,
    layers: &Layers,
    settings: &Settings,
    uses: &mut ClassUses<'a>,
    cx: &mut Errors,
) {
    layer(&layers.route, cx);
    empty_lists(route, &layers.route, cx);
    promises(layers, settings, cx);
    client(layers, settings, cx);
    lifetimes(layers, settings, cx);
    if let Some(path) = &route.path {
        templates(route, path, layers, cx);
    }
    if let Some(name) = &route.class {
        uses.used.insert(&name.0);
        if !layers.override_unsafe {
            uses.without_override.insert(&name.0);
        }
    }
    if !layers.override_unsafe {
        dangers(&layers.route, cx);
    }
}

/// Checks a class that no route uses, which is wrong all the same.
pub(crate) fn unused_class(layers: &Layers, settings: &Settings, cx: &mut Errors) {
    promises(layers, settings, cx);
    client(layers, settings, cx);
    lifetimes(layers, settings, cx);
}

/// Checks that dangerous settings of classes, and of `defaults`, are under an override.
pub(crate) fn unsafe_classes(classes: &[(Name, Class)], uses: &ClassUses, cx: &mut Errors) {
    for (name, class) in classes {
        let name = name.0.as_str();
        let overridden =
            class.override_unsafe.is_some() || uses.used.contains(name) && !uses.without_override.contains(name);
        if !overridden {
            dangers(&Layer { path: vec!["classes".into(), name.into()], settings: &class.settings }, cx);
        }
    }
}

/// Reports settings that need `"override": "unsafe"`.
pub(crate) fn dangers(layer: &Layer, cx: &mut Errors) {
    let Some(identity) = &layer.settings.identity else { return };
    let problem = |what: &str| {
        Problem::new(format!(
            "{what} shares what belongs to somebody: it needs \"override\": \"unsafe\" in the same route or class"
        ))
    };
    if identity.authorization == Some(AuthorizationWord::Ignore) {
        cx.add(&layer.at(&["identity", "authorization"]), problem("\"ignore\""));
    }
    if identity.set_cookie == Some(SetCookieWord::Keep) {
        cx.add(&layer.at(&["identity", "set_cookie"]), problem("\"keep\""));
    }
}

fn nth(layer: &Layer, setting: &[&str], index: usize) -> Vec<Step> {
    let mut path = layer.at(setting);
    path.push(index.into());
    path
}

/// Values out of range.
fn numbers(layer: &Layer, cx: &mut Errors) {
    let settings = layer.settings;
    let mut at_most = |setting: &[&str], value: Option<u64>, least: u64, most: u64, unit: &str| {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            let expected =
                if least == 0 { format!("at most {most}{unit}") } else { format!("{least} to {most}{unit}") };
            cx.add(&layer.at(setting), Problem::expected(expected).found(format!("{value}{unit}")));
        }
    };
    at_most(&["jitter"], settings.jitter.map(|j| j.0.into()), 0, JITTER_PERCENT_MAX.into(), "%");
    let share = |window: Option<AheadWindow>| match window {
        Some(AheadWindow::Share(share)) => Some(share.0.into()),
        Some(AheadWindow::Span(_)) | None => None,
    };
    match &settings.refresh_ahead {
        Some(RefreshAheadSetting::Window(window)) => {
            at_most(&["refresh_ahead"], share(Some(*window)), 1, AHEAD_PERCENT_MAX, "%");
        }
        Some(RefreshAheadSetting::Bounds(bounds)) => {
            at_most(&["refresh_ahead", "within"], share(bounds.within), 1, AHEAD_PERCENT_MAX, "%");
            at_most(&["refresh_ahead", "hits"], bounds.hits.map(Into::into), 1, AHEAD_HITS_MAX, "");
        }
        Some(RefreshAheadSetting::Word(_)) | None => {}
    }
    if let Some(HeuristicSetting::Bounds(bounds)) = &settings.heuristic {
        at_most(&["heuristic", "percent"], bounds.percent.map(|p| p.0.into()), 1, 100, "%");
        at_most(&["heuristic", "max"], bounds.max.map(|m| m.0.get().into()), 1, Seconds::MAX.get().into(), " s");
    }
    if let Some(CollapseSetting::Bounds(bounds)) = &settings.collapse {
        at_most(&["collapse", "wait"], bounds.wait.map(|wait| wait.0.0), 1, COLLAPSE_WAIT_MAX.0, " ms");
    }
    if let Some(limits) = &settings.limits {
        at_most(&["limits", "object_bytes"], limits.object_bytes.map(|b| b.0), 1, OBJECT_BYTES_MAX, " bytes");
        at_most(&["limits", "hold_bytes"], limits.hold_bytes.map(|b| b.0), 0, HOLD_BYTES_MAX, " bytes");
        at_most(&["limits", "variants_per_key"], limits.variants_per_key.map(Into::into), 1, VARIANTS_MAX.into(), "");
        at_most(&["limits", "tags_per_entry"], limits.tags_per_entry.map(Into::into), 1, TAGS_MAX.into(), "");
    }
    for (index, warm) in settings.warm.iter().flatten().enumerate() {
        if warm.every.is_some_and(|every| every.0 == Seconds::ZERO) {
            let mut path = nth(layer, &["warm"], index);
            path.push("every".into());
            cx.add(&path, Problem::expected("at least 1s").found("\"0s\""));
        }
    }
}

fn query(setting: Option<&QuerySetting>, path: &[Step], cx: &mut Errors) {
    let Some(QuerySetting::List(QueryList { allow, deny })) = setting else { return };
    match (allow, deny) {
        (Some(_), Some(_)) => cx.add(path, Problem::expected("either \"allow\" or \"deny\"").found("both")),
        (None, None) => cx.add(path, Problem::expected("\"allow\" or \"deny\"").found("neither")),
        (Some(list), None) | (None, Some(list)) if list.is_empty() => {
            let (name, meant) = if allow.is_some() { ("allow", "none") } else { ("deny", "all") };
            let mut path = path.to_vec();
            path.push(name.into());
            cx.add(&path, Problem::new("an empty list says nothing").and_expected(format!("\"query\": \"{meant}\"")));
        }
        _ => {}
    }
}

fn empty_lists(route: &Route, layer: &Layer, cx: &mut Errors) {
    let mut once = |setting: &str, texts: Vec<String>| {
        let mut seen = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            if !seen.insert(text) {
                cx.add(&nth(layer, &[setting], index), Problem::new(format!("{} is listed twice", Quoted(text))));
            }
        }
        if texts.is_empty() {
            let problem = Problem::new(format!("an empty list would match nothing; without \"{setting}\" all match"));
            cx.add(&layer.at(&[setting]), problem);
        }
    };
    if let Some(hosts) = &route.host {
        once("host", hosts.patterns().iter().map(ToString::to_string).collect());
    }
    if let Some(methods) = &route.methods {
        once("methods", methods.iter().map(|method| method.0.clone()).collect());
    }
}

const fn is_never(ttl: &TtlSetting) -> bool {
    matches!(ttl, TtlSetting::Word(TtlWord::Never))
}

/// What the kinds `personal` and `never` promise.
fn promises(layers: &Layers, settings: &Settings, cx: &mut Errors) {
    let user = settings.key.as_ref().and_then(|key| key.user.as_ref()).is_some_and(|user| !user.is_empty());
    // A user that could not be read is reported already.
    let places =
        [&layers.defaults.path, &layers.class.path, &layers.route.path].map(|path| format!("{}.key", path_text(path)));
    let unread = |about: &str| {
        places
            .iter()
            .any(|place| about.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(".user")))
    };
    let user = user || cx.is_about(unread);
    let why = match layers.kind {
        Kind::Never => "a class of kind \"never\" is not stored",
        Kind::Personal if !user => "a personal class is not stored unless \"key.user\" tells users apart",
        Kind::Personal => "",
        _ => return,
    };
    for layer in [&layers.class, &layers.route] {
        let mut broken = |setting: &[&str]| cx.add(&layer.at(setting), Problem::new(why));
        if !why.is_empty() {
            if layer.settings.ttl.as_ref().is_some_and(|ttl| !is_never(ttl)) {
                broken(&["ttl"]);
            }
            for (status, ttl) in layer.settings.status_ttl.iter().flat_map(|named| &named.0) {
                if !is_never(ttl) {
                    broken(&["status_ttl", &super::decode::Key::text(status)]);
                }
            }
            if matches!(layer.settings.heuristic, Some(HeuristicSetting::Bounds(_))) {
                broken(&["heuristic"]);
            }
            if layer.settings.warm.as_ref().is_some_and(|warm| !warm.is_empty()) {
                broken(&["warm"]);
            }
        }
        if layers.kind == Kind::Personal
            && directives(layer.settings).is_some_and(|d| d.scope == Some(ScopeWord::Public))
        {
            let problem =
                Problem::new("a personal response is private").and_expected("\"private\"").found("\"public\"");
            cx.add(&layer.at(&["client", "cache_control", "scope"]), problem);
        }
    }
}

const fn directives(settings: &Settings) -> Option<&ClientDirectives> {
    match &settings.client {
        Some(client) => match &client.cache_control {
            Some(ClientCacheControlSetting::Directives(directives)) => Some(directives),
            _ => None,
        },
        None => None,
    }
}

/// Directives that contradict one another, whichever layers they come from.
fn client(layers: &Layers, settings: &Settings, cx: &mut Errors) {
    let Some(told) = directives(settings) else { return };
    let on = |flag: Option<bool>| flag == Some(true);
    let kept = told.browser_ttl.is_some_and(|ttl| ttl.0 > Seconds::ZERO);
    let stale = told.stale_while_revalidate.is_some() || told.stale_if_error.is_some();
    let (one, other) = if on(told.no_store) && (kept || stale || on(told.immutable)) {
        ("no_store", "says to keep nothing, and other directives say how long to keep it")
    } else if on(told.immutable) && on(told.no_cache) {
        ("immutable", "says never to ask, and \"no_cache\" says to ask each time")
    } else if on(told.must_revalidate) && stale {
        ("must_revalidate", "forbids stale responses, and \"stale_...\" allows them")
    } else {
        return;
    };
    let has = |settings: &Settings| {
        directives(settings).is_some_and(|d| match one {
            "no_store" => d.no_store.is_some(),
            "immutable" => d.immutable.is_some(),
            _ => d.must_revalidate.is_some(),
        })
    };
    let layer = layers.owner(has).unwrap_or(&layers.route);
    cx.add(&layer.at(&["client", "cache_control", one]), Problem::new(format!("\"{one}\" {other}")));
}

/// Bounds that cross, whichever layers they come from.
fn lifetimes(layers: &Layers, settings: &Settings, cx: &mut Errors) {
    let crossed = |ttl: &TtlSetting| match ttl {
        TtlSetting::Bounds(bounds) => {
            let ceiling = bounds.ceiling?.0;
            let over = |name: &'static str, span: Option<super::model::Span>| {
                let span = span.filter(|span| span.0 > ceiling)?.0;
                Some((name, Problem::new(format!("\"{name}\" ({span} s) is above \"ceiling\" ({ceiling} s)"))))
            };
            over("floor", bounds.floor).or_else(|| over("absent", bounds.absent))
        }
        _ => None,
    };
    if let Some((name, problem)) = settings.ttl.as_ref().and_then(crossed) {
        let has = |s: &Settings| match &s.ttl {
            Some(TtlSetting::Bounds(bounds)) => {
                if name == "floor" {
                    bounds.floor.is_some()
                } else {
                    bounds.absent.is_some()
                }
            }
            _ => false,
        };
        // What a kind presets gives way to a ceiling without a word.
        if let Some(layer) = layers.owner(has) {
            cx.add(&layer.at(&["ttl", name]), problem);
        }
    }
    for (status, ttl) in settings.status_ttl.iter().flat_map(|named| &named.0) {
        if let Some((_, problem)) = crossed(ttl) {
            let names =
                |s: &Settings| s.status_ttl.iter().flat_map(|named| &named.0).any(|(pattern, _)| pattern == status);
            let layer = layers.owner(names).unwrap_or(&layers.route);
            cx.add(&layer.at(&["status_ttl", &super::decode::Key::text(status)]), problem);
        }
    }
    let most = settings.limits.as_ref().and_then(|limits| limits.tags_per_entry).unwrap_or(64);
    let count = settings.tags.as_ref().map_or(0, Vec::len);
    if count > most as usize {
        let layer = layers.owner(|s| s.tags.is_some()).unwrap_or(&layers.route);
        let problem =
            Problem::new("more tags than an entry may have (\"limits.tags_per_entry\"): nothing would be stored");
        cx.add(&layer.at(&["tags"]), problem.and_expected(format!("at most {most}")).found(count.to_string()));
    }
}

/// Parameters that a route's path does not have.
fn templates(route: &Route, path: &PathTemplate, layers: &Layers, cx: &mut Errors) {
    let known: BTreeSet<&str> = path.params().collect();
    let mut check = |layer: &Layer, setting: &[&str], templates: Vec<&Template>| {
        let places = templates.iter().enumerate().flat_map(|(index, t)| t.params().map(move |param| (index, param)));
        for (index, param) in places.filter(|(_, param)| !known.contains(param)) {
            let of = match &route.name {
                Some(name) if !std::ptr::eq(layer.settings, layers.route.settings) => {
                    format!(" of route {}", Quoted(&name.0))
                }
                _ => String::new(),
            };
            let problem =
                Problem::new(format!("the path {}{of} has no parameter {}", Quoted(&path.to_string()), Quoted(param)));
            let problem = match super::nearest::nearest(param, known.iter().copied()) {
                Some(name) => problem.nearest(Some(name)),
                None if known.len() < 2 => problem.nearest(known.first().copied()),
                None => {
                    problem.and_expected(format!("one of {}", known.iter().copied().collect::<Vec<_>>().join(", ")))
                }
            };
            cx.add(&nth(layer, setting, index), problem);
        }
    };
    let tags = |list: &'_ Option<Vec<TagTemplate>>| list.as_ref().map(Vec::len);
    if let Some(layer) = layers.owner(|s| tags(&s.tags).is_some()) {
        check(layer, &["tags"], layer.settings.tags.iter().flatten().map(|tag| &tag.0).collect());
    }
    if let Some(layer) = layers.owner(|s| s.invalidate.as_ref().is_some_and(|i| i.tags.is_some())) {
        let tags = layer.settings.invalidate.iter().flat_map(|i| i.tags.iter().flatten());
        check(layer, &["invalidate", "tags"], tags.map(|tag| &tag.0).collect());
    }
    if let Some(layer) = layers.owner(|s| s.invalidate.as_ref().is_some_and(|i| i.paths.is_some())) {
        let paths = layer.settings.invalidate.iter().flat_map(|i| i.paths.iter().flatten());
        check(layer, &["invalidate", "paths"], paths.map(|path| &path.0).collect());
    }
}
