//! What came of it, for people and for programs; and how far it is meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder_node::warming::{Done, Outcome, Request};
use serde_json::{Value, json};

use super::Report;
use crate::paint::{Paint, say};

/// URLs shown for each reason.
const URLS_SHOWN: usize = 3;

/// How many requests ended how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub warmed: usize,
    pub fresh: usize,
    pub not_stored: usize,
    pub failed: usize,
}

impl Counts {
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Warmed => &mut self.warmed,
            Outcome::Fresh => &mut self.fresh,
            Outcome::NotStored => &mut self.not_stored,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    /// In a line of progress.
    pub fn short(self) -> String {
        let Self { warmed, fresh, not_stored, failed } = self;
        format!("warmed {warmed}, fresh {fresh}, not stored {not_stored}, failed {failed}")
    }
}

/// Progress on standard error, where that is a terminal and nobody wants to read the output by a program.
pub fn bar(requests: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(requests as u64), target);
    let template = "{bar:16} {pos}/{len}  {per_sec:1}  {eta} left  {wide_msg}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Report {
    pub fn is_good(&self) -> bool {
        !self.requests.is_empty() && self.counts().failed == 0
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.done().for_each(|(_, done)| counts.add(done.outcome));
        counts
    }

    fn done(&self) -> impl Iterator<Item = (&Arc<Request>, &Done)> {
        self.requests.iter().filter_map(|(request, done)| Some((request, done.as_ref()?)))
    }

    pub fn say(&self, dry_run: bool) -> anyhow::Result<()> {
        let paint = Paint::of_stdout();
        let mut text = String::new();
        if dry_run {
            self.requests.iter().for_each(|(request, _)| _ = writeln!(text, "GET {request}"));
            _ = writeln!(text, "{} requests would go through {}", self.requests.len(), self.via);
        } else {
            self.summary(&mut text, paint);
        }
        self.left(&mut text, paint);
        say(&text)
    }

    fn summary(&self, text: &mut String, paint: Paint) {
        let Counts { warmed, fresh, not_stored, failed } = self.counts();
        let failed_text = format!("failed {failed}");
        let failed_text = if failed > 0 { paint.bad(&failed_text) } else { failed_text };
        let warmed = paint.good(&format!("warmed {warmed}"));
        _ = writeln!(
            text,
            "{warmed}, already fresh {fresh}, not stored {not_stored}, {failed_text}: {} requests through {} in {:.1} s",
            self.requests.len(),
            self.via,
            self.took.as_secs_f64()
        );
        for (outcome, heading) in [(Outcome::NotStored, "not stored"), (Outcome::Failed, "failed")] {
            let mut reasons: BTreeMap<&str, Vec<&Arc<Request>>> = BTreeMap::new();
            for (request, done) in self.done().filter(|(_, done)| done.outcome == outcome) {
                reasons.entry(done.reason.as_deref().unwrap_or("no reason given")).or_default().push(request);
            }
            for (reason, requests) in reasons {
                _ = writeln!(text, "{}", paint.strong(&format!("{heading}, {reason}: {}", requests.len())));
                requests.iter().take(URLS_SHOWN).for_each(|request| _ = writeln!(text, "  {request}"));
                if requests.len() > URLS_SHOWN {
                    _ = writeln!(text, "  and {} more", requests.len() - URLS_SHOWN);
                }
            }
        }
    }

    /// What was not asked for.
    fn left(&self, text: &mut String, paint: Paint) {
        if self.refused_in_all > 0 {
            _ = writeln!(text, "{}", paint.strong(&format!("not asked for: {}", self.refused_in_all)));
            let shown = self.refused.iter().take(10);
            shown.for_each(|refused| _ = writeln!(text, "  {}: {}", refused.url, refused.why));
            if self.refused_in_all > 10 {
                _ = writeln!(text, "  and {} more", self.refused_in_all - 10);
            }
        }
        self.left_out.iter().for_each(|what| _ = writeln!(text, "left out: {what}"));
    }

    pub fn say_json(&self) -> anyhow::Result<()> {
        let Counts { warmed, fresh, not_stored, failed } = self.counts();
        let requests: Vec<Value> = self.requests.iter().map(|(request, done)| shown(request, done.as_ref())).collect();
        let refused: Vec<Value> =
            self.refused.iter().map(|refused| json!({ "url": refused.url, "why": refused.why })).collect();
        let report = json!({
            "via": self.via.to_string(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "counts": { "warmed": warmed, "fresh": fresh, "not_stored": not_stored, "failed": failed },
            "requests": requests,
            "refused_in_all": self.refused_in_all,
            "refused": refused,
            "left_out": self.left_out,
        });
        say(&format!("{report}\n"))
    }
}

fn shown(request: &Request, done: Option<&Done>) -> Value {
    let headers: Vec<(String, String)> = request
        .fields()
        .filter(|(name, _)| !matches!(*name, "user-agent" | "authorization" | "cookie" | "proxy-authorization"))
        .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let mut shown = json!({ "url": request.target().to_string(), "headers": headers, "route": request.route() });
    if let (Some(shown), Some(done)) = (shown.as_object_mut(), done) {
        let took_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX);
        for (name, value) in [
            ("outcome", json!(done.outcome)),
            ("reason", json!(done.reason)),
            ("status", json!(done.status)),
            ("ttl_s", json!(done.ttl)),
            ("bytes", json!(done.bytes)),
            ("attempts", json!(done.attempts)),
            ("took_ms", json!(took_ms)),
        ] {
            shown.insert(name.to_owned(), value);
        }
    }
    shown
}
