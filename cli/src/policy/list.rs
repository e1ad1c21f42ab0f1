//! `larder policy list`: what was pushed, and which workers have it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::words::{ago, table, text};
use crate::End;
use crate::ask::{Nodes, at};
use crate::paint::{Paint, say};

/// Options of `larder policy list`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    nodes: Nodes,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let mut nodes = Vec::new();
    for asker in options.nodes.askers()? {
        let said = asker.read("/v1/policies", Duration::ZERO)?;
        nodes.push((asker.url, said));
    }
    if options.json {
        let nodes: Vec<Value> = nodes
            .into_iter()
            .map(|(node, said)| json!({ "node": node, "store": at(&said, "/store"), "policies": at(&said, "/policies") }))
            .collect();
        say(&format!("{}\n", json!({ "nodes": nodes })))?;
        return Ok(End::Done);
    }
    let (paint, is_one) = (Paint::of_stdout(), nodes.len() == 1);
    let mut lines = Vec::new();
    for (node, said) in &nodes {
        if !is_one {
            lines.push(format!("{node}:"));
        }
        let policies = at(said, "/policies").as_array().map(Vec::as_slice).unwrap_or_default();
        if policies.is_empty() {
            lines.push("nothing was pushed, and no worker takes up policies here".to_owned());
            continue;
        }
        let heading =
            ["policy", "in force", "pushed", "by", "shadow", "workers", "comment"].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = [heading].into_iter().chain(policies.iter().map(row)).collect();
        let mut shown = table(&rows);
        if let Some(heading) = shown.first_mut() {
            *heading = paint.strong(heading);
        }
        lines.extend(shown);
    }
    say(&(lines.join("\n") + "\n"))?;
    Ok(End::Done)
}

fn row(policy: &Value) -> Vec<String> {
    let active = at(policy, "/active");
    let (force, pushed, by) = match at(active, "/version").as_u64() {
        Some(version) => {
            (format!("version {version}"), ago(at(active, "/pushed_ms")), text(at(active, "/by")).to_owned())
        }
        None => ("as configured".to_owned(), "-".to_owned(), "-".to_owned()),
    };
    let shadow = at(policy, "/shadow/version").as_u64();
    vec![
        text(at(policy, "/name")).to_owned(),
        force,
        pushed,
        by,
        shadow.map_or_else(|| "-".to_owned(), |shadow| format!("version {shadow}")),
        workers(policy),
        text(at(active, "/comment")).to_owned(),
    ]
}

/// `3 of 4 have it, 1 refused`; `none` where no worker takes it up.
pub fn workers(policy: &Value) -> String {
    let [current, behind, refused, silent] = ["current", "behind", "refused", "silent"]
        .map(|state| at(policy, &format!("/workers/{state}")).as_u64().unwrap_or_default());
    if at(policy, "/damaged").as_bool() == Some(true) {
        return "told nothing: what is stored is damaged, push it again".to_owned();
    }
    let mut said = match current + behind + refused {
        0 => "none".to_owned(),
        heard => format!("{current} of {heard} have it"),
    };
    for (number, word) in [(refused, "refused"), (silent, "silent")] {
        if number > 0 {
            said.push_str(&format!(", {number} {word}"));
        }
    }
    said
}
