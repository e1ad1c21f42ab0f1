//! What a shadow would have done, as nodes report it, summed over them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::words::{self, size, table};
use crate::End;
use crate::ask::{Nodes, at};
use crate::paint::{Paint, say};

/// Reasons for which a shadow is not safe, in words.
const UNSAFE: [(&str, &str); 2] = [
    ("other_body", "answers with another body than clients got"),
    ("identity", "answers shared that are not shared now"),
];

/// Sums over nodes.
#[derive(Debug, Default, Serialize)]
struct Sides {
    active: Side,
    shadow: Side,
    differs: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Serialize)]
struct Side {
    requests: u64,
    hits: u64,
    store_bytes: u64,
}

/// Reports.
pub fn run(name: &str, nodes: &Nodes, as_json: bool) -> anyhow::Result<End> {
    let mut reports = Vec::new();
    for asker in nodes.askers()? {
        reports.push(asker.read(&format!("/v1/policies/{name}/shadow"), Duration::ZERO)?);
    }
    let (mut all, mut routes) = (Sides::default(), BTreeMap::<String, Sides>::new());
    for report in &reports {
        all.add(at(report, "/totals"));
        for route in at(report, "/routes").as_array().into_iter().flatten() {
            let name = at(route, "/route").as_str().unwrap_or_default();
            routes.entry(name.to_owned()).or_default().add(route);
        }
    }
    let is_safe = is_safe(&reports);
    if as_json {
        let said = json!({ "name": name, "safe": is_safe, "totals": all, "routes": routes, "nodes": reports });
        say(&format!("{said}\n"))?;
    } else {
        let lines = lines(name, &reports, &all, &routes, Paint::of_stdout());
        say(&(lines.join("\n") + "\n"))?;
    }
    Ok(if is_safe { End::Done } else { End::Failed })
}

/// What is safe is the nodes' to say.
fn is_safe(reports: &[Value]) -> bool {
    reports.iter().all(|report| at(report, "/safe").as_bool() == Some(true))
}

fn lines(name: &str, reports: &[Value], all: &Sides, routes: &BTreeMap<String, Sides>, paint: Paint) -> Vec<String> {
    let first = reports.first().unwrap_or(&Value::Null);
    let spans = reports.iter().map(|report| {
        let of = |place: &str| at(report, place).as_u64().unwrap_or_default();
        of("/until_ms").saturating_sub(of("/from_ms"))
    });
    let span = words::span(Duration::from_millis(spans.max().unwrap_or_default()));
    let beside = match at(first, "/active/version").as_u64() {
        Some(version) => format!("version {version}"),
        None => "what workers were configured with".to_owned(),
    };
    let heading = format!("{name}: version {} in the shadow of {beside}, for {span}", at(first, "/shadow/version"));
    let mut lines = vec![paint.strong(&heading)];
    if all.active.requests == 0 && all.shadow.requests == 0 {
        lines.push("no worker has reported a request since it began".to_owned());
        return lines;
    }
    let columns =
        ["route", "requests", "hits now", "in the shadow", "bytes from store now", "in the shadow", "differs"];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    // What passes by in both is none of the cache's business.
    let shown = routes.iter().filter(|(_, sides)| sides.active.requests.max(sides.shadow.requests) > 0);
    rows.extend(shown.map(|(route, sides)| sides.row(route)));
    rows.push(all.row("all"));
    lines.extend(table(&rows));
    lines.push(String::new());
    for (reason, words) in UNSAFE {
        if let Some(times) = all.differs.get(reason) {
            lines.push(paint.bad(&format!("not safe: {words}: {times} ({reason})")));
        }
    }
    if is_safe(reports) {
        lines.push(paint.good(
            "safe: nobody would have got another body, and nothing would have been shared that is not shared now",
        ));
    }
    for (reason, times) in &all.differs {
        match reason.as_str() {
            "staler" => lines.push(format!("older answers than clients got: {times} (staler)")),
            _ if UNSAFE.iter().any(|(known, _)| known == reason) => {}
            _ => lines.push(format!("other differences: {times} ({reason})")),
        }
    }
    lines
}

impl Sides {
    fn add(&mut self, said: &Value) {
        for (side, sums) in [("active", &mut self.active), ("shadow", &mut self.shadow)] {
            for (field, sum) in
                [("requests", &mut sums.requests), ("hits", &mut sums.hits), ("store_bytes", &mut sums.store_bytes)]
            {
                let number = at(said, &format!("/{side}/{field}")).as_u64().unwrap_or_default();
                *sum = sum.saturating_add(number);
            }
        }
        for (reason, times) in at(said, "/differs").as_object().into_iter().flatten() {
            let times = times.as_u64().filter(|times| *times > 0);
            if let Some(times) = times {
                let sum = self.differs.entry(reason.clone()).or_default();
                *sum = sum.saturating_add(times);
            }
        }
    }

    fn row(&self, route: &str) -> Vec<String> {
        let Self { active, shadow, differs } = self;
        let differs: u64 = differs.values().fold(0, |all, times| all.saturating_add(*times));
        vec![
            route.to_owned(),
            active.requests.max(shadow.requests).to_string(),
            active.ratio(),
            shadow.ratio(),
            size(active.store_bytes),
            size(shadow.store_bytes),
            if differs > 0 { differs.to_string() } else { "-".to_owned() },
        ]
    }
}

impl Side {
    fn ratio(&self) -> String {
        match self.requests {
            0 => "-".to_owned(),
            requests => format!("{:.1}%", self.hits as f64 * 100.0 / requests as f64),
        }
    }
}
