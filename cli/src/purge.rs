//! `larder purge`: purges, then waits until every worker has heard.

use std::io::BufRead;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use crate::End;
use crate::ask::{Asker, Nodes, at};
use crate::paint::{Paint, say};

/// Purges sent at once; a log takes a few thousand.
const BATCH: usize = 1000;

/// Options of `larder purge`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["urls", "tags", "prefixes", "all", "stdin"]))]
pub struct Options {
    /// URLs, each with all its variants
    #[arg(value_name = "URL")]
    urls: Vec<String>,

    /// Everything that carries this tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Everything under this URL, at a segment border
    #[arg(long = "prefix", value_name = "URL")]
    prefixes: Vec<String>,

    /// Everything
    #[arg(long)]
    all: bool,

    /// Make stale instead of gone: stale-while-revalidate and stale-if-error still apply
    #[arg(long)]
    soft: bool,

    /// Read URLs from standard input, too, one a line
    #[arg(long)]
    stdin: bool,

    #[command(flatten)]
    nodes: Nodes,

    /// Wait this long until every worker has heard
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    wait: Duration,

    /// Do not wait
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// Purges.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let batches = batches(options)?;
    let mut outcomes = Vec::new();
    for asker in options.nodes.askers()? {
        let began = Instant::now();
        let mut purged = Value::Null;
        for batch in &batches {
            purged = asker.send("/v1/purge", batch)?;
        }
        let delivery = if options.no_wait { None } else { Some(delivery(&asker, &purged, options.wait)?) };
        outcomes.push(Outcome { node: asker.url, purged, delivery, took: began.elapsed() });
    }
    let all = outcomes.iter().all(Outcome::is_delivered);
    if options.json {
        let nodes: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
        let delivered = if options.no_wait { Value::Null } else { all.into() };
        say(&format!("{}\n", json!({ "delivered": delivered, "nodes": nodes })))?;
    } else {
        let lines: String = outcomes.iter().map(|outcome| outcome.text(Paint::of_stdout())).collect();
        say(&lines)?;
    }
    Ok(if all { End::Done } else { End::Failed })
}

fn batches(options: &Options) -> anyhow::Result<Vec<Value>> {
    let mut urls = options.urls.clone();
    if options.stdin {
        for line in std::io::stdin().lock().lines() {
            let line = line.context("cannot read standard input")?;
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                urls.push(line.to_owned());
            }
        }
    }
    if urls.is_empty() && options.tags.is_empty() && options.prefixes.is_empty() && !options.all {
        bail!("there is no URL on standard input, so nothing to purge");
    }
    let soft = options.soft;
    let mut batches: Vec<Value> = urls.chunks(BATCH).map(|urls| json!({ "urls": urls, "soft": soft })).collect();
    batches.extend(options.tags.chunks(BATCH).map(|tags| json!({ "tags": tags, "soft": soft })));
    batches.extend(options.prefixes.chunks(BATCH).map(|prefixes| json!({ "prefixes": prefixes, "soft": soft })));
    batches.extend(options.all.then(|| json!({ "all": true, "soft": soft })));
    Ok(batches)
}

fn delivery(asker: &Asker, purged: &Value, wait: Duration) -> anyhow::Result<Value> {
    let (Some(log), Some(sequence)) = (at(purged, "/log").as_str(), at(purged, "/sequence").as_u64()) else {
        bail!("{} does not say where in the log the purge stands", asker.url);
    };
    asker.read(&format!("/v1/purges/{sequence}/delivery?log={log}&wait={}ms", wait.as_millis()), wait)
}

/// What came of it at one node.
struct Outcome {
    node: String,
    purged: Value,
    delivery: Option<Value>,
    took: Duration,
}

impl Outcome {
    fn is_delivered(&self) -> bool {
        self.delivery.as_ref().is_none_or(|delivery| at(delivery, "/delivered").as_bool() == Some(true))
    }

    fn json(&self) -> Value {
        json!({ "node": self.node, "purged": self.purged, "delivery": self.delivery })
    }

    fn text(&self, paint: Paint) -> String {
        let mut lines = vec![format!(
            "{}: purged, number {} of log {}",
            self.node,
            at(&self.purged, "/sequence"),
            text(at(&self.purged, "/log"))
        )];
        if let Some(delivery) = &self.delivery {
            let workers =
                |kind: &str| at(delivery, &format!("/workers/{kind}")).as_array().cloned().unwrap_or_default();
            let (confirmed, pending, silent) = (workers("confirmed"), workers("pending"), workers("silent"));
            let heard = format!("{} of {} workers have heard", confirmed.len(), confirmed.len() + pending.len());
            if self.is_delivered() {
                lines.push(format!("  {}, after {} ms", paint.good(&heard), self.took.as_millis()));
            } else {
                lines.push(format!("  {}", paint.bad(&heard)));
                lines.extend(pending.iter().map(|worker| format!("  not yet: {}", text(worker))));
            }
            if !silent.is_empty() {
                let count = silent.len();
                lines.push(format!("  {count} were not heard from lately, and use nothing of their own memory"));
            }
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `5s`, `500ms`.
pub fn span(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no time: write 5s or 500ms");
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().map(Duration::from_millis).map_err(|_| bad());
    }
    let secs = text.strip_suffix('s').ok_or_else(bad)?;
    secs.parse().map(Duration::from_secs).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(span("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert!(span("5").is_err() && span("s").is_err());
    }
}
