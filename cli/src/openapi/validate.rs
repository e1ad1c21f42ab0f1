//! Whether a result may be written: nothing is lost, and nothing is wrong with it that was not wrong before.
//!
//! Checks those parts of OpenAPI that are touched here: operations, responses, headers, parameters and references within the document.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::document::{Api, Node, Tree};

/// Whether all of a document is in another one, apart from what is Larder's own and may be said anew.
pub fn keeps(before: &Tree, after: &Tree) -> bool {
    within(&before.root, &after.root)
}

fn within(before: &Node, after: &Node) -> bool {
    let members = before.members();
    if members.is_empty() {
        return before.is_within(after);
    }
    members.iter().all(|member| {
        let own = member.key == "x-larder-policy" || member.key.starts_with("Larder");
        match after.member(&member.key) {
            Some(_) if own => true,
            // A header of ours may say something else now; its place is still there.
            Some(known) => {
                member.key == "Cache-Control" && member.node.is_map() || within_list(&member.node, &known.node)
            }
            None => false,
        }
    })
}

fn within_list(before: &Rc<Node>, after: &Rc<Node>) -> bool {
    let items = before.items();
    if items.is_empty() {
        return within(before, after);
    }
    items.len() <= after.items().len() && items.iter().zip(after.items()).all(|(item, other)| within_list(item, other))
}

/// What is wrong with a document, each in a line.
pub fn problems(api: &Api<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let tree = api.tree;
    for operation in &api.operations {
        let name = format!("{} {}", operation.method, operation.path);
        match tree.get(&operation.node, "responses") {
            None if api.version.starts_with("3.0") => {
                found.insert(format!("{name} has no responses"));
            }
            None => {}
            Some(responses) => {
                for member in responses.members() {
                    if !is_status(&member.key) {
                        found.insert(format!("{name}: {:?} is no status", member.key));
                    }
                    response(tree, &format!("{name} {}", member.key), &member.node, &mut found);
                }
            }
        }
        let mut seen = BTreeSet::new();
        let own = tree.get(&operation.node, "parameters");
        for item in own.into_iter().flat_map(|list| list.items()) {
            parameter(tree, &name, item, &mut seen, &mut found);
        }
    }
    let components = tree.get(&tree.root, "components");
    for (kind, node) in
        components.iter().flat_map(|node| node.members()).map(|member| (member.key.as_str(), &member.node))
    {
        for member in tree.resolved(node).members() {
            let name = format!("components/{kind}/{}", member.key);
            match kind {
                "responses" => response(tree, &name, &member.node, &mut found),
                "headers" => header(tree, &name, &member.node, &mut found),
                "parameters" => parameter(tree, &name, &member.node, &mut BTreeSet::new(), &mut found),
                _ => {}
            }
        }
    }
    references(tree, &tree.root, &mut found);
    found
}

/// `200`, `2XX`, `default`, or an extension.
fn is_status(key: &str) -> bool {
    let bytes = key.as_bytes();
    key == "default"
        || key.starts_with("x-")
        || matches!(bytes, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] | [b'1'..=b'5', b'X', b'X'])
}

fn response(tree: &Tree, name: &str, node: &Rc<Node>, found: &mut BTreeSet<String>) {
    let node = tree.dereferenced(node);
    if node.member("$ref").is_some() {
        return; // in another document
    }
    if tree.get(node, "description").and_then(|description| description.text()).is_none() {
        found.insert(format!("{name}: a response has a description"));
    }
    let Some(headers) = tree.get(node, "headers") else { return };
    let mut seen = BTreeSet::new();
    for member in headers.members() {
        if !seen.insert(member.key.to_ascii_lowercase()) {
            found.insert(format!("{name}: the header {} is there twice", member.key));
        }
        header(tree, &format!("{name} {}", member.key), &member.node, found);
    }
}

fn header(tree: &Tree, name: &str, node: &Rc<Node>, found: &mut BTreeSet<String>) {
    let node = tree.dereferenced(node);
    let has = |key: &str| tree.get(node, key).is_some();
    if !has("$ref") && has("schema") == has("content") {
        found.insert(format!("{name}: a header has either a schema or a content"));
    }
}

fn parameter(
    tree: &Tree,
    name: &str,
    node: &Rc<Node>,
    seen: &mut BTreeSet<(String, String)>,
    found: &mut BTreeSet<String>,
) {
    let node = tree.dereferenced(node);
    let text = |key: &str| tree.get(node, key).and_then(|node| node.text()).map(str::to_owned);
    if node.member("$ref").is_some() {
        return;
    }
    let (Some(own_name), Some(place)) = (text("name"), text("in")) else {
        found.insert(format!("{name}: a parameter has a name and a place"));
        return;
    };
    if tree.get(node, "schema").is_some() == tree.get(node, "content").is_some() {
        found.insert(format!("{name}: the parameter {own_name} has either a schema or a content"));
    }
    if !seen.insert((place, own_name.to_ascii_lowercase())) {
        found.insert(format!("{name}: the parameter {own_name} is there twice"));
    }
}

/// References within the document that lead nowhere. As deep as the document.
fn references(tree: &Tree, node: &Rc<Node>, found: &mut BTreeSet<String>) {
    for member in node.members() {
        match member.node.text() {
            Some(reference) if member.key == "$ref" && reference.starts_with("#/") => {
                if tree.pointed(reference).is_none() {
                    found.insert(format!("{reference} is not there"));
                }
            }
            _ => references(tree, &member.node, found),
        }
    }
    node.items().iter().for_each(|item| references(tree, item, found));
}
