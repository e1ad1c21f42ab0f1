//! Which route a request belongs to.
//!
//! The most specific path wins, segment by segment from the left: a literal before a parameter before the rest. A route
//! whose host or method does not match gives way to a less specific path. Among routes of the same path (whatever
//! their parameters are called) the first one in the file whose host and method match wins. A route without methods takes
//! all; `GET` is good for `HEAD` where no route of the same path and host names `HEAD`.
//!
//! A tree over segments with a hash table at each node: a look-up visits as many nodes as the path has segments, plus those
//! it comes back from, never more with more routes beside them. How many that can be at worst is known beforehand
//! ([`Router::visits_max`]) and limited, so that neither a policy nor a request can make routing slow. Ready-made routers (matchit among them) pick one
//! path and then leave no way back to a less specific one, when the host or the method turns out not to match.

mod shadow;

use std::collections::HashMap;

use super::hash::Fnv;
use super::hosts::{HostId, HostPattern, HostTable};
use super::path::{Path, PathTemplate, Segment};
use crate::fields::RequestHead;

/// Most nodes that a look-up may have to visit.
pub(crate) const VISITS_MAX: usize = 1024;

/// All routes of a policy, by path, host and method.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    nodes: Vec<Branch>,
    leaves: Vec<Leaf>,
    hosts: HostTable,
    /// Segments of the longest template.
    depth_max: usize,
}

/// What may follow the segments so far.
#[derive(Clone, Debug, Default)]
struct Branch {
    literals: HashMap<Box<[u8]>, usize, Fnv>,
    param: Option<usize>,
    /// Routes that end here.
    end: Option<usize>,
    /// Routes that take any rest from here.
    rest: Option<usize>,
}

/// Routes of one path.
#[derive(Clone, Debug, Default)]
struct Leaf {
    hosts: HashMap<HostId, Methods, Fnv>,
}

/// Routes of one path and host.
#[derive(Clone, Debug, Default)]
struct Methods {
    any: Option<usize>,
    named: HashMap<Box<str>, usize, Fnv>,
}

/// A route that was added before for the same path, host and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub by: usize,
}

impl Router {
    pub fn new() -> Self {
        Self { nodes: vec![Branch::default()], leaves: Vec::new(), hosts: HostTable::default(), depth_max: 0 }
    }

    /// Adds a route, whose number is its place in the file; routes are added in order. Empty lists are any host, any method.
    pub fn add(
        &mut self,
        route: usize,
        path: &PathTemplate,
        hosts: &[HostPattern],
        methods: &[&str],
    ) -> Result<(), Taken> {
        let leaf = self.leaf(path);
        let ids: Vec<_> = match hosts {
            [] => vec![HostId::ANY],
            hosts => hosts.iter().map(|host| self.hosts.add(host)).collect(),
        };
        let Some(leaf) = self.leaves.get_mut(leaf) else { return Ok(()) };
        let mut taken = None;
        for id in ids {
            let table = leaf.hosts.entry(id).or_default();
            let mut claim = |before: Option<usize>| match before {
                Some(by) if by != route => taken = taken.or(Some(Taken { by })),
                _ => {}
            };
            if methods.is_empty() {
                claim(table.any);
                table.any.get_or_insert(route);
            }
            for method in methods {
                claim(table.named.get(*method).copied());
                table.named.entry((*method).into()).or_insert(route);
            }
        }
        taken.map_or(Ok(()), Err)
    }

    /// The leaf of `path`, a new one where there is none.
    fn leaf(&mut self, path: &PathTemplate) -> usize {
        let fresh_leaf = self.leaves.len();
        self.depth_max = self.depth_max.max(path.segments().len());
        let mut at = 0;
        for segment in path.segments() {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return fresh_leaf };
            at = match segment {
                Segment::Literal(bytes) => *node.literals.entry(bytes.as_slice().into()).or_insert(fresh),
                Segment::Param(_) => *node.param.get_or_insert(fresh),
                Segment::Rest(_) => {
                    let leaf = *node.rest.get_or_insert(fresh_leaf);
                    return self.with_leaf(leaf);
                }
            };
            if at == fresh {
                self.nodes.push(Branch::default());
            }
        }
        let leaf = self.nodes.get_mut(at).map_or(fresh_leaf, |node| *node.end.get_or_insert(fresh_leaf));
        self.with_leaf(leaf)
    }

    fn with_leaf(&mut self, leaf: usize) -> usize {
        if leaf == self.leaves.len() {
            self.leaves.push(Leaf::default());
        }
        leaf
    }

    /// The most nodes that the look-up of any path can visit: at each node the costliest literal, then the parameter.
    pub fn visits_max(&self) -> usize {
        // Children come after their parents, so that one pass from the end sees every child first.
        let mut costs = vec![0usize; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let cost = |child: &usize| costs.get(*child).copied().unwrap_or(0);
            let literal = node.literals.values().map(cost).max().unwrap_or(0);
            let param = node.param.as_ref().map_or(0, cost);
            if let Some(own) = costs.get_mut(index) {
                *own = literal.saturating_add(param).saturating_add(1);
            }
        }
        costs.first().copied().unwrap_or(0)
    }

    /// The route that `head` belongs to, with its path as it was split. Adds to `steps` for each node and table looked at.
    pub fn find<'a>(&self, head: &'a RequestHead, steps: &mut usize) -> (Option<usize>, Path<'a>) {
        let path = Path::split(head.path(), self.depth_max);
        if !head.path().starts_with('/') {
            return (None, path);
        }
        let hosts = self.hosts.matching(&head.authority, &head.scheme, steps);
        let mut search = Search { router: self, path: &path, hosts: &hosts, method: &head.method, steps };
        let found = search.below(0, 0);
        (found, path)
    }
}

struct Search<'s, 'a> {
    router: &'s Router,
    path: &'s Path<'a>,
    hosts: &'s [HostId],
    method: &'s str,
    steps: &'s mut usize,
}

impl Search<'_, '_> {
    /// The best route below `node`, whose segments before `index` have matched. As deep as the longest template.
    fn below(&mut self, node: usize, index: usize) -> Option<usize> {
        *self.steps += 1;
        let branch = self.router.nodes.get(node)?;
        match self.path.segment(index) {
            Some(segment) => {
                if let Some(next) = branch.literals.get(segment)
                    && let Some(route) = self.below(*next, index + 1)
                {
                    return Some(route);
                }
                if let Some(next) = branch.param
                    && !segment.is_empty()
                    && let Some(route) = self.below(next, index + 1)
                {
                    return Some(route);
                }
            }
            None if !self.path.more => {
                if let Some(route) = branch.end.and_then(|leaf| self.first(leaf)) {
                    return Some(route);
                }
            }
            None => {}
        }
        branch.rest.and_then(|leaf| self.first(leaf))
    }

    /// The first route in the file of those with this path whose host and method match.
    fn first(&mut self, leaf: usize) -> Option<usize> {
        let leaf = self.router.leaves.get(leaf)?;
        let mut first: Option<usize> = None;
        for host in self.hosts {
            *self.steps += 1;
            let Some(methods) = leaf.hosts.get(host) else { continue };
            let named = methods.named.get(self.method).or_else(|| {
                let get = if self.method == "HEAD" { "GET" } else { return None };
                methods.named.get(get)
            });
            first = [first, methods.any, named.copied()].into_iter().flatten().min();
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A small deterministic source of choices.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % sides
        }

        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            from[self.roll(from.len())]
        }
    }

    struct Route {
        path: PathTemplate,
        hosts: Vec<HostPattern>,
        methods: Vec<&'static str>,
    }

    fn head(method: &str, authority: &str, target: &str) -> RequestHead {
        RequestHead {
            method: method.into(),
            scheme: "https".into(),
            authority: authority.into(),
            target: target.into(),
            ..RequestHead::default()
        }
    }

    fn router(routes: &[Route]) -> Router {
        let mut router = Router::new();
        for (index, route) in routes.iter().enumerate() {
            let _ = router.add(index, &route.path, &route.hosts, &route.methods);
        }
        router
    }

    /// The rules of the file's header, looked up one route after the other.
    fn naive(routes: &[Route], head: &RequestHead) -> Option<usize> {
        let path = Path::split(head.path(), 64);
        let fits = |segments: &[Segment]| {
            let open = matches!(segments.last(), Some(Segment::Rest(_)));
            let fixed = segments.len() - usize::from(open);
            (if open { path.len() >= fixed } else { path.len() == fixed })
                && segments.iter().take(fixed).enumerate().all(|(i, segment)| match segment {
                    Segment::Literal(bytes) => path.segment(i) == Some(bytes),
                    _ => path.segment(i).is_some_and(|s| !s.is_empty()),
                })
        };
        let rank = |segments: &[Segment]| -> Vec<u8> {
            let kind = |segment: &Segment| match segment {
                Segment::Literal(_) => 0,
                Segment::Param(_) => 1,
                Segment::Rest(_) => 2,
            };
            segments.iter().map(kind).collect()
        };
        let same_shape = |a: &Route, b: &Route| {
            let shape = |r: &Route| -> Vec<_> {
                r.path
                    .segments()
                    .iter()
                    .map(|s| if let Segment::Literal(l) = s { Some(l.clone()) } else { None })
                    .collect()
            };
            rank(a.path.segments()) == rank(b.path.segments()) && shape(a) == shape(b)
        };
        let takes = |route: &Route| {
            let any = HostPattern::parse("any.invalid").unwrap();
            let hosts = if route.hosts.is_empty() { std::slice::from_ref(&any) } else { &route.hosts };
            hosts.iter().any(|host| {
                let by_host = route.hosts.is_empty() || host.matches(&head.authority, &head.scheme);
                let names_head = routes.iter().any(|other| {
                    same_shape(other, route)
                        && other.methods.contains(&"HEAD")
                        && (if route.hosts.is_empty() { other.hosts.is_empty() } else { other.hosts.contains(host) })
                });
                let by_method = route.methods.is_empty()
                    || route.methods.contains(&head.method.as_str())
                    || head.method == "HEAD" && route.methods.contains(&"GET") && !names_head;
                by_host && by_method
            })
        };
        let fitting = routes.iter().enumerate().filter(|(_, route)| fits(route.path.segments()) && takes(route));
        fitting.map(|(index, route)| (rank(route.path.segments()), index)).min().map(|(_, index)| index)
    }

    #[test]
    fn the_tree_agrees_with_looking_through_all_routes() {
        const SEGMENTS: [&str; 6] = ["a", "b", "c", "{x}", "{y}", "caf%C3%A9"];
        const HOSTS: [&str; 5] = ["one.test", "two.test", "*.test", "*.two.test", "one.test:8443"];
        const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let rounds = if cfg!(target_arch = "wasm32") { 40 } else { 300 };
        let (mut found, mut missed) = (0, 0);
        for _ in 0..rounds {
            let mut routes: Vec<Route> = Vec::new();
            for _ in 0..1 + dice.roll(30) {
                let mut path = String::new();
                let mut names = 0;
                for _ in 0..dice.roll(5) {
                    let segment = dice.pick(&SEGMENTS);
                    names += 1;
                    path.push('/');
                    path.push_str(&if segment.starts_with('{') { format!("{{p{names}}}") } else { segment.to_owned() });
                }
                if path.is_empty() || dice.roll(4) == 0 {
                    path.push_str(if dice.roll(2) == 0 && path.is_empty() { "/" } else { "/{*rest}" });
                }
                let mut list = |from: &[&'static str]| -> Vec<&'static str> {
                    let mut list: Vec<_> = (0..dice.roll(3)).map(|_| dice.pick(from)).collect();
                    list.sort_unstable();
                    list.dedup();
                    list
                };
                let hosts = list(&HOSTS).into_iter().map(|host| HostPattern::parse(host).unwrap()).collect();
                let methods = list(&METHODS);
                let route = Route { path: PathTemplate::parse(&path).unwrap(), hosts, methods };
                // What the compiler refuses (the same path, host and method twice) is not a question.
                let mut trial = router(&routes);
                if trial.add(routes.len(), &route.path, &route.hosts, &route.methods).is_ok() {
                    routes.push(route);
                }
            }
            let router = router(&routes);
            for _ in 0..60 {
                let mut target = String::new();
                for _ in 0..dice.roll(6) {
                    target.push('/');
                    target.push_str(dice.pick(&["a", "b", "c", "d", "café", "caf%c3%a9", "%61", ""]));
                }
                if target.is_empty() || dice.roll(5) == 0 {
                    target.push('/');
                }
                target.push_str(dice.pick(&["", "?a=/b"]));
                let authority = dice.pick(&["one.test", "TWO.test", "x.two.test", "one.test:8443", "else", ""]);
                let head = head(dice.pick(&["GET", "HEAD", "POST", "PURGE"]), authority, &target);
                let mut steps = 0;
                let got = router.find(&head, &mut steps).0;
                assert_eq!(
                    got,
                    naive(&routes, &head),
                    "{head:?}\n{:?}",
                    routes.iter().map(|r| r.path.to_string()).collect::<Vec<_>>()
                );
                if got.is_some() { found += 1 } else { missed += 1 }
            }
        }
        assert!(found > rounds * 10 && missed > rounds * 10, "{found} {missed}");
    }

    fn route(path: &str, hosts: &[&str], methods: &[&'static str]) -> Route {
        Route {
            path: PathTemplate::parse(path).unwrap(),
            hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            methods: methods.to_vec(),
        }
    }

    #[test]
    fn a_route_whose_host_or_method_does_not_match_gives_way() {
        let routes = [
            route("/v1/products/{id}", &[], &["GET"]),
            route("/v1/{*rest}", &[], &["POST"]),
            route("/v1/products/special", &["b.test"], &[]),
            route("/{*all}", &["*.test"], &[]),
        ];
        let router = router(&routes);
        for (method, host, target, want) in [
            ("GET", "a.test", "/v1/products/7", Some(0)),
            ("HEAD", "a.test", "/v1/products/7", Some(0)),
            ("POST", "a.test", "/v1/products/7", Some(1)),
            ("PUT", "a.test", "/v1/products/7", Some(3)),
            ("PUT", "other", "/v1/products/7", None),
            ("GET", "b.test", "/v1/products/special", Some(2)),
            ("GET", "a.test", "/v1/products/special", Some(0)),
            ("GET", "a.test", "/v1/products/7/", Some(0)),
            ("GET", "a.test", "/v1/products/7/x", Some(3)),
            ("GET", "a.test", "/", Some(3)),
            ("GET", "a.test", "*", None),
        ] {
            assert_eq!(router.find(&head(method, host, target), &mut 0).0, want, "{method} {host} {target}");
        }
    }

    /// The costliest look-up among requests of all sorts.
    fn steps_with(routes: usize) -> usize {
        let mut all = Vec::new();
        for n in 0..routes / 10 {
            all.extend([
                route(&format!("/api/r{n}"), &[], &["GET"]),
                route(&format!("/api/r{n}/{{id}}"), &[], &["GET"]),
                route(&format!("/api/r{n}/{{id}}"), &[], &["PUT"]),
                route(&format!("/api/r{n}/{{id}}/parts/{{part}}"), &[], &[]),
                route(&format!("/api/r{n}/{{*rest}}"), &[], &[]),
                route(&format!("/s{n}/x/y/z"), &[], &[]),
                route("/tenant/{*rest}", &[&format!("t{n}.example.com")], &[]),
                route("/tenant/{*rest}", &[&format!("*.t{n}.example.com")], &[]),
                route("/tenant/{*rest}", &[&format!("t{n}.example.com:8443")], &[]),
                route("/tenant/{id}", &[&format!("t{n}.example.com")], &["GET"]),
            ]);
        }
        let router = router(&all);
        let mut most = 0;
        for n in [0, routes / 20, routes / 10 - 1, routes] {
            for target in [
                "/api/rN",
                "/api/rN/7",
                "/api/rN/7/parts/8",
                "/api/rN/a/b/c/d/e/f/g",
                "/sN/x/y/z",
                "/tenant/q/r",
                "/tenant/7",
                "/no",
            ] {
                for host in ["tN.example.com", "a.b.tN.example.com", "tN.example.com:8443", "other.test"] {
                    for method in ["GET", "PUT", "HEAD"] {
                        let number = |text: &str| text.replace('N', &n.to_string());
                        let mut steps = 0;
                        router.find(&head(method, &number(host), &number(target)), &mut steps);
                        most = most.max(steps);
                    }
                }
            }
        }
        assert!(router.visits_max() < 20);
        most
    }

    #[test]
    fn ten_thousand_routes_cost_as_much_as_ten() {
        let few = steps_with(10);
        assert_eq!(steps_with(10_000), few);
        assert!(few < 30, "{few}");
    }

    #[test]
    fn the_worst_look_up_is_known_beforehand() {
        // Every mixture of `a` and `{x}` over ten segments: each choice can be come back from.
        let mut routes = Vec::new();
        for mask in 0..1 << 10 {
            let segment = |bit: usize| if mask >> bit & 1 == 0 { "/a".to_owned() } else { format!("/{{x{bit}}}") };
            let path: String = (0..10).map(segment).collect();
            routes.push(route(&path, &["never.test"], &[]));
        }
        let router = router(&routes);
        let mut steps = 0;
        router.find(&head("GET", "other.test", &"/a".repeat(10)), &mut steps);
        let leaves = 1 << 10;
        assert_eq!(router.visits_max(), 2 * leaves - 1);
        assert!(steps >= router.visits_max() && steps <= router.visits_max() + leaves + 8, "{steps}");
    }

    #[test]
    fn the_same_path_host_and_method_twice_is_reported() {
        let mut router = Router::new();
        let mut add = |index, path, hosts: &[&str], methods: &[&'static str]| {
            let route = route(path, hosts, methods);
            router.add(index, &route.path, &route.hosts, &route.methods)
        };
        assert_eq!(add(0, "/a/{x}", &[], &["GET"]), Ok(()));
        assert_eq!(add(1, "/a/{y}", &[], &["GET"]), Err(Taken { by: 0 }));
        assert_eq!(add(2, "/a/{y}", &[], &["PUT", "GET"]), Err(Taken { by: 0 }));
        assert_eq!(add(3, "/a/{y}", &["h.test", "h.test"], &["GET", "GET"]), Ok(()));
        assert_eq!(add(4, "/a/{y}", &["i.test", "H.test"], &["GET"]), Err(Taken { by: 3 }));
        assert_eq!(add(5, "/a/{y}", &[], &[]), Ok(()));
        assert_eq!(add(6, "/a/{z}", &[], &[]), Err(Taken { by: 5 }));
        assert_eq!(add(7, "/a/{*z}", &[], &[]), Ok(()));
        assert_eq!(add(8, "/caf%C3%A9", &[], &[]), Ok(()));
        assert_eq!(add(9, "/café", &[], &[]), Err(Taken { by: 8 }));
    }
}
