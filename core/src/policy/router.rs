//! Which route a request belongs to.
//!
//! The most specific path wins, segment by segment from the left: a literal before a parameter before the rest. A route
//! whose host or method does not match gives way to a less specific path. Among routes of the same path (whatever
//! their parameters are called) the first one in the file whose host and method match wins. A route without methods takes
//! all; `GET` is good for `HEAD` where no route of the same path and host names `HEAD`.
//!
//! A tree over segments with a hash table at each node: a look-up visits as many nodes as the path has segments, plus those
//! it comes back from, never more with more routes beside them. Ready-made routers (matchit among them) pick one
//! path and then leave no way back to a less specific one, when the host or the method turns out not to match.

use std::collections::HashMap;

use super::hash::Fnv;
use super::hosts::{HostId, HostPattern, HostTable};
use super::path::{Path, PathTemplate, Segment};
use crate::fields::RequestHead;

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
