//! The edits that say it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use larder_core::Policy;
use larder_core::policy::rules::{StatusPattern, Ttl};

use super::plan::{self, Plan, shared};
use crate::document::{Api, Editor, New, Node, Operation};

/// A document with what was added.
pub struct Annotated {
    pub text: String,
    /// Operations that are described.
    pub operations: usize,
    /// What could not be said, and why.
    pub notes: Vec<String>,
}

struct Annotator<'t> {
    api: &'t Api<'t>,
    editor: Editor<'t>,
    notes: Vec<String>,
    operations: usize,
    /// Components that the additions refer to: kind and name.
    needed: BTreeSet<(&'static str, &'static str)>,
    /// Responses that several operations may share, by reference: who uses them, and what each would have said of them.
    referred: BTreeMap<String, Vec<Use>>,
}

/// Who refers to a response, and what would be said of it.
type Use = (String, Vec<(String, New)>);

/// Annotates.
pub fn annotate(policy: &Arc<Policy>, api: &Api<'_>, text: &str) -> Annotated {
    let editor = Editor::new(text, api.tree);
    let mut annotator =
        Annotator { api, editor, notes: Vec::new(), operations: 0, needed: BTreeSet::new(), referred: BTreeMap::new() };
    for operation in &api.operations {
        annotator.operation(policy, operation);
    }
    annotator.shared_responses();
    annotator.components();
    let Annotator { editor, notes, operations, .. } = annotator;
    let text = if editor.is_empty() { text.to_owned() } else { editor.finish() };
    Annotated { text, operations, notes }
}

impl Annotator<'_> {
    fn operation(&mut self, policy: &Arc<Policy>, operation: &Operation) {
        let name = format!("{} {}", operation.method, operation.path);
        if !operation.is_own {
            self.notes
                .push(format!("{name} is written elsewhere (a reference, an alias or a merge): it is not described"));
            return;
        }
        let plan = plan::of(policy, operation);
        self.operations += 1;
        self.set(&operation.node, "x-larder-policy", &plan.policy);
        for (status, response) in self.responses(operation) {
            self.response(&name, &status, &response, &plan);
        }
        self.answers(&name, operation, &plan);
        if plan.validates {
            self.parameters(operation);
        }
    }

    /// The responses that are there, by status.
    fn responses(&self, operation: &Operation) -> Vec<(String, Rc<Node>)> {
        self.api.responses(operation).map(|(status, node)| (status.to_owned(), Rc::clone(node))).collect()
    }

    fn response(&mut self, name: &str, status: &str, response: &Rc<Node>, plan: &Plan) {
        let headers = if status.starts_with('2') {
            &plan.headers
        } else if is_kept(plan, status) {
            &plan.error_headers
        } else {
            return;
        };
        if let Some(reference) = response.member("$ref").and_then(|member| member.node.text()) {
            // Others may refer to it as well: what is said there has to be true for all of them.
            self.referred.entry(reference.to_owned()).or_default().push((name.to_owned(), headers.clone()));
        } else if response.is_map() {
            self.headers(response, headers);
        } else {
            self.notes
                .push(format!("{name}: the response {status} is written elsewhere: its headers are not described"));
        }
    }

    fn headers(&mut self, response: &Node, headers: &[(String, New)]) {
        let known = response.member("headers").map(|member| Rc::clone(&member.node));
        match &known {
            Some(known) if known.is_map() => {
                for (name, header) in headers {
                    let there = known.members().iter().find(|member| member.key.eq_ignore_ascii_case(name));
                    match there {
                        None => {
                            self.need(header);
                            self.editor.add(known, name, header);
                        }
                        Some(member) if is_ours(&member.node) => self.update(known, &member.key, header),
                        Some(_) => {}
                    }
                }
            }
            // An alias, or nothing.
            Some(known) if !known.is_null() => {}
            other => {
                headers.iter().for_each(|(_, header)| self.need(header));
                let all = New::map(headers.iter().cloned());
                match other {
                    Some(null) => headers.iter().for_each(|(name, header)| self.editor.add(null, name, header)),
                    None => self.editor.add(response, "headers", &all),
                }
            }
        }
    }

    /// A header that was made here before, and says something else now.
    fn update(&mut self, headers: &Node, name: &str, header: &New) {
        self.need(header);
        if let Some(member) = headers.member(name)
            && !self.says(&member.node, header)
        {
            self.editor.replace(headers, name, header);
        }
    }

    /// 304 and 412, where they are missing.
    fn answers(&mut self, name: &str, operation: &Operation, plan: &Plan) {
        let wanted =
            [(plan.validates, "304", "LarderNotModified"), (plan.preconditions, "412", "LarderPreconditionFailed")];
        let Some(responses) = operation.node.member("responses").map(|member| Rc::clone(&member.node)) else { return };
        for (_, status, component) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
            if !responses.is_map() && !responses.is_null() {
                self.notes.push(format!("{name}: its responses are written elsewhere: {status} is not described"));
            } else if responses.member(status).is_none() {
                self.editor.add(&responses, status, &shared("responses", component));
                self.needed.insert(("responses", component));
            } else {
                // It is there, by our hand or another's.
                self.keep("responses", component, responses.member(status).map(|member| &member.node));
            }
        }
    }

    fn parameters(&mut self, operation: &Operation) {
        let known = self.api.parameters(operation);
        let wanted = [("If-None-Match", "LarderIfNoneMatch"), ("If-Modified-Since", "LarderIfModifiedSince")];
        let missing: Vec<&'static str> = wanted
            .into_iter()
            .filter(|(name, _)| {
                !known.iter().any(|(place, known)| place == "header" && known.eq_ignore_ascii_case(name))
            })
            .map(|(_, component)| component)
            .collect();
        for (_, component) in wanted {
            let reference = format!("#/components/parameters/{component}");
            let list = operation.node.member("parameters").map(|member| Rc::clone(&member.node));
            let refers = list
                .iter()
                .flat_map(|list| list.items())
                .any(|item| item.member("$ref").and_then(|member| member.node.text()) == Some(reference.as_str()));
            if refers || missing.contains(&component) {
                self.needed.insert(("parameters", component));
            }
        }
        let refer = |component: &&str| shared("parameters", component);
        match operation.node.member("parameters").map(|member| Rc::clone(&member.node)) {
            None if missing.is_empty() => {}
            None => self.editor.add(&operation.node, "parameters", &New::List(missing.iter().map(refer).collect())),
            Some(list) => missing.iter().for_each(|component| self.editor.push(&list, &refer(component))),
        }
    }

    /// Components that several operations refer to get headers where all agree on them.
    fn shared_responses(&mut self) {
        for (reference, uses) in std::mem::take(&mut self.referred) {
            let response = self.api.tree.pointed(&reference).map(Rc::clone);
            let agree = uses.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
            match (response, uses.first()) {
                (Some(response), Some((_, headers)))
                    if agree && response.member("$ref").is_none() && response.is_map() =>
                {
                    self.headers(&response, headers);
                }
                (None, _) => {
                    self.notes.push(format!("{reference} is in another document: its headers are not described"))
                }
                _ => {
                    let names: Vec<&str> = uses.iter().take(3).map(|(name, _)| name.as_str()).collect();
                    let more = if uses.len() > 3 { " and others" } else { "" };
                    self.notes.push(format!(
                        "{reference} is shared by operations that are cached in different ways ({}{more}): its headers are not described",
                        names.join(", ")
                    ));
                }
            }
        }
    }

    /// Notes the component that a new value refers to.
    fn need(&mut self, value: &New) {
        let New::Map(members) = value else { return };
        if let [(key, New::Text(reference))] = members.as_slice()
            && key == "$ref"
        {
            let found = COMPONENTS.iter().find(|(kind, name)| reference == &format!("#/components/{kind}/{name}"));
            self.needed.extend(found.copied());
        }
    }

    /// A component that something refers to already stays up to date.
    fn keep(&mut self, kind: &'static str, component: &'static str, user: Option<&Rc<Node>>) {
        let reference = format!("#/components/{kind}/{component}");
        if user.and_then(|node| node.member("$ref")).and_then(|member| member.node.text()) == Some(reference.as_str()) {
            self.needed.insert((kind, component));
        }
    }

    fn components(&mut self) {
        // 304 and 412 have headers that are components, too.
        if self.needed.iter().any(|(kind, _)| *kind == "responses") {
            self.needed.extend([("headers", "LarderCacheStatus"), ("headers", "LarderETag")]);
        }
        if self.needed.is_empty() {
            return;
        }
        let root = Rc::clone(&self.api.tree.root);
        let mut by_kind: BTreeMap<&str, Vec<(String, New)>> = BTreeMap::new();
        for (kind, name) in &self.needed {
            by_kind.entry(kind).or_default().push(((*name).to_owned(), component(name)));
        }
        let Some(components) = root.member("components").map(|member| Rc::clone(&member.node)) else {
            let all = by_kind.into_iter().map(|(kind, members)| (kind, New::map(members)));
            return self.editor.add(&root, "components", &New::map(all));
        };
        for (kind, members) in by_kind {
            match components.member(kind).map(|member| Rc::clone(&member.node)) {
                None => self.editor.add(&components, kind, &New::map(members)),
                Some(known) => {
                    for (name, value) in members {
                        match known.member(&name) {
                            None => self.editor.add(&known, &name, &value),
                            Some(member) if self.says(&member.node, &value) => {}
                            Some(_) => self.editor.replace(&known, &name, &value),
                        }
                    }
                }
            }
        }
    }

    /// Sets a member that is ours alone.
    fn set(&mut self, map: &Node, key: &str, value: &New) {
        match map.member(key) {
            None => self.editor.add(map, key, value),
            Some(member) if self.says(&member.node, value) => {}
            Some(_) => self.editor.replace(map, key, value),
        }
    }

    /// Whether a value that is there says the same as a new one.
    fn says(&self, node: &Rc<Node>, value: &New) -> bool {
        let node = self.api.tree.resolved(node);
        match value {
            New::Map(members) => {
                node.is_map()
                    && node.members().len() == members.len()
                    && members
                        .iter()
                        .all(|(key, value)| node.member(key).is_some_and(|member| self.says(&member.node, value)))
            }
            New::List(items) => {
                node.text().is_none()
                    && node.items().len() == items.len()
                    && items.iter().zip(node.items()).all(|(value, node)| self.says(node, value))
            }
            New::Text(text) => node.text() == Some(text),
            New::Number(number) => node.text() == Some(&number.to_string()),
            New::Bool(value) => node.text() == Some(&value.to_string()),
            New::Null => node.is_null(),
        }
    }
}

/// Whether a header was written here before.
fn is_ours(header: &Node) -> bool {
    let refers = header
        .member("$ref")
        .and_then(|member| member.node.text())
        .is_some_and(|to| to.starts_with("#/components/headers/Larder"));
    let described = header.member("description").and_then(|member| member.node.text());
    refers || described == Some("How long the response may be kept by clients and by other caches.")
}

/// Whether the policy keeps errors of this status.
fn is_kept(plan: &Plan, status: &str) -> bool {
    let number = status.parse::<u16>().ok();
    let hundred = status.strip_suffix("XX").and_then(|digit| digit.parse::<u8>().ok());
    let matches = |pattern: &StatusPattern| match (number, hundred, pattern) {
        (Some(number), _, pattern) => pattern.matches(number),
        (_, Some(hundred), StatusPattern::Class(class)) => hundred == *class,
        _ => false,
    };
    let ttl = plan.rules.status_ttl.iter().find(|(pattern, _)| matches(pattern)).map(|(_, ttl)| *ttl);
    !plan.error_headers.is_empty() && ttl.is_some_and(|ttl| ttl != Ttl::Never)
}

/// All components that additions may refer to.
const COMPONENTS: [(&str, &str); 7] = [
    ("headers", "LarderAge"),
    ("headers", "LarderCacheStatus"),
    ("headers", "LarderETag"),
    ("parameters", "LarderIfModifiedSince"),
    ("parameters", "LarderIfNoneMatch"),
    ("responses", "LarderNotModified"),
    ("responses", "LarderPreconditionFailed"),
];

fn component(name: &str) -> New {
    let text = |text: &str| New::text(text);
    let header = |description: &str, of: &str, example: New| {
        New::map([("description", text(description)), ("schema", New::map([("type", text(of))])), ("example", example)])
    };
    let parameter = |name: &str, description: &str, example: &str| {
        New::map([
            ("name", text(name)),
            ("in", text("header")),
            ("description", text(description)),
            ("schema", New::map([("type", text("string"))])),
            ("example", text(example)),
        ])
    };
    let status = ("Cache-Status", shared("headers", "LarderCacheStatus"));
    match name {
        "LarderAge" => header(
            "For how many seconds the response has been kept by a cache (RFC 9111 5.1). Only where it comes from one.",
            "integer",
            New::Number(12),
        ),
        "LarderCacheStatus" => {
            header("What the cache did with the request (RFC 9211).", "string", text("Larder; hit; ttl=48"))
        }
        "LarderETag" => header(
            "Names this very content (RFC 9110 8.8.3). Sent in If-None-Match it gets 304 while nothing has changed.",
            "string",
            text("\"vZE_9oJD1BuWEbJpDfvysA\""),
        ),
        "LarderIfModifiedSince" => parameter(
            "If-Modified-Since",
            "The Last-Modified of what the client has: 304 while nothing has changed since (RFC 9110 13.1.3).",
            "Thu, 01 Jan 2026 00:00:00 GMT",
        ),
        "LarderIfNoneMatch" => parameter(
            "If-None-Match",
            "The ETag of what the client has: 304 while it is still good (RFC 9110 13.1.2).",
            "\"vZE_9oJD1BuWEbJpDfvysA\"",
        ),
        "LarderNotModified" => New::map([
            ("description", text("What the client has is still good (RFC 9110 15.4.5).")),
            ("headers", New::map([("ETag", shared("headers", "LarderETag")), status])),
        ]),
        _ => New::map([
            ("description", text("A precondition, If-Match or If-Unmodified-Since, does not hold (RFC 9110 15.5.13).")),
            ("headers", New::map([status])),
        ]),
    }
}
