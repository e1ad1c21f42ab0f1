//! What changes something: a push, a rollback, a withdrawal, the end of a shadow.
//!
//! Of several nodes, each is asked for the change, but for those that have it from another one already, since they share it.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::delivery::{Delivery, Waits};
use super::words::{self, text, version};
use crate::End;
use crate::ask::{Asker, Nodes, Refused, at};
use crate::input::{self, Source};
use crate::paint::{Paint, say};

/// Options of `larder policy push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The policy; - is standard input
    #[arg(value_name = "FILE")]
    file: Source,

    /// What to say about this version
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,

    /// Only if this version is in force (in the shadow, with --shadow); 0 is none
    #[arg(long, value_name = "VERSION")]
    base: Option<u64>,

    /// Run it in the shadow of what is in force: evaluated and reported on, without effect
    #[arg(long)]
    shadow: bool,

    #[command(flatten)]
    on: On,
}

/// Options of `larder policy rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The policy's name
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    /// The version to go back to [default: the one that was in force before]
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,

    #[command(flatten)]
    on: On,
}

/// Options of `larder policy withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// The policy's name
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    #[command(flatten)]
    on: On,
}

/// Where, and how to say what came of it.
#[derive(Clone, Debug, Args)]
pub struct On {
    #[command(flatten)]
    pub nodes: Nodes,

    #[command(flatten)]
    waits: Waits,

    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}

/// What is to be changed.
pub enum Wanted<'a> {
    Push { file: &'a Source, comment: &'a str, base: Option<u64>, shadow: bool },
    Rollback { name: &'a str, to: Option<u64> },
    Promote { name: &'a str },
    StopShadow { name: &'a str },
    Withdraw { name: &'a str },
}

/// Pushes.
pub fn push(options: &Push) -> anyhow::Result<End> {
    let Push { file, comment, base, shadow, on } = options;
    change(&Wanted::Push { file, comment, base: *base, shadow: *shadow }, on)
}

/// Rolls back.
pub fn rollback(options: &Rollback) -> anyhow::Result<End> {
    change(&Wanted::Rollback { name: &options.name, to: options.to }, &options.on)
}

/// Withdraws.
pub fn withdraw(options: &Withdraw) -> anyhow::Result<End> {
    change(&Wanted::Withdraw { name: &options.name }, &options.on)
}

/// What came of it at one node.
struct Outcome {
    node: String,
    changed: Value,
    delivery: Option<Delivery>,
}

/// Changes, waits, and says what came of it.
pub fn change(wanted: &Wanted<'_>, on: &On) -> anyhow::Result<End> {
    let text = match wanted {
        Wanted::Push { file, .. } => Some(input::read(file)?),
        _ => None,
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut first: Option<Value> = None;
    for asker in on.nodes.askers()? {
        let shared = first.as_ref().filter(|changed| has(&asker, changed));
        let changed = match shared {
            Some(changed) => changed.clone(),
            None => match wanted.ask(&asker, text.as_deref()) {
                Ok(changed) => changed,
                Err(error) => return not_done(wanted, error, on.json),
            },
        };
        first.get_or_insert_with(|| changed.clone());
        outcomes.push(Outcome { node: asker.url.clone(), changed, delivery: None });
    }
    // Everywhere first: no node's workers wait for those of another.
    for (asker, outcome) in on.nodes.askers()?.iter().zip(&mut outcomes) {
        let generation = at(&outcome.changed, "/generation").as_u64().unwrap_or_default();
        let name = text_of(&outcome.changed, "/name");
        outcome.delivery = on.waits.until_delivered(asker, &name, generation, !on.json)?;
    }
    let all = outcomes.iter().all(Outcome::is_delivered);
    if on.json {
        let waited = outcomes.iter().any(|outcome| outcome.delivery.is_some());
        let delivered = if waited { all.into() } else { Value::Null };
        let nodes: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
        say(&format!("{}\n", json!({ "delivered": delivered, "nodes": nodes })))?;
    } else {
        say(&said(wanted, &outcomes, Paint::of_stdout()))?;
    }
    Ok(if all { End::Done } else { End::Failed })
}

/// Whether a node has a change already: it shares policies with the one that was asked.
fn has(asker: &Asker, changed: &Value) -> bool {
    let (name, generation) = (text_of(changed, "/name"), at(changed, "/generation"));
    asker.read(&format!("/v1/policies/{name}/delivery?generation={generation}"), std::time::Duration::ZERO).is_ok()
}

impl Wanted<'_> {
    fn ask(&self, asker: &Asker, text: Option<&str>) -> anyhow::Result<Value> {
        match self {
            Self::Push { comment, base, shadow, .. } => {
                let mut query = vec![format!("comment={}", escaped(comment))];
                query.extend(base.map(|base| format!("base={base}")));
                query.extend(shadow.then(|| "shadow=true".to_owned()));
                asker.send_text(&format!("/v1/policies?{}", query.join("&")), text.unwrap_or_default())
            }
            Self::Rollback { name, to } => {
                let body = to.map_or_else(|| json!({}), |to| json!({ "to": to }));
                asker.send(&format!("/v1/policies/{name}/rollback"), &body)
            }
            Self::Promote { name } => asker.send(&format!("/v1/policies/{name}/promote"), &json!({})),
            Self::StopShadow { name } => asker.delete(&format!("/v1/policies/{name}/shadow")),
            Self::Withdraw { name } => asker.delete(&format!("/v1/policies/{name}")),
        }
    }

    /// `version 3 is in force`
    fn done(&self, changed: &Value) -> String {
        let version = version(at(changed, "/version"));
        let so = if at(changed, "/unchanged").as_bool() == Some(true) { " already" } else { "" };
        match self {
            Self::Push { shadow: true, .. } => format!("{version} is in the shadow{so}"),
            Self::Push { .. } => format!("{version} is in force{so}"),
            Self::Rollback { .. } => {
                format!("{version} is in force {}", if so.is_empty() { "again" } else { "already" })
            }
            Self::Promote { .. } => format!("{version} is in force, and nothing is in the shadow any more"),
            Self::StopShadow { .. } => "nothing is in the shadow any more".to_owned(),
            Self::Withdraw { .. } => format!("withdrawn{so}: workers run what they were configured with"),
        }
    }
}

impl Outcome {
    fn is_delivered(&self) -> bool {
        self.delivery.as_ref().is_none_or(Delivery::is_delivered)
    }

    fn json(&self) -> Value {
        json!({ "node": self.node, "changed": self.changed, "delivery": self.delivery.as_ref().map(|delivery| &delivery.said) })
    }
}

fn said(wanted: &Wanted<'_>, outcomes: &[Outcome], paint: Paint) -> String {
    let mut said = String::new();
    let mut warned: Vec<&Value> = Vec::new();
    for Outcome { node, changed, delivery } in outcomes {
        let _ = writeln!(said, "{node}: {}: {}", text(at(changed, "/name")), wanted.done(changed));
        for line in delivery.iter().flat_map(|delivery| delivery.lines(paint)) {
            let _ = writeln!(said, "  {line}");
        }
        let warnings = at(changed, "/warnings");
        if !warned.contains(&warnings) {
            warned.push(warnings);
        }
    }
    for warning in warned.into_iter().filter_map(Value::as_array).flatten() {
        let _ = writeln!(said, "{}: {}", text(at(warning, "/severity")), text(at(warning, "/text")));
    }
    said
}

/// A policy with errors is shown with all of them.
fn not_done(wanted: &Wanted<'_>, error: anyhow::Error, json: bool) -> anyhow::Result<End> {
    let refused = error.downcast_ref::<Refused>();
    let errors = refused.and_then(|refused| at(&refused.problem, "/errors").as_array());
    let (Wanted::Push { file, .. }, Some(refused), Some(errors)) = (wanted, refused, errors) else {
        return Err(error);
    };
    if json {
        say(&format!("{}\n", json!({ "delivered": false, "refused": refused.problem })))?;
        return Ok(End::Failed);
    }
    for error in errors {
        eprintln!("{file}:{}", text(at(error, "/text")));
    }
    if let Some(more @ 1..) = at(&refused.problem, "/left_out").as_u64() {
        eprintln!("{file}: and {more} more");
    }
    eprintln!("larder: {} refuses the policy; what is in force stays in force", refused.url);
    Ok(End::Failed)
}

fn text_of(value: &Value, place: &str) -> String {
    text(at(value, place)).to_owned()
}

/// As a value in a query.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
