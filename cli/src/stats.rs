//! `larder stats`: what the cluster does, now or as it goes on.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::End;
use crate::ask::{Asker, Nodes, at};
use crate::paint::{Paint, say};
use crate::ratio::{Ratio, Ratios};

/// How often `--watch` asks.
const EVERY: Duration = Duration::from_secs(1);

/// Options of `larder stats`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    nodes: Nodes,

    /// Go on, once a second
    #[arg(long)]
    watch: bool,

    /// Print JSON: a line each time
    #[arg(long)]
    json: bool,
}

/// Shows.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let askers = options.nodes.askers()?;
    let paint = Paint::of_stdout();
    loop {
        let nodes = askers.iter().map(asked).collect::<anyhow::Result<Vec<Value>>>()?;
        let mut ratios = Ratios::default();
        nodes.iter().for_each(|node| ratios.add(at(node, "/reported/counts")));
        if options.json {
            say(&format!("{}\n", json!({ "hit_ratio": ratios, "nodes": nodes })))?;
        } else {
            let anew = if options.watch && paint.is_on() { "\x1b[2J\x1b[H" } else { "" };
            say(&format!("{anew}{}", lines(&ratios, &nodes, paint).join("\n") + "\n"))?;
        }
        if !options.watch {
            return Ok(End::Done);
        }
        std::thread::sleep(EVERY);
    }
}

fn asked(asker: &Asker) -> anyhow::Result<Value> {
    let mut stats = asker.read("/v1/stats", Duration::ZERO)?;
    if let Some(stats) = stats.as_object_mut() {
        stats.insert("node".into(), asker.url.clone().into());
    }
    Ok(stats)
}

fn lines(ratios: &Ratios, nodes: &[Value], paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.strong(&format!("{:<40} {:>10} {:>8} {:>10}", "route", "requests", "hits", "bypassed"))];
    lines.extend(ratios.routes.iter().map(|(route, ratio)| ratio_line(route, *ratio)));
    lines.push(ratio_line("all", ratios.all));
    for node in nodes {
        lines.push(String::new());
        lines.extend(node_lines(node, paint));
    }
    lines
}

fn node_lines(node: &Value, paint: Paint) -> Vec<String> {
    let store = at(node, "/store");
    let mut lines = vec![format!("{} {}", paint.strong(text(at(node, "/node"))), text(at(node, "/version")))];
    for (what, bytes, max) in
        [("memory", "/memory_bytes", "/memory_bytes_max"), ("disk", "/disk_bytes", "/disk_bytes_max")]
    {
        if let (Some(bytes), Some(max)) = (at(store, bytes).as_u64(), at(store, max).as_u64()) {
            lines.push(format!("  store {} {what}: {} of {}", text(at(store, "/kind")), size(bytes), size(max)));
        }
    }
    let lookups = at(node, "/counts/lookups").as_object().into_iter().flatten();
    let lookups = lookups.filter(|(_, number)| number.as_u64() != Some(0));
    let lookups: Vec<String> = lookups.map(|(outcome, number)| format!("{outcome} {number}")).collect();
    lines.push(format!("  look-ups: {}", lookups.join(", ")));
    let newest = at(node, "/log/sequence").as_u64().unwrap_or_default();
    lines.push(format!("  purge log {}, newest purge {newest}", text(at(node, "/log/kind"))));
    for worker in at(node, "/workers").as_array().into_iter().flatten() {
        let behind = match at(worker, "/log") == at(node, "/log/id") {
            true => newest.saturating_sub(at(worker, "/sequence").as_u64().unwrap_or_default()),
            false => newest,
        };
        let silent = at(worker, "/silent").as_bool() == Some(true);
        let state = if silent { "silent" } else { "heard" };
        let line = format!("{behind} purges behind, {state} {} ms ago", at(worker, "/heard_ms_ago"));
        let line = if behind == 0 && !silent { paint.good(&line) } else { paint.bad(&line) };
        lines.push(format!("  worker {}: {line}", text(at(worker, "/name"))));
    }
    lines
}

fn ratio_line(route: &str, ratio: Ratio) -> String {
    let percent = ratio.percent().map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}%"));
    format!("{route:<40} {:>10} {percent:>8} {:>10}", ratio.requests, ratio.bypassed)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
