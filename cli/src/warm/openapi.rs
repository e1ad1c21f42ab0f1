//! The GET operations of an OpenAPI document, with the examples that it gives for their parameters.
//!
//! A path parameter needs one, and so does a query parameter that is required; others are left out.

use std::rc::Rc;

use anyhow::Context;

use crate::document::{Api, Node, Operation, Tree};
use crate::init::openapi::is_secured;
use crate::input::{self, Source};

/// The most values of one parameter.
const VALUES_MAX: usize = 20;
/// The most URLs of one operation at one place.
const URLS_MAX: usize = 100;

/// Hands on the URLs. Operations that ask for credentials are left out where none are sent along.
pub fn urls(
    source: &Source,
    has_credentials: bool,
    left_out: &mut Vec<String>,
    mut take: impl FnMut(&str),
) -> anyhow::Result<()> {
    let text = input::read(source)?;
    let tree = Tree::parse(&text).with_context(|| format!("cannot read {source}"))?;
    let api = Api::of(&tree).with_context(|| format!("cannot use {source}"))?;
    for operation in api.operations.iter().filter(|operation| operation.method == "GET") {
        if !has_credentials && is_secured(&api, operation) {
            left_out.push(format!("GET {}: it asks for credentials", operation.path));
            continue;
        }
        match of_operation(&tree, operation) {
            Ok(urls) => urls.iter().for_each(|url| take(url)),
            Err(parameter) => left_out.push(format!("GET {}: no example for {parameter}", operation.path)),
        }
    }
    Ok(())
}

/// A parameter with the values that the document gives for it.
struct Parameter {
    name: String,
    is_path: bool,
    values: Vec<String>,
}

/// The URLs of an operation; or the parameter for which there is no value.
fn of_operation(tree: &Tree, operation: &Operation) -> Result<Vec<String>, String> {
    let parameters = parameters(tree, operation)?;
    let mut urls = Vec::new();
    for place in &operation.places {
        let host = if place.host.is_empty() { String::new() } else { format!("{}://{}", place.scheme, place.host) };
        let mut all = vec![(place.template.clone(), String::new())];
        for parameter in &parameters {
            let mut next = Vec::new();
            for (path, query) in &all {
                next.extend(parameter.values.iter().map(|value| parameter.put(path, query, value)));
            }
            next.truncate(URLS_MAX);
            all = next;
        }
        if let Some((path, _)) = all.iter().find(|(path, _)| path.contains('{')) {
            let name = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(name, _)| name);
            return Err(name.to_owned());
        }
        urls.extend(all.into_iter().map(|(path, query)| match query.as_str() {
            "" => format!("{host}{path}"),
            query => format!("{host}{path}?{query}"),
        }));
    }
    Ok(urls)
}

impl Parameter {
    fn put(&self, path: &str, query: &str, value: &str) -> (String, String) {
        if self.is_path {
            return (path.replace(&format!("{{{}}}", self.name), &encoded(value)), query.to_owned());
        }
        let between = if query.is_empty() { "" } else { "&" };
        (path.to_owned(), format!("{query}{between}{}={}", encoded(&self.name), encoded(value)))
    }
}

fn parameters(tree: &Tree, operation: &Operation) -> Result<Vec<Parameter>, String> {
    let text = |node: &Rc<Node>, key: &str| tree.get(node, key).and_then(|node| node.text()).map(str::to_owned);
    let mut nodes: Vec<(String, String, Rc<Node>)> = Vec::new();
    for list in [&operation.item, &operation.node].map(|node| tree.get(node, "parameters")).into_iter().flatten() {
        for item in list.items() {
            let item = tree.dereferenced(item);
            let (Some(place), Some(name)) = (text(item, "in"), text(item, "name")) else { continue };
            // The operation's own win over its path's.
            nodes.retain(|(known_place, known, _)| (known_place, known) != (&place, &name));
            nodes.push((place, name, Rc::clone(item)));
        }
    }
    let mut parameters = Vec::new();
    for (place, name, node) in nodes {
        let is_path = match place.as_str() {
            "path" => true,
            "query" if text(&node, "required").as_deref() == Some("true") => false,
            _ => continue,
        };
        let values = values(tree, &node);
        if values.is_empty() {
            return Err(format!("the parameter {name:?}"));
        }
        parameters.push(Parameter { name, is_path, values });
    }
    Ok(parameters)
}

/// The examples of a parameter, else those of its schema, else what its schema lets it be.
fn values(tree: &Tree, parameter: &Rc<Node>) -> Vec<String> {
    let scalar = |node: &Rc<Node>| node.text().filter(|text| !text.is_empty()).map(str::to_owned);
    let one = |node: &Rc<Node>, key: &str| tree.get(node, key).and_then(scalar).into_iter().collect::<Vec<_>>();
    let many = |node: &Rc<Node>, key: &str| {
        let list = tree.get(node, key);
        list.iter().flat_map(|list| list.items()).filter_map(|item| scalar(tree.resolved(item))).collect::<Vec<_>>()
    };
    let named = tree.get(parameter, "examples").into_iter().flat_map(|examples| examples.members());
    let named: Vec<String> =
        named.filter_map(|example| tree.get(tree.dereferenced(&example.node), "value").and_then(scalar)).collect();
    let schema = tree.get(parameter, "schema").map(|schema| tree.dereferenced(schema));
    let of_schema = |read: &dyn Fn(&Rc<Node>) -> Vec<String>| schema.map(read).unwrap_or_default();
    let candidates = [
        one(parameter, "example"),
        named,
        of_schema(&|schema| one(schema, "example")),
        of_schema(&|schema| many(schema, "examples")),
        of_schema(&|schema| many(schema, "enum")),
        of_schema(&|schema| one(schema, "const")),
        of_schema(&|schema| one(schema, "default")),
    ];
    let mut values = candidates.into_iter().find(|values| !values.is_empty()).unwrap_or_default();
    values.truncate(VALUES_MAX);
    values
}

/// A value as a path segment or a part of a query has it (RFC 3986 2.3).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_become_urls_by_their_examples() {
        let text = "openapi: 3.1.0
servers: [{url: 'https://api.test/v1'}]
paths:
  /list:
    get: {parameters: [{in: query, name: page, schema: {default: 1}}, {in: query, name: q, required: true, example: a b}]}
  /items/{id}:
    parameters: [{in: path, name: id, required: true, schema: {type: integer}}]
    get: {parameters: [{in: path, name: id, required: true, examples: {a: {value: 7}, b: {$ref: '#/components/examples/B'}}}]}
    put: {}
  /kinds/{kind}:
    get: {parameters: [{$ref: '#/components/parameters/Kind'}]}
  /unknown/{x}:
    get: {parameters: [{in: path, name: x, required: true}]}
  /undeclared/{y}: {get: {}}
  /account: {get: {security: [{token: []}]}}
components:
  examples: {B: {value: x/y}}
  parameters: {Kind: {in: path, name: kind, required: true, schema: {enum: [one, two]}}}
";
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("api.yaml");
        std::fs::write(&file, text).expect("written");
        let (mut seen, mut left_out) = (Vec::new(), Vec::new());
        urls(&Source::File(file), false, &mut left_out, |url| seen.push(url.to_owned())).expect("a document");
        let host = "https://api.test/v1";
        let want = ["/list?q=a%20b", "/items/7", "/items/x%2Fy", "/kinds/one", "/kinds/two"];
        assert_eq!(seen, want.map(|path| format!("{host}{path}")));
        assert_eq!(
            left_out,
            [
                "GET /unknown/{x}: no example for the parameter \"x\"",
                "GET /undeclared/{y}: no example for y",
                "GET /account: it asks for credentials"
            ]
        );
    }
}
