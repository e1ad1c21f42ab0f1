//! Which routes can never be chosen, by the same tables that choose.

use super::{Leaf, Router};
use crate::policy::hosts::{HostId, HostPattern};
use crate::policy::path::{PathTemplate, Segment};

impl Router {
    /// The route that is chosen in place of `route` wherever that one matches; `None` where `route` can be chosen.
    /// Costs what a look-up costs, for each host and method of the route.
    pub(crate) fn shadow_of(
        &self,
        route: usize,
        path: &PathTemplate,
        hosts: &[HostPattern],
        methods: &[&str],
    ) -> Option<usize> {
        let ids: Vec<Vec<HostId>> = match hosts {
            [] => vec![vec![HostId::ANY]],
            hosts => hosts.iter().map(|host| self.hosts.covering(host)).collect(),
        };
        // Any method is one that nobody has named: what takes that takes all.
        let methods = if methods.is_empty() { vec![None] } else { methods.iter().copied().map(Some).collect() };
        let mut shadow = None;
        for ids in &ids {
            for method in &methods {
                shadow = Some(self.instead_of(route, path, ids, *method)?);
            }
        }
        shadow
    }

    fn instead_of(&self, route: usize, path: &PathTemplate, hosts: &[HostId], method: Option<&str>) -> Option<usize> {
        let mut at = 0;
        for segment in path.segments() {
            let node = self.nodes.get(at)?;
            at = match segment {
                Segment::Literal(bytes) => *node.literals.get(bytes.as_slice())?,
                Segment::Param(_) => node.param?,
                Segment::Rest(_) => {
                    let own = self.earlier(node.rest?, hosts, method, route);
                    // A rest also gives way to more specific paths, should these take every path there is.
                    return own.or_else(|| {
                        self.any(node.end?, hosts, method)?;
                        self.takes_all(node.param?, hosts, method)
                    });
                }
            };
        }
        self.earlier(self.nodes.get(at)?.end?, hosts, method, route)
    }

    /// A route that takes every path from the end of this node's segment on.
    fn takes_all(&self, node: usize, hosts: &[HostId], method: Option<&str>) -> Option<usize> {
        let node = self.nodes.get(node)?;
        let rest = node.rest.and_then(|leaf| self.any(leaf, hosts, method));
        rest.or_else(|| {
            self.any(node.end?, hosts, method)?;
            self.takes_all(node.param?, hosts, method)
        })
    }

    fn any(&self, leaf: usize, hosts: &[HostId], method: Option<&str>) -> Option<usize> {
        self.earlier(leaf, hosts, method, usize::MAX)
    }

    /// The route of this path that comes before `route` for one of the hosts.
    fn earlier(&self, leaf: usize, hosts: &[HostId], method: Option<&str>, route: usize) -> Option<usize> {
        let leaf = self.leaves.get(leaf)?;
        hosts.iter().filter_map(|host| chosen(leaf, *host, method)).filter(|chosen| *chosen < route).min()
    }
}

/// As the router chooses among the routes of one path and host.
fn chosen(leaf: &Leaf, host: HostId, method: Option<&str>) -> Option<usize> {
    let methods = leaf.hosts.get(&host)?;
    let named = method.and_then(|method| {
        methods.named.get(method).or_else(|| if method == "HEAD" { methods.named.get("GET") } else { None })
    });
    [methods.any, named.copied()].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Routes as `HOST METHODS PATH`, `-` for any; the shadow of the last one.
    fn shadow(routes: &[&str]) -> Option<usize> {
        let list = |text: &str| match text {
            "-" => Vec::new(),
            text => text.split(',').map(str::to_owned).collect::<Vec<_>>(),
        };
        let mut router = Router::new();
        let mut last = None;
        for (index, route) in routes.iter().enumerate() {
            let parts: Vec<_> = route.split(' ').collect();
            let hosts: Vec<_> = list(parts[0]).iter().map(|host| HostPattern::parse(host).unwrap()).collect();
            let (methods, path) = (list(parts[1]), PathTemplate::parse(parts[2]).unwrap());
            let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
            router.add(index, &path, &hosts, &methods).unwrap();
            last = Some(router.shadow_of(index, &path, &hosts, &methods));
        }
        last.flatten()
    }

    #[test]
    fn a_route_is_shadowed_where_another_is_chosen_for_all_that_it_matches() {
        for (routes, want) in [
            (&["- - /a", "- GET /a"][..], Some(0)),
            (&["- GET /a", "- - /a"], None),
            (&["- GET /a", "h.test GET /a"], Some(0)),
            (&["- GET /a", "h.test GET,PUT /a"], None),
            (&["- GET /a", "- PUT /a", "h.test GET,PUT /a"], Some(1)),
            (&["- GET /a", "h.test HEAD /a"], Some(0)),
            (&["- GET /a", "- HEAD /a"], None),
            (&["*.test - /a", "x.h.test - /a"], Some(0)),
            (&["*.test - /a", "*.h.test - /a"], Some(0)),
            (&["*.h.test - /a", "*.test - /a"], None),
            (&["*.test - /a", "test - /a"], None),
            (&["h.test - /a", "h.test:80 - /a"], Some(0)),
            (&["h.test:80 - /a", "h.test - /a"], None),
            (&["*.test:81 - /a", "h.test:80 - /a"], None),
            (&["*.test:80 - /a", "h.test:80 - /a"], Some(0)),
            (&["h.test - /a", "i.test - /a", "h.test,i.test GET /a"], Some(1)),
            (&["h.test - /a", "h.test,i.test GET /a"], None),
            (&["- - /a/{x}", "- GET /a/{y}"], Some(0)),
            (&["- - /a/{x}", "- - /a/{*rest}"], None),
            (&["- - /a", "- - /a/{x}/{*more}", "- - /a/{*rest}"], Some(1)),
            (&["- - /a/{x}/{*more}", "- - /a/{*rest}"], None),
            (&["- - /a", "- - /a/{x}", "- - /a/{x}/{y}/{*more}", "- - /a/{*rest}"], Some(2)),
            (&["- - /a", "- GET /a/{x}/{*more}", "- - /a/{*rest}"], None),
        ] {
            assert_eq!(shadow(routes), want, "{routes:?}");
        }
    }

    #[test]
    fn no_request_is_under_a_route_that_is_shadowed() {
        let text = r#"{"version":1,"name":"p","routes":[
            {"name":"a","path":"/a"},{"name":"b","path":"/a/{x}/{*more}"},{"name":"c","path":"/a/{*rest}"},
            {"name":"d","path":"/d","methods":["GET"]},{"name":"e","path":"/d","host":"h.test","methods":["HEAD","GET"]}]}"#;
        let policy = Policy::parse(text).unwrap();
        for target in ["/a", "/a/", "/a/1", "/a/1/2", "/a/1/2/3", "/d"] {
            for method in ["GET", "HEAD"] {
                let head = crate::RequestHead {
                    method: method.into(),
                    authority: "h.test".into(),
                    target: target.into(),
                    ..Default::default()
                };
                let route = policy.route(&head).rules.route.clone();
                assert!(["a", "b", "d"].contains(&&*route), "{method} {target}: {route}");
            }
        }
    }
}
