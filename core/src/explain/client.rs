//! The steps about what the client is told: told from what the exchange sent, beside what the origin said.

use super::case::Case;
use super::run::{Ended, Ran};
use super::{Because, Question, Step, Went, said, setting};
use crate::purge::Scope;

pub(super) fn steps(question: &Question<'_>, case: &Case, ran: &Ran, steps: &mut Vec<Step>) {
    let Some(sent) = &ran.sent else { return };
    let of = |name: &'static str| setting(question.policy, &case.rules, name);
    let origin = &case.response.fields;
    if matches!(ran.verdict, Ended::Answered(_)) {
        return;
    }
    if sent.status != case.response.status {
        let text = format!("the client has this already: {} instead of {}", sent.status, case.response.status);
        steps.push(Step::new("precondition", Went::Told, text, vec![Because::Rfc("RFC 9110 13.2.2")]));
    }
    let (before, after) = (said(origin, "cache-control"), said(&sent.fields, "cache-control"));
    if before != after {
        let from = before.map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""));
        let text =
            format!("the client gets \"Cache-Control: {}\", where the origin said {from}", after.unwrap_or_default());
        steps.push(Step::new("client", Went::Told, text, vec![of("client.cache_control")]));
    }
    if !origin.has("etag")
        && let Some(tag) = said(&sent.fields, "etag")
    {
        let text = format!("ETag {tag} is made from the body: clients revalidate with it");
        steps.push(Step::new("etag", Went::Told, text, vec![of("etag"), Because::Rfc("RFC 9110 8.8.3")]));
    }
    if !origin.has("last-modified") && sent.fields.has("last-modified") {
        steps.push(Step::new(
            "last-modified",
            Went::Told,
            "Last-Modified is the time of storing",
            vec![of("last_modified")],
        ));
    }
    let removed: Vec<&str> = case
        .rules
        .client
        .remove
        .iter()
        .map(String::as_str)
        .filter(|name| origin.has(name) && !sent.fields.has(name))
        .collect();
    if !removed.is_empty() && sent.status == case.response.status {
        let text = format!("taken out: {}", removed.join(", "));
        steps.push(Step::new("removed", Went::Told, text, vec![of("client.remove")]));
    }
    if !ran.purges.is_empty() {
        let purged: Vec<String> = ran.purges.iter().map(|(scope, _)| purged(scope)).collect();
        let mut because = vec![Because::Rfc("RFC 9111 4.4")];
        if ran.purges.iter().any(|(scope, _)| !matches!(scope, Scope::Url(_))) {
            because.push(of("invalidate"));
        }
        steps.push(Step::new("invalidate", Went::Told, format!("invalidated: {}", purged.join(", ")), because));
    }
}

fn purged(scope: &Scope) -> String {
    match scope {
        Scope::Url(url) => url.clone(),
        Scope::Tag(tag) => format!("tag {tag}"),
        Scope::Prefix(url) => format!("{url}*"),
        Scope::All => "everything".to_owned(),
    }
}
