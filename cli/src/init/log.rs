//! A draft from an access log.

use std::collections::BTreeSet;

use super::guess::{self, Guess};
use super::write::{Draft, RouteDraft, path, route_name};
use crate::input::Source;
use crate::traffic::{self, Endpoint, Endpoints};

/// Endpoints that get a route, those asked for most.
const ROUTES_MAX: usize = 200;

/// Drafts.
pub fn draft(source: &Source) -> anyhow::Result<Draft> {
    let mut endpoints = Endpoints::default();
    let read = traffic::read(source, |entry| endpoints.add(&entry))?;
    if read.requests == 0 {
        anyhow::bail!("{source} has no request in it that is understood ({} lines are not)", read.unread);
    }
    let mut draft = Draft {
        description: format!(
            "A first policy, made from {} requests of an access log. Everything in it is a guess: read the comments, and change what is wrong.",
            read.requests
        ),
        ..Draft::default()
    };
    if read.unread > 0 {
        draft.notes.push(format!("{} lines of {source} are not understood", read.unread));
    }
    if endpoints.lumped > 0 {
        draft
            .notes
            .push(format!("{} requests are to more paths than are told apart: they are left out", endpoints.lumped));
    }
    let list = endpoints.list();
    // What was never answered well is no endpoint: scanners ask for much.
    let list: Vec<&Endpoint> =
        list.iter().filter(|endpoint| endpoint.seen.statuses.keys().any(|status| *status < 400)).collect();
    if list.len() > ROUTES_MAX {
        draft
            .notes
            .push(format!("{} endpoints are asked for less than others, and are left out", list.len() - ROUTES_MAX));
    }
    for endpoint in list.into_iter().take(ROUTES_MAX) {
        match path(&endpoint.template) {
            Some(path) => draft.add(route(endpoint, path)),
            None => draft.notes.push(format!("{} is a path that no policy takes: it is left out", endpoint.template)),
        }
    }
    Ok(draft)
}

fn route(endpoint: &Endpoint, path: String) -> RouteDraft {
    let seen = &endpoint.seen;
    let mut guess = guess::by_path(&path);
    if !matches!(guess.class, "never" | "personal") {
        if seen.refused > 0 {
            guess = Guess { class: "personal", why: "some who asked were refused" };
        } else if seen.identified > 0 {
            guess = Guess { class: "personal", why: "some who asked were known by name" };
        } else if seen.cookies > 0 {
            guess = Guess { class: "personal", why: "some answers set cookies" };
        }
    }
    let reads = seen.by(&["GET", "HEAD"]);
    let mut remarks = Vec::new();
    if seen.answered > 0 {
        let urls = seen.urls().clamp(1, seen.answered);
        let most = (seen.answered - urls) * 100 / seen.answered;
        remarks.push(format!(
            "Seen: {reads} reads, {} URLs answered: {most} % of the answers at most could have come from a cache.",
            seen.urls()
        ));
    } else {
        remarks.push(format!("Seen: {} requests.", seen.requests()));
    }
    let tracking: Vec<&str> =
        seen.parameters.keys().map(String::as_str).filter(|name| guess::is_tracking(name)).collect();
    if !tracking.is_empty() {
        remarks.push(format!(
            "Analytics add {}: \"key\": {{\"query\": {{\"deny\": [...]}}}} keeps them out of the key.",
            tracking.join(", ")
        ));
    }
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    let methods: BTreeSet<String> =
        seen.methods.keys().filter(|method| known.contains(&method.as_str())).cloned().collect();
    RouteDraft { name: route_name(&path), path, guess, methods, query: None, languages: Vec::new(), remarks }
}
