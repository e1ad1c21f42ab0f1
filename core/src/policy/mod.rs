//! Policies: the JSON model, its errors, the compiled rules and the router.
//!
//! [`Policy::parse`] reads a file to its end and reports everything that is wrong with it; [`Policy::route`] says which rules
//! a request is under. Nothing in here panics on input, files are bounded in size, depth and number of everything.
//! What the rules lead to is not decided here: `decide/` and `exchange/` do that.

pub mod cases;
mod check;
mod compile;
mod decode;
mod duration;
mod errors;
mod hash;
mod hosts;
mod kinds;
pub mod lint;
pub mod model;
mod nearest;
mod path;
mod resolve;
mod router;
pub mod rules;
#[cfg(any(test, feature = "schema"))]
mod schema;
mod sources;
mod spanned;
pub mod template;

use std::sync::Arc;

pub use compile::{Aims, NO_CLASS, NO_ROUTE};
pub use decode::Named;
pub use errors::{ERRORS_MAX, PolicyError, PolicyErrors};
pub use hosts::HostPattern;
pub use path::PathTemplate;
#[cfg(any(test, feature = "schema"))]
pub use schema::{case_schema_text, schema_text};
pub use sources::{Setting, Source};
pub use spanned::{DEPTH_MAX, TEXT_BYTES_MAX, VALUES_MAX};

use self::compile::Compiled;
use self::decode::{Cx, Decode};
use self::errors::{Collected, Problem};
use self::model::{PolicyFile, Route};
use self::path::{Path, Segment};
use self::rules::Rules;
use self::spanned::Node;
use self::template::Params;
use crate::fields::RequestHead;

/// A policy, ready for use.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// A hash of the policy's text: another text, another revision. The same on every machine.
    pub revision: u64,
    file: PolicyFile,
    compiled: Compiled,
}

/// What a request is under.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// Path parameters, as received.
    pub params: Params,
    /// Whether somebody on the way could read the path differently (dot segments, `//`, `;`, odd encodings): such a request must
    /// not use the cache, since the origin may answer it with what another route is about.
    pub suspicious_path: bool,
}

/// A route and the rules in force for it, for tools.
#[derive(Clone, Copy, Debug)]
pub struct RouteSummary<'a> {
    /// The route as it is in the file.
    pub route: &'a Route,
    /// The rules in force.
    pub rules: &'a Arc<Rules>,
    /// What is kept warm and which hit ratio is aimed at.
    pub aims: &'a Aims,
}

impl Policy {
    /// Reads a policy. Everything that is wrong with it is reported at once.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        let root = root(text, "a policy")?;
        let mut cx = Cx::new();
        let file = PolicyFile::decode(&root, &mut cx);
        let mut errors = cx.errors;
        let file = file.unwrap_or_default();
        let compiled = compile::compile(&file, &root, &mut errors);
        if !errors.is_empty() {
            return Err(errors.placed(text));
        }
        let name = file.name.as_ref().map(|name| name.0.clone()).unwrap_or_default();
        Ok(Self { name, revision: hash::fnv1a(text.as_bytes()), file, compiled })
    }

    /// Which rules a request is under. Its cost does not grow with the number of routes.
    pub fn route(&self, head: &RequestHead) -> Matched {
        let (route, path) = self.compiled.router.find(head, &mut 0);
        let suspicious_path = path.suspicious;
        let matched = route.and_then(|index| {
            let template = self.file.routes.as_ref()?.get(index)?.path.as_ref()?;
            Some((self.compiled.rules.get(index)?, params(template, &path)))
        });
        let (rules, params) = matched.unwrap_or((&self.compiled.unmatched, Params::new()));
        Matched { rules: Arc::clone(rules), params, suspicious_path }
    }

    /// The routes in order of the file, with the rules in force. `rules.index` is a route's place here.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = RouteSummary<'_>> {
        let routes = self.file.routes.as_deref().unwrap_or_default();
        let compiled = self.compiled.rules.iter().zip(&self.compiled.aims);
        routes.iter().zip(compiled).map(|(route, (rules, aims))| RouteSummary { route, rules, aims })
    }

    /// The rules of requests that no route matches: `defaults` over the built-in defaults.
    pub fn unmatched(&self) -> &Arc<Rules> {
        &self.compiled.unmatched
    }

    /// The file as it was written.
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }
}

/// Reads JSON. `what` it is to be is said where there is too much of it.
fn root(text: &str, what: &str) -> Result<Node, PolicyErrors> {
    spanned::parse(text).map_err(|error| {
        let mut errors = Collected::new();
        let message =
            if error.is_limit { format!("this is too much for {what}") } else { "this is not JSON".to_owned() };
        let problem = Problem::new(message).and_expected(error.expected).found(error.found);
        errors.add(error.at, &[], problem);
        errors.placed(text)
    })
}

/// The values of a template's parameters in a path that it matches.
fn params(template: &PathTemplate, path: &Path) -> Params {
    let segments = template.segments().iter().enumerate();
    segments
        .filter_map(|(index, segment)| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) => Some((name.clone(), path.raw_segment(index).to_owned())),
            Segment::Rest(name) => Some((name.clone(), path.raw_rest(index).to_owned())),
        })
        .collect()
}
