//! A draft of a policy, and its text.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::guess::{self, Guess};

/// A policy in the making.
#[derive(Debug, Default)]
pub struct Draft {
    /// Where it comes from.
    pub description: String,
    pub routes: Vec<RouteDraft>,
    /// What could not be made a route, and why.
    pub notes: Vec<String>,
}

/// A route in the making.
#[derive(Clone, Debug)]
pub struct RouteDraft {
    pub name: String,
    /// A path that a policy takes.
    pub path: String,
    pub guess: Guess,
    /// Upper case.
    pub methods: BTreeSet<String>,
    /// Query parameters that are known, where all are.
    pub query: Option<Vec<String>>,
    pub languages: Vec<String>,
    /// More about it.
    pub remarks: Vec<String>,
}

#[derive(Serialize)]
struct Policy<'a> {
    version: u32,
    name: &'a str,
    description: &'a str,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Route {
    name: String,
    path: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    comment: String,
    #[serde(skip_serializing_if = "Key::is_empty")]
    key: Key,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Invalidate::is_empty")]
    invalidate: Invalidate,
}

#[derive(Default, Serialize)]
struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accept_language: Vec<String>,
}

impl Key {
    fn is_empty(&self) -> bool {
        self.query.is_none() && self.accept_language.is_empty()
    }
}

#[derive(Default, Serialize)]
struct Invalidate {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

impl Invalidate {
    fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
}

const UNSAFE: [&str; 4] = ["DELETE", "PATCH", "POST", "PUT"];

impl Draft {
    /// Adds a route, or more methods to one of the same path.
    pub fn add(&mut self, route: RouteDraft) {
        let shape = shape(&route.path);
        match self.routes.iter_mut().find(|known| self::shape(&known.path) == shape) {
            Some(known) => known.methods.extend(route.methods),
            None => self.routes.push(route),
        }
    }

    /// The policy, as JSON.
    pub fn text(&self, name: &str) -> anyhow::Result<String> {
        let stores = |route: &RouteDraft| !matches!(route.guess.class, "never" | "personal") && reads(route);
        let given: BTreeSet<String> =
            self.routes.iter().filter(|route| stores(route)).filter_map(|route| guess::tag(&route.path)).collect();
        let shapes: BTreeSet<String> = given.iter().map(|tag| shape(tag)).collect();
        let mut names = BTreeMap::new();
        let routes: Vec<Route> =
            self.routes.iter().filter_map(|draft| route(draft, stores(draft), &shapes, &mut names)).collect();
        let policy = Policy { version: 1, name, description: &self.description, routes };
        Ok(serde_json::to_string_pretty(&policy)? + "\n")
    }
}

fn reads(route: &RouteDraft) -> bool {
    route.methods.iter().any(|method| matches!(method.as_str(), "GET" | "HEAD"))
}

/// `None` where there is nothing to say: writes that invalidate nothing.
fn route(
    draft: &RouteDraft,
    stores: bool,
    given: &BTreeSet<String>,
    names: &mut BTreeMap<String, usize>,
) -> Option<Route> {
    let writes = draft.methods.iter().any(|method| UNSAFE.contains(&method.as_str()));
    let tag = guess::tag(&draft.path);
    let mut invalidated: Vec<String> = Vec::new();
    if writes && let Some(tag) = &tag {
        invalidated.push(tag.clone());
        invalidated.extend(guess::list_of(tag).map(str::to_owned));
        invalidated.retain(|tag| given.contains(&shape(tag)));
    }
    if !reads(draft) && invalidated.is_empty() {
        return None;
    }
    let mut comment = vec![match reads(draft) {
        true => format!("Guessed: {}, since {}.", guess::meaning(draft.guess.class), draft.guess.why),
        false => "Guessed: what it writes shows in what carries these tags.".to_owned(),
    }];
    if reads(draft) && !invalidated.is_empty() {
        comment.push("Guessed: a write shows in what carries the same tags.".to_owned());
    }
    if stores && draft.query.is_some() {
        comment.push("Query parameters that the document does not name are dropped.".to_owned());
    }
    comment.extend(draft.remarks.iter().cloned());
    let count = names.entry(draft.name.clone()).or_default();
    *count += 1;
    let name = if *count > 1 { format!("{}-{count}", draft.name) } else { draft.name.clone() };
    let key = if stores {
        Key {
            query: draft.query.as_ref().map(|names| match names.as_slice() {
                [] => "none".into(),
                names => serde_json::json!({ "allow": names }),
            }),
            accept_language: draft.languages.clone(),
        }
    } else {
        Key::default()
    };
    // A route for reads alone says so; one for both takes all methods, those included that nobody has seen yet.
    let methods = match (reads(draft), writes) {
        (true, false) => vec!["GET".to_owned()],
        (false, _) => draft.methods.iter().cloned().collect(),
        _ => Vec::new(),
    };
    Some(Route {
        name,
        path: draft.path.clone(),
        methods,
        class: reads(draft).then_some(draft.guess.class),
        comment: comment.join(" "),
        key,
        tags: tag.filter(|_| stores).into_iter().collect(),
        invalidate: Invalidate { tags: invalidated },
    })
}

/// A template without the names of its parameters.
fn shape(template: &str) -> String {
    let mut shape = String::new();
    let mut rest = template;
    while let Some((before, braced)) = rest.split_once('{') {
        shape.push_str(before);
        shape.push_str("{}");
        rest = braced.split_once('}').map_or("", |(_, after)| after);
    }
    shape + rest
}

/// A path template as policies take it; `None` where they cannot. A segment that is partly a parameter becomes one as a whole.
pub fn path(template: &str) -> Option<String> {
    let mut used: Vec<String> = Vec::new();
    let mut segments = Vec::new();
    for segment in template.split('/').filter(|segment| !segment.is_empty()) {
        let Some((_, braced)) = segment.split_once('{') else {
            let plain = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte));
            if !plain || matches!(segment, "." | "..") || segment.starts_with(':') {
                return None;
            }
            segments.push(segment.to_owned());
            continue;
        };
        let name = braced.split('}').next().unwrap_or_default();
        let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        while used.contains(&name) {
            name.push('_');
        }
        segments.push(format!("{{{name}}}"));
        used.push(name);
    }
    (segments.len() <= 32).then(|| format!("/{}", segments.join("/")))
}

/// A name for a route.
pub fn route_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().filter(|c| !matches!(c, '{' | '}' | '*')) {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_matches(|c| matches!(c, '-' | '_'));
    // Room for a number where another has the same name.
    let cut: String = name.chars().take(56).collect();
    if cut.is_empty() { "root".to_owned() } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_made_as_policies_take_them() {
        for (template, want) in [
            ("/a/{id}", Some("/a/{id}")),
            ("/a/{file}.json/", Some("/a/{file}")),
            ("/a/{x-y}/{x.y}", Some("/a/{x_y}/{x_y_}")),
            ("/", Some("/")),
            ("/a;b", None),
            ("/a/../b", None),
        ] {
            assert_eq!(path(template).as_deref(), want, "{template}");
        }
        assert_eq!(route_name("/v1/products/{id}"), "v1-products-id");
        assert_eq!(route_name("get Item.By(ID)"), "get-Item-By-ID");
        assert_eq!(route_name("///"), "root");
    }
}
