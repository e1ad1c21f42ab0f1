//! Which writes take a route's responses out of the cache.

use std::collections::BTreeMap;

use larder_core::Policy;
use larder_core::decide::invalidation::is_unsafe;
use larder_core::policy::RouteSummary;

/// Who invalidates a tag, by the tag's shape: `product:{}`.
pub struct Purgers {
    by_tag: BTreeMap<String, Vec<Purger>>,
}

/// Writes that invalidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purger {
    /// The methods: `POST or PUT`; `write` where the route takes all.
    pub methods: String,
    /// The route's path.
    pub path: String,
    /// The tag that does it.
    pub tag: String,
}

impl Purgers {
    /// All of a policy.
    pub fn of(policy: &Policy) -> Self {
        let mut by_tag: BTreeMap<String, Vec<Purger>> = BTreeMap::new();
        for route in policy.routes() {
            let Some(methods) = unsafe_methods(&route) else { continue };
            for tag in &route.rules.invalidate.tags {
                let (path, tag) = (path(&route), tag.to_string());
                by_tag.entry(shape(&tag)).or_default().push(Purger { methods: methods.clone(), path, tag });
            }
        }
        Self { by_tag }
    }

    /// Those that invalidate what a route stores, by its tags.
    pub fn for_route(&self, route: &RouteSummary<'_>) -> Vec<Purger> {
        let shapes = route.rules.tags.templates.iter().map(|tag| shape(&tag.to_string()));
        let mut found: Vec<Purger> =
            shapes.flat_map(|shape| self.by_tag.get(&shape).into_iter().flatten().cloned()).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// The methods of a route that change things: `POST or PUT`; `write` where it takes all, `None` where there are none.
pub fn unsafe_methods(route: &RouteSummary<'_>) -> Option<String> {
    let Some(methods) = &route.route.methods else { return Some("write".to_owned()) };
    let methods: Vec<&str> =
        methods.iter().map(|method| method.0.as_str()).filter(|method| is_unsafe(method)).collect();
    (!methods.is_empty()).then(|| methods.join(" or "))
}

/// A route's path.
pub fn path(route: &RouteSummary<'_>) -> String {
    route.route.path.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// A template without the names of its parameters.
fn shape(template: &str) -> String {
    let mut shape = String::new();
    let mut rest = template;
    while let Some((before, braced)) = rest.split_once('{') {
        shape.push_str(before);
        shape.push_str("{}");
        rest = braced.split_once('}').map_or("", |(_, after)| after);
    }
    shape + rest
}
