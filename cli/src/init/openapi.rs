//! A draft from an OpenAPI document.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::guess::{self, Guess};
use super::write::{Draft, RouteDraft, path, route_name};
use crate::document::{Api, Node, Operation, Tree};

/// Drafts.
pub fn draft(text: &str) -> anyhow::Result<Draft> {
    let tree = Tree::parse(text)?;
    let api = Api::of(&tree)?;
    let title = tree.get(&tree.root, "info").and_then(|info| tree.get(info, "title")).and_then(|title| title.text());
    let mut draft = Draft {
        description: format!(
            "A first policy for {}, made from its OpenAPI document. Everything in it is a guess: read the comments, and change what is wrong.",
            title.unwrap_or("an API")
        ),
        ..Draft::default()
    };
    // Reads first: what a path is about is what it answers.
    let (reads, writes): (Vec<&Operation>, Vec<&Operation>) =
        api.operations.iter().partition(|operation| operation.method == "GET");
    for operation in reads.into_iter().chain(writes) {
        let Some(place) = operation.places.first() else { continue };
        match path(&place.template) {
            Some(path) => draft.add(route(&api, operation, path)),
            None => draft.notes.push(format!(
                "{} {} has a path that no policy takes: it is left out",
                operation.method, operation.path
            )),
        }
    }
    Ok(draft)
}

fn route(api: &Api<'_>, operation: &Operation, path: String) -> RouteDraft {
    let tree = api.tree;
    let text = |node: &Rc<Node>, key: &str| tree.get(node, key).and_then(|node| node.text()).map(str::to_owned);
    let name = text(&operation.node, "operationId").map_or_else(|| route_name(&path), |id| route_name(&id));
    let answers = Answers::of(api, operation);
    let mut guess = guess::by_path(&path);
    let mut remarks = Vec::new();
    if guess.class != "never" && answers.says(&["no-store"]) {
        guess = Guess { class: "never", why: "the document says that its answers are not to be stored" };
    } else if guess.class != "never" && (answers.says(&["private"]) || answers.sets_cookie) {
        guess = Guess { class: "personal", why: "the document says that its answers are for one user" };
    } else if is_secured(api, operation) && !matches!(guess.class, "never" | "personal") {
        guess = Guess { class: "personal", why: "the document asks for credentials" };
        remarks.push("If all users get the same answer, another class shares it: only where the response says so (RFC 9111 3.5).".to_owned());
    } else if guess.class == "catalog" && answers.is_media {
        guess = Guess { class: "static", why: "it answers with pictures, fonts, scripts or the like" };
    }
    let parameters = api.parameters(operation);
    let query: Vec<String> =
        parameters.iter().filter(|(place, _)| place == "query").map(|(_, name)| name.clone()).collect();
    let plain = query.iter().all(|name| !name.is_empty() && !name.contains(['&', '=', '#', '*', ' ', '[', ']']));
    RouteDraft {
        name,
        path,
        guess,
        methods: BTreeSet::from([operation.method.clone()]),
        // A name with brackets stands for many parameters.
        query: plain.then_some(query),
        languages: answers.languages,
        remarks,
    }
}

/// What the document says of an operation's successful answers.
#[derive(Default)]
struct Answers {
    control: Vec<String>,
    sets_cookie: bool,
    is_media: bool,
    languages: Vec<String>,
}

impl Answers {
    fn of(api: &Api<'_>, operation: &Operation) -> Self {
        let tree = api.tree;
        let mut answers = Self::default();
        for (_, response) in api.responses(operation).filter(|(status, _)| status.starts_with('2')) {
            let response = tree.dereferenced(response);
            for header in tree.get(response, "headers").iter().flat_map(|headers| headers.members()) {
                let values = values(tree, tree.dereferenced(&header.node));
                match header.key.to_ascii_lowercase().as_str() {
                    "cache-control" => answers.control.extend(values),
                    "set-cookie" => answers.sets_cookie = true,
                    "content-language" => {
                        answers.languages = values.into_iter().filter(|value| is_language(value)).collect()
                    }
                    _ => {}
                }
            }
            let types = tree.get(response, "content");
            answers.is_media |= types.iter().flat_map(|types| types.members()).any(|member| is_media(&member.key));
        }
        answers
    }

    fn says(&self, directives: &[&str]) -> bool {
        let named = |value: &String| {
            value.split(',').any(|part| directives.contains(&part.trim().to_ascii_lowercase().as_str()))
        };
        self.control.iter().any(named)
    }
}

/// The values that a header's schema or examples name.
pub fn values(tree: &Tree, header: &Rc<Node>) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |node: Option<&Rc<Node>>| found.extend(node.and_then(|node| node.text()).map(str::to_owned));
    take(tree.get(header, "example"));
    let schema = tree.get(header, "schema").map(|schema| tree.dereferenced(schema));
    for key in ["const", "default", "example"] {
        take(schema.and_then(|schema| tree.get(schema, key)));
    }
    for member in tree.get(header, "examples").iter().flat_map(|examples| examples.members()) {
        take(tree.get(tree.dereferenced(&member.node), "value"));
    }
    for list in ["enum", "examples"] {
        let items = schema.and_then(|schema| tree.get(schema, list));
        items.iter().flat_map(|items| items.items()).for_each(|item| take(Some(item)));
    }
    found
}

fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first =
        parts.next().is_some_and(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()));
    first
        && text.len() <= 35
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_media(content_type: &str) -> bool {
    let of = content_type.to_ascii_lowercase();
    ["image/", "font/", "video/", "audio/", "text/css", "text/javascript", "application/javascript"]
        .iter()
        .any(|start| of.starts_with(start))
}

/// Whether an operation cannot be asked without credentials. `security: []` and `security: [{}]` say that it can.
pub fn is_secured(api: &Api<'_>, operation: &Operation) -> bool {
    let tree = api.tree;
    let Some(security) = tree.get(&operation.node, "security").or_else(|| tree.get(&tree.root, "security")) else {
        return false;
    };
    let items = security.items();
    !items.is_empty() && items.iter().all(|item| !tree.resolved(item).members().is_empty())
}
