//! What the difference between two policies means: which routes come, go, and are treated otherwise.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::Policy;
use larder_core::policy::RouteSummary;
use larder_core::policy::rules::Rules;
use serde_json::{Map, Value, json};

/// Routes that are named of each kind.
const NAMED_MAX: usize = 20;

/// Which routes differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    added: Vec<String>,
    removed: Vec<String>,
    /// With the settings that differ in the route itself; none where only its class or the defaults do.
    changed: Vec<(String, Vec<String>)>,
    /// What holds for requests that no route matches.
    unmatched: bool,
}

/// A route, as far as it can be compared.
struct Route {
    own: Map<String, Value>,
    in_force: String,
}

impl Summary {
    /// Compares two policies; nothing where one is none.
    pub fn of(from: &str, to: &str) -> Option<Self> {
        let (from, to) = (Policy::parse(from).ok()?, Policy::parse(to).ok()?);
        let (before, after) = (routes(&from), routes(&to));
        let mut summary = Self { unmatched: rules(from.unmatched()) != rules(to.unmatched()), ..Self::default() };
        summary.added = after.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
        for (name, old) in &before {
            match after.get(name) {
                None => summary.removed.push(name.clone()),
                Some(new) if new.own != old.own || new.in_force != old.in_force => {
                    let names: BTreeSet<&String> = old.own.keys().chain(new.own.keys()).collect();
                    let differs = names.into_iter().filter(|setting| old.own.get(*setting) != new.own.get(*setting));
                    summary.changed.push((name.clone(), differs.cloned().collect()));
                }
                Some(_) => {}
            }
        }
        Some(summary)
    }

    pub fn json(&self) -> Value {
        let changed = self.changed.iter().map(|(route, settings)| json!({ "route": route, "settings": settings }));
        json!({
            "added": self.added, "removed": self.removed, "changed": changed.collect::<Vec<_>>(), "unmatched": self.unmatched,
        })
    }

    /// A line for each kind that there is.
    pub fn lines(&self) -> Vec<String> {
        let changed: Vec<String> = self
            .changed
            .iter()
            .map(|(route, settings)| match settings.is_empty() {
                true => format!("{route} (by its class or the defaults)"),
                false => format!("{route} ({})", settings.join(", ")),
            })
            .collect();
        let mut lines = Vec::new();
        for (what, routes) in [("added", &self.added), ("removed", &self.removed), ("changed", &changed)] {
            if routes.is_empty() {
                continue;
            }
            let named: Vec<&str> = routes.iter().take(NAMED_MAX).map(String::as_str).collect();
            let more = routes.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("routes {what}: {}{more}", named.join(", ")));
        }
        if self.unmatched {
            lines.push("requests that no route matches are treated otherwise".to_owned());
        }
        if lines.is_empty() {
            lines.push("no request is treated otherwise".to_owned());
        }
        lines
    }
}

fn routes(policy: &Policy) -> BTreeMap<String, Route> {
    let route = |RouteSummary { route, rules: in_force, aims, .. }: RouteSummary<'_>| {
        let own = serde_json::to_value(route).ok().and_then(|own| own.as_object().cloned()).unwrap_or_default();
        (in_force.route.to_string(), Route { own, in_force: format!("{} {aims:?}", rules(in_force)) })
    };
    policy.routes().map(route).collect()
}

/// Rules, wherever in the file they stand.
fn rules(rules: &Rules) -> String {
    format!("{:?}", Rules { index: 0, ..rules.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(defaults: &str, routes: &str) -> String {
        format!(r#"{{"version": 1, "name": "shop", "defaults": {defaults}, "routes": [{routes}]}}"#)
    }

    #[test]
    fn routes_come_go_and_change_by_themselves_or_by_the_defaults() {
        let a = r#"{"name": "a", "path": "/a", "ttl": "1s"}"#;
        let (b, c) = (r#"{"name": "b", "path": "/b"}"#, r#"{"name": "c", "path": "/c", "ttl": "5s"}"#);
        let before = policy(r#"{"jitter": "10%"}"#, &[a, b].join(","));
        let after = policy(r#"{"jitter": "20%"}"#, &[c, &a.replace("1s", "2s")].join(","));
        let summary = Summary::of(&before, &after).expect("two policies");
        assert_eq!((&summary.added[..], &summary.removed[..]), (&["c".to_owned()][..], &["b".to_owned()][..]));
        assert_eq!(summary.changed, [("a".to_owned(), vec!["ttl".to_owned()])]);
        assert!(summary.unmatched);
        let defaults = Summary::of(&before, &before.replace("10%", "30%")).expect("two policies");
        assert_eq!(
            defaults.lines()[0],
            "routes changed: a (by its class or the defaults), b (by its class or the defaults)"
        );
        // Where they stand in the file makes no difference by itself.
        let turned = Summary::of(&before, &policy(r#"{"jitter": "10%"}"#, &[b, a].join(","))).expect("two policies");
        assert_eq!(turned.lines(), ["no request is treated otherwise"]);
        assert_eq!(Summary::of("{", &before), None);
    }
}
