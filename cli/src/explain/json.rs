//! An explanation for programs.

use larder_core::Fields;
use larder_core::exchange::Edit;
use larder_core::explain::{Again, Because, Explanation, Question, Sent, Step, StoredKey, Verdict, Way, Went, Who};
use larder_core::purge::{Mode, Scope};
use serde_json::{Value, json};

use super::show;

/// One document.
pub fn text(question: &Question<'_>, told: &Explanation, assumed: bool) -> anyhow::Result<String> {
    let request = &question.request;
    let document = json!({
        "request": { "method": request.method, "url": format!("{}://{}{}", request.scheme, request.authority, request.target) },
        "response": { "status": question.response.status, "assumed": assumed },
        "route": told.route,
        "class": told.class,
        "verdict": verdict(&told.verdict),
        "steps": told.steps.iter().map(step).collect::<Vec<_>>(),
        "key": told.key.as_ref().map(key),
        "forwarded": told.forwarded.as_ref().map(|head| json!({
            "method": head.method, "target": head.target, "fields": fields(&head.fields),
        })),
        "sent": told.sent.as_ref().map(sent),
        "again": again(&told.again),
        "invalidated": told.purges.iter().map(purge).collect::<Vec<_>>(),
        "cached_if": told.ways.iter().map(way).collect::<Vec<_>>(),
        "agrees": told.agrees,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn verdict(verdict: &Verdict) -> Value {
    let text = show::verdict(verdict);
    match verdict {
        Verdict::Bypassed(reason) => json!({ "is": "bypassed", "reason": reason.as_str(), "text": text }),
        Verdict::NotStored(reason) => json!({ "is": "not-stored", "reason": reason.as_str(), "text": text }),
        Verdict::Answered(status) => json!({ "is": "answered", "status": status, "text": text }),
        Verdict::Stored(lifetime) => json!({
            "is": "stored",
            "text": text,
            "fresh_for": lifetime.fresh_for.get(),
            "stale_while_revalidate": lifetime.stale_while_revalidate.get(),
            "stale_if_error": lifetime.stale_if_error.get(),
            "always_validate": lifetime.always_validate,
        }),
        _ => Value::Null,
    }
}

fn step(step: &Step) -> Value {
    let went = match step.went {
        Went::On => "on",
        Went::Stop => "stop",
        Went::Told => "told",
    };
    json!({ "about": step.about, "went": went, "text": step.text, "because": step.because.iter().map(because).collect::<Vec<_>>() })
}

fn because(because: &Because) -> Value {
    let kind = match because {
        Because::Policy(_) => "policy",
        Because::Rfc(_) => "rfc",
        Because::Larder(_) => "larder",
    };
    json!({ kind: because.to_string() })
}

fn key(key: &StoredKey) -> Value {
    json!({
        "parts": key.parts.iter().map(|part| json!({ "name": part.name, "value": part.value })).collect::<Vec<_>>(),
        "name": key.name,
        "url": key.url,
        "vary": key.vary.iter().map(|(name, value)| json!({ "name": name, "value": value.as_deref().map(text_of) })).collect::<Vec<_>>(),
        "tags": key.tags,
    })
}

fn sent(sent: &Sent) -> Value {
    json!({ "status": sent.status, "fields": fields(&sent.fields) })
}

fn again(again: &Again) -> Value {
    match again {
        Again::FromCache(reply) => json!({ "from": "cache", "sent": sent(reply) }),
        Again::Origin(edits) => json!({ "from": "origin", "changes": edits.iter().map(edit).collect::<Vec<_>>() }),
        _ => Value::Null,
    }
}

fn edit(edit: &Edit) -> Value {
    match edit {
        Edit::Remove(name) => json!({ "remove": name.as_str() }),
        Edit::Set(name, value) => json!({ "set": name.as_str(), "value": text_of(value) }),
        Edit::Add(name, value) => json!({ "add": name.as_str(), "value": text_of(value) }),
        Edit::Target(target) => json!({ "target": target }),
        _ => json!({ "route": "anew" }),
    }
}

fn purge((scope, mode): &(Scope, Mode)) -> Value {
    let (kind, what) = match scope {
        Scope::Url(url) => ("url", url.as_str()),
        Scope::Tag(tag) => ("tag", tag.as_str()),
        Scope::Prefix(url) => ("prefix", url.as_str()),
        Scope::All => ("all", ""),
    };
    json!({ kind: what, "soft": *mode == Mode::Soft })
}

fn way(way: &Way) -> Value {
    let changes = way.0.iter().map(|change| {
        let who = match change.who {
            Who::Request => "request",
            Who::Response => "response",
            Who::Policy => "policy",
        };
        json!({ "who": who, "what": change.what })
    });
    changes.collect()
}

fn fields(fields: &Fields) -> Value {
    fields.iter().map(|line| json!([line.name.as_str(), text_of(&line.value)])).collect()
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
