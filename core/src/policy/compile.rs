//! From the model to the rules in force for each route.
//!
//! Lays route over class over `defaults` over the kind's presets, and builds the router. What combinations make no sense
//! is `check`'s business; what settings amount to, with the built-in defaults where they are silent, is `resolve`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check;
use super::decode::Overlay;
use super::errors::{Collected, Problem, Step, path_text};
use super::kinds::{never_stored, presets, without_sharing};
use super::model::{Class, KindWord, PolicyFile, Route, Settings, Warm};
use super::nearest::nearest;
use super::resolve::rules;
use super::router::{Router, VISITS_MAX};
use super::rules::{Kind, Rules};
use super::spanned::{Node, Quoted, Value};

/// The name of the class of routes without one. Names in files cannot begin with `_`.
pub const NO_CLASS: &str = "_defaults";
/// The name of the route of requests that no route matches.
pub const NO_ROUTE: &str = "_unmatched";

/// What a file amounts to.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub rules: Vec<Arc<Rules>>,
    /// A route's aims, by its index.
    pub aims: Vec<Aims>,
    pub unmatched: Arc<Rules>,
    pub router: Router,
}

/// What a route is to reach, for those who watch it and keep it warm; no request depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aims {
    /// URLs kept warm.
    pub warm: Vec<Warm>,
    /// The hit ratio that is aimed at, from 0 to 1.
    pub target_hit_ratio: Option<f64>,
}

/// Compiles a file, whose parts are at their places under `root`. What is wrong goes to `errors`; the result is of use only
/// where nothing is.
pub(crate) fn compile(file: &PolicyFile, root: &Node, errors: &mut Collected) -> Compiled {
    let mut cx = Errors { root, errors };
    let no_settings = Settings::default();
    let classes = file.classes.as_ref().map_or(&[][..], |named| &named.0);
    let compiler = Compiler {
        defaults: Layer { path: vec!["defaults".into()], settings: file.defaults.as_ref().unwrap_or(&no_settings) },
        classes: classes.iter().map(|(name, class)| (name.0.as_str(), class)).collect(),
        class_names_in_file: members(root, "classes").map(|(name, _)| name).collect(),
        no_settings: &no_settings,
    };
    check::layer(&compiler.defaults, &mut cx);
    check::dangers(&compiler.defaults, &mut cx);
    for (name, class) in classes {
        check::class(name, class, &class_layer(&name.0, &class.settings), &mut cx);
    }
    let routes = file.routes.as_deref().unwrap_or_default();
    let paths = route_paths(root, routes.len());
    check::route_names(routes, &paths, &mut cx);

    let mut compiled = Compiled {
        rules: Vec::with_capacity(routes.len()),
        aims: Vec::with_capacity(routes.len()),
        unmatched: Arc::new(rules(routes.len(), NO_ROUTE, NO_CLASS, Kind::Plain, compiler.defaults.settings, false)),
        router: Router::new(),
    };
    let mut uses = check::ClassUses::default();
    for (route, path) in routes.iter().zip(&paths) {
        compiler.route(route, path, &mut compiled, &mut uses, &mut cx);
        add_to_router(&mut compiled.router, routes, compiled.rules.len() - 1, path, &mut cx);
    }
    for (name, class) in classes.iter().filter(|(name, _)| !uses.has(&name.0)) {
        let layers = compiler.layers(&name.0, Some(class), Layer { path: Vec::new(), settings: &no_settings }, false);
        check::unused_class(&layers, &layers.settings(), &mut cx);
    }
    check::unsafe_classes(classes, &uses, &mut cx);
    if compiled.router.visits_max() > VISITS_MAX {
        let problem =
            Problem::new("too many paths differ only in which segments are parameters: routing would be slow");
        let problem = problem.and_expected(format!("at most {VISITS_MAX} places to look at for one request"));
        cx.add(&["routes".into()], problem.found(compiled.router.visits_max().to_string()));
    }
    compiled
}

/// What all routes have in common.
struct Compiler<'a> {
    defaults: Layer<'a>,
    classes: BTreeMap<&'a str, &'a Class>,
    /// Classes as they are named in the file, those with errors included.
    class_names_in_file: Vec<&'a str>,
    no_settings: &'a Settings,
}

impl<'a> Compiler<'a> {
    /// Compiles a route, which stands at `path`.
    fn route(
        &self,
        route: &'a Route,
        path: &[Step],
        compiled: &mut Compiled,
        uses: &mut check::ClassUses<'a>,
        cx: &mut Errors,
    ) {
        let name = route.class.as_ref().map_or(NO_CLASS, |name| &name.0);
        let class = self.classes.get(name).copied();
        if class.is_none() && route.class.is_some() {
            self.check_class_name(name, path, cx);
        }
        let own = Layer { path: path.to_vec(), settings: &route.settings };
        let layers = self.layers(name, class, own, route.override_unsafe.is_some());
        let settings = layers.settings();
        check::route(route, &layers, &settings, uses, cx);
        let route_name = route.name.as_ref().map_or("", |name| &name.0);
        let index = compiled.rules.len();
        compiled.rules.push(Arc::new(rules(index, route_name, name, layers.kind, &settings, layers.override_unsafe)));
        compiled.aims.push(Aims {
            warm: settings.warm.unwrap_or_default(),
            target_hit_ratio: settings.target_hit_ratio.map(|ratio| ratio.0),
        });
    }

    fn layers<'l>(
        &'l self,
        name: &str,
        class: Option<&'l Class>,
        route: Layer<'l>,
        override_unsafe: bool,
    ) -> Layers<'l> {
        Layers {
            kind: class.and_then(|class| class.kind).or(KindWord::from_word(name)).map_or(Kind::Plain, KindWord::kind),
            defaults: &self.defaults,
            class: class_layer(name, class.map_or(self.no_settings, |class| &class.settings)),
            route,
            override_unsafe: override_unsafe || class.is_some_and(|class| class.override_unsafe.is_some()),
        }
    }

    /// Reports a class that is neither in the file nor a kind.
    fn check_class_name(&self, name: &str, path: &[Step], cx: &mut Errors) {
        // Kinds are few, and so are the classes of a file that can have errors at all.
        if KindWord::from_word(name).is_some() || self.class_names_in_file.contains(&name) {
            return;
        }
        if cx.errors.is_full() {
            return cx.add(path, Problem::default()); // only counted
        }
        let known = self.classes.keys().copied().chain(KindWord::WORDS.iter().copied());
        let problem = Problem::new(format!("unknown class {}", Quoted(name)));
        let problem = match nearest(name, known.clone()) {
            Some(name) => problem.nearest(Some(name)),
            None => problem.and_expected(format!("one of {}", known.take(20).collect::<Vec<_>>().join(", "))),
        };
        let mut place = path.to_vec();
        place.push("class".into());
        cx.add(&place, problem);
    }
}

/// Adds the route at `index` to the router, unless something about what it matches could not be read.
fn add_to_router(router: &mut Router, routes: &[Route], index: usize, path: &[Step], cx: &mut Errors) {
    let Some((route, template)) = routes.get(index).and_then(|route| Some((route, route.path.as_ref()?))) else {
        return;
    };
    let unread = ["host", "methods"].map(|setting| format!("{}.{setting}", path_text(path)));
    let is_about = |about: &str, place: &String| {
        about.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
    };
    if cx.is_about(|about| unread.iter().any(|place| is_about(about, place))) {
        return;
    }
    let hosts = route.host.as_ref().map_or(&[][..], |hosts| hosts.patterns());
    let methods: Vec<_> = route.methods.iter().flatten().map(|method| method.0.as_str()).collect();
    if let Err(taken) = router.add(index, template, hosts, &methods) {
        let by = routes.get(taken.by).and_then(|r| r.name.as_ref()).map_or("another", |name| &name.0);
        let mut place = path.to_vec();
        place.push("path".into());
        cx.add(&place, Problem::new(format!("the route \"{by}\" has the same path, host and method already")));
    }
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

    /// Notes a problem with what stands at `path`.
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

fn class_layer<'a>(name: &str, settings: &'a Settings) -> Layer<'a> {
    Layer { path: vec!["classes".into(), name.into()], settings }
}

/// The paths of the routes of the model, which lacks what is no object.
fn route_paths(root: &Node, count: usize) -> Vec<Vec<Step>> {
    let Some(Value::Array(nodes)) = member(root, "routes").map(|node| &node.value) else { return Vec::new() };
    let objects = nodes.iter().enumerate().filter(|(_, node)| matches!(node.value, Value::Object(_)));
    objects.take(count).map(|(index, _)| vec!["routes".into(), index.into()]).collect()
}

/// The members of the object named `key` at the top of the file.
fn members<'a>(root: &'a Node, key: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let members = match member(root, key).map(|node| &node.value) {
        Some(Value::Object(members)) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|member| (member.key.as_str(), &member.node))
}

fn member<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    match &root.value {
        Value::Object(members) => members.iter().find(|member| member.key == key).map(|member| &member.node),
        _ => None,
    }
}
