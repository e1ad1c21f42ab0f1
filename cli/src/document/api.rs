//! What commands ask of an OpenAPI document (3.0 and 3.1): its operations, and where they are served.

use std::rc::Rc;

use anyhow::bail;

use super::tree::{Node, Tree};

/// The methods that a path item may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// What stands for a path parameter when the policy's router is asked.
const PLACEHOLDER: &str = "larder-example";

/// An OpenAPI document.
pub struct Api<'t> {
    pub tree: &'t Tree,
    /// `3.0.3`.
    pub version: String,
    pub operations: Vec<Operation>,
}

/// An operation.
pub struct Operation {
    /// In upper case.
    pub method: String,
    /// The path as the document has it.
    pub path: String,
    /// Where it is served.
    pub places: Vec<Place>,
    pub item: Rc<Node>,
    pub node: Rc<Node>,
    /// It stands where its path is, and nothing else is meant by it.
    pub is_own: bool,
}

/// Where an operation is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub scheme: String,
    /// Empty where the document names no host.
    pub host: String,
    /// The path with the server's own before it; parameters in braces.
    pub template: String,
}

impl<'t> Api<'t> {
    /// Reads it.
    pub fn of(tree: &'t Tree) -> anyhow::Result<Self> {
        if !tree.root.is_map() {
            bail!("it is no OpenAPI document: no mapping");
        }
        let version = match tree.get(&tree.root, "openapi").and_then(|version| version.text()) {
            Some(version) => version.to_owned(),
            None if tree.get(&tree.root, "swagger").is_some() => {
                bail!("it is a Swagger 2 document: OpenAPI 3 is needed")
            }
            None => bail!("it is no OpenAPI document: the field \"openapi\" is missing"),
        };
        if !version.starts_with("3.0") && !version.starts_with("3.1") {
            bail!("OpenAPI {version} is not known here: 3.0 and 3.1 are");
        }
        let mut api = Self { tree, version, operations: Vec::new() };
        let servers = api.servers(&tree.root).unwrap_or_else(|| vec!["/".to_owned()]);
        let paths = tree.get(&tree.root, "paths").map(Rc::clone);
        for member in paths.iter().flat_map(|paths| paths.members()).filter(|member| member.key.starts_with('/')) {
            api.path(&member.key, &member.node, &servers);
        }
        Ok(api)
    }

    fn path(&mut self, path: &str, item: &Rc<Node>, servers: &[String]) {
        let tree = self.tree;
        let meant = Rc::clone(tree.dereferenced(item));
        let own_item = Rc::ptr_eq(&meant, item);
        let servers = self.servers(&meant).unwrap_or_else(|| servers.to_vec());
        for method in METHODS {
            let Some(node) = tree.get(&meant, method) else { continue };
            let servers = self.servers(node).unwrap_or_else(|| servers.clone());
            let places = servers.iter().map(|server| Place::of(server, path)).collect();
            let is_own =
                own_item && meant.member(method).is_some_and(|member| Rc::ptr_eq(&member.node, node)) && node.is_map();
            let (node, item, path, method) =
                (Rc::clone(node), Rc::clone(&meant), path.to_owned(), method.to_ascii_uppercase());
            self.operations.push(Operation { method, path, places, item, node, is_own });
        }
    }

    /// The URLs of `servers`, with the defaults of their variables.
    fn servers(&self, node: &Rc<Node>) -> Option<Vec<String>> {
        let servers = self.tree.get(node, "servers")?.items();
        let urls: Vec<String> = servers.iter().filter_map(|server| self.server(self.tree.resolved(server))).collect();
        (!urls.is_empty()).then_some(urls)
    }

    fn server(&self, server: &Rc<Node>) -> Option<String> {
        let mut url = self.tree.get(server, "url")?.text()?.to_owned();
        for variable in self.tree.get(server, "variables").iter().flat_map(|variables| variables.members()) {
            if let Some(default) = self.tree.get(&variable.node, "default").and_then(|default| default.text()) {
                url = url.replace(&format!("{{{}}}", variable.key), default);
            }
        }
        Some(url)
    }

    /// The responses of an operation, by status: with where they are written.
    pub fn responses<'a>(&'a self, operation: &'a Operation) -> impl Iterator<Item = (&'a str, &'a Rc<Node>)> {
        let responses = self.tree.get(&operation.node, "responses");
        responses
            .into_iter()
            .flat_map(|responses| responses.members())
            .map(|member| (member.key.as_str(), &member.node))
    }

    /// The parameters of an operation and its path: `(in, name)`.
    pub fn parameters(&self, operation: &Operation) -> Vec<(String, String)> {
        let lists = [&operation.item, &operation.node].map(|node| self.tree.get(node, "parameters"));
        let items = lists.into_iter().flatten().flat_map(|list| list.items());
        let text =
            |node: &Rc<Node>, key: &str| self.tree.get(node, key).and_then(|node| node.text()).map(str::to_owned);
        items
            .filter_map(|item| {
                let item = self.tree.dereferenced(item);
                Some((text(item, "in")?, text(item, "name")?))
            })
            .collect()
    }
}

impl Place {
    fn of(server: &str, path: &str) -> Self {
        let (scheme, rest) = match server.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("https".to_owned(), server),
        };
        let is_absolute = server.contains("://");
        let at = if is_absolute { rest.find('/').unwrap_or(rest.len()) } else { 0 };
        let (host, base) = rest.split_at(at);
        let base = base.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let slash = if base.is_empty() || base.starts_with('/') { "" } else { "/" };
        Self { scheme, host: host.to_owned(), template: format!("{slash}{base}{path}") }
    }

    /// A path that has the template's shape.
    pub fn example(&self) -> String {
        let mut path = String::new();
        let mut rest = self.template.as_str();
        while let Some((before, braced)) = rest.split_once('{') {
            path.push_str(before);
            path.push_str(PLACEHOLDER);
            rest = braced.split_once('}').map_or("", |(_, after)| after);
        }
        path + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_paths_make_places() {
        let text = "openapi: 3.1.0\nservers: [{url: 'https://{env}.a.test/v1/', variables: {env: {default: api}}}]\npaths:\n  /x/{id}.json:\n    get: {responses: {}}\n  /y: {servers: [{url: base}], $ref: '#/components/pathItems/Y'}\ncomponents:\n  pathItems:\n    Y: {put: {}, parameters: [{in: query, name: q}]}\n";
        let tree = Tree::parse(text).unwrap();
        let api = Api::of(&tree).unwrap();
        let seen: Vec<String> = api
            .operations
            .iter()
            .map(|op| format!("{} {} {:?} {}", op.method, op.places[0].example(), op.places[0].host, op.is_own))
            .collect();
        assert_eq!(seen, ["GET /v1/x/larder-example.json \"api.a.test\" true", "PUT /v1/y \"api.a.test\" false"]);
        assert_eq!(api.parameters(&api.operations[1]), [("query".to_owned(), "q".to_owned())]);
        assert_eq!(Place::of("base", "/x").template, "/base/x");
        for (text, part) in [
            ("swagger: '2.0'\n", "Swagger"),
            ("openapi: 4.0.0\n", "4.0.0"),
            ("a: 1\n", "openapi"),
            ("- a\n", "mapping"),
        ] {
            let tree = Tree::parse(text).unwrap();
            assert!(Api::of(&tree).map(|_| ()).unwrap_err().to_string().contains(part));
        }
    }
}
