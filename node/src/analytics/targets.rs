//! Which hit ratio each route is to reach, as its policy says. The node acts on nothing of it: it is what figures are held against.

use std::collections::BTreeMap;

use larder_core::policy::Policy;

/// Targets by policy and route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets(BTreeMap<(String, String), f64>);

impl Targets {
    /// The targets of policies. Of two with one name, the later one's.
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut targets = BTreeMap::new();
        for policy in policies {
            for route in policy.routes() {
                if let Some(ratio) = route.aims.target_hit_ratio {
                    targets.insert((label(&policy.name), label(&route.rules.route)), ratio);
                }
            }
        }
        Self(targets)
    }

    /// These, with those of other policies in the place of what was said under their names.
    pub(crate) fn with<'a>(&self, policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut targets = self.clone();
        for policy in policies {
            let name = label(&policy.name);
            targets.0.retain(|(policy, _), _| *policy != name);
            targets.0.append(&mut Self::of([policy]).0);
        }
        targets
    }

    /// A route's, from 0 to 1.
    pub fn target(&self, policy: &str, route: &str) -> Option<f64> {
        self.0.get(&(policy.to_owned(), route.to_owned())).copied()
    }

    /// All of them: policy, route, ratio.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.0.iter().map(|((policy, route), ratio)| (policy.as_str(), route.as_str(), *ratio))
    }

    /// How many routes have one.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no route has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name as reports have it: `;` separates labels there.
fn label(name: &str) -> String {
    name.replace(|c: char| c == ';' || c.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_the_names_in_reports() {
        let text = r#"{"version": 1, "name": "shop", "defaults": {"target_hit_ratio": 0.5}, "routes": [
            {"name": "items", "path": "/items", "target_hit_ratio": 0.9}, {"name": "other", "path": "/other"}]}"#;
        let policy = Policy::parse(text).expect("a policy");
        let targets = Targets::of([&policy]);
        let of = |policy, route| targets.target(policy, route);
        assert_eq!((of("shop", "items"), of("shop", "other")), (Some(0.9), Some(0.5)));
        assert_eq!((of("shop", "none"), of("other", "items")), (None, None));
        assert_eq!(targets.len(), 2);
        let pushed =
            r#"{"version": 1, "name": "shop", "routes": [{"name": "items", "path": "/i", "target_hit_ratio": 0.7}]}"#;
        let with = targets.with([&Policy::parse(pushed).expect("a policy")]);
        assert_eq!((with.target("shop", "items"), with.target("shop", "other"), with.len()), (Some(0.7), None, 1));
        assert_eq!(label("a;b\n"), "a_b_");
    }
}
