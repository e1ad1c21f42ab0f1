//! Prometheus' rules and Grafana's dashboard: promtool reads them and runs the rules' tests, every alert has a test in which it fires,
//! and no expression names a metric that docs/metrics.md does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Checks, file, yaml};
use crate::setup::schemas::Schemas;
use crate::{paths, process};

pub fn check(checks: &mut Checks, tools: &Schemas) {
    let rules = file("prometheus/rules.yml");
    checks.add("prometheus: the rules", promtool(&["check", "rules"], &rules));
    checks.add("prometheus: the rules' tests", promtool(&["test", "rules"], &file("prometheus/rules-test.yml")));
    checks.add("prometheus: every alert fires in a test", every_alert_is_tested(tools));
    let example = file("prometheus/prometheus.yml");
    checks.add("prometheus: the example", promtool(&["check", "config", "--syntax-only"], &example));
    checks.add("prometheus: the rules name metrics that there are", rules_name_metrics(tools));
    checks.add("grafana: the dashboard", dashboard(tools));
}

fn promtool(words: &[&str], file: &Path) -> Result<()> {
    let program = paths::find_program("promtool").context("promtool is missing: cargo xtask setup --only packages")?;
    let log = paths::scratch("deploy").join("promtool.log");
    let (status, text) = process::capture(Command::new(program).args(words).arg(file), &log)?;
    ensure!(status.success(), "{}", text.trim());
    Ok(())
}

/// All rules, as they stand in the file.
fn rules(tools: &Schemas) -> Result<Vec<Value>> {
    let documents = yaml::documents(tools, &file("prometheus/rules.yml"))?;
    let groups = documents.first().and_then(|rules| rules["groups"].as_array()).context("no groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

fn every_alert_is_tested(tools: &Schemas) -> Result<()> {
    let tests = yaml::documents(tools, &file("prometheus/rules-test.yml"))?;
    let cases = tests.first().and_then(|tests| tests["tests"].as_array()).context("no tests")?;
    let cases = cases.iter().filter_map(|case| case["alert_rule_test"].as_array()).flatten();
    let of = |fires: bool| -> BTreeSet<&str> {
        let chosen =
            cases.clone().filter(|case| case["exp_alerts"].as_array().is_some_and(|all| all.is_empty() != fires));
        chosen.filter_map(|case| case["alertname"].as_str()).collect()
    };
    let (firing, quiet) = (of(true), of(false));
    let rules = rules(tools)?;
    for alert in rules.iter().filter_map(|rule| rule["alert"].as_str()) {
        ensure!(firing.contains(alert), "rules-test.yml has no case in which {alert} fires");
        ensure!(quiet.contains(alert), "rules-test.yml has no case in which {alert} does not fire");
    }
    Ok(())
}

/// The metrics of docs/metrics.md, those that histograms are made of, and what the rules record.
fn known(tools: &Schemas) -> Result<BTreeSet<String>> {
    let page = fs::read_to_string(paths::root().join("docs/metrics.md")).context("docs/metrics.md is missing")?;
    let mut known = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `larder_")) {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`')).skip(1);
        let (name, kind) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let endings: &[&str] = if kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
        known.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    known.extend(rules(tools)?.iter().filter_map(|rule| rule["record"].as_str()).map(str::to_owned));
    Ok(known)
}

/// Every name in an expression that can only be one of ours.
fn named(expression: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(move |c: char| !is_part(c));
    words.filter(|word| word.starts_with("larder_") || word.starts_with("larder:"))
}

fn unknown(expressions: &[String], known: &BTreeSet<String>) -> Result<()> {
    let strange: BTreeSet<&str> =
        expressions.iter().flat_map(|expression| named(expression)).filter(|name| !known.contains(*name)).collect();
    ensure!(strange.is_empty(), "not in docs/metrics.md: {}", strange.into_iter().collect::<Vec<_>>().join(", "));
    Ok(())
}

fn rules_name_metrics(tools: &Schemas) -> Result<()> {
    let expressions: Vec<String> =
        rules(tools)?.iter().filter_map(|rule| rule["expr"].as_str()).map(str::to_owned).collect();
    ensure!(!expressions.is_empty(), "no rule has an expression");
    unknown(&expressions, &known(tools)?)
}

fn dashboard(tools: &Schemas) -> Result<()> {
    let text = fs::read_to_string(file("grafana/larder.json")).context("there is no dashboard")?;
    let dashboard: Value = serde_json::from_str(&text).context("it is no JSON")?;
    for field in ["title", "uid", "schemaVersion", "panels", "templating", "time"] {
        ensure!(!dashboard[field].is_null(), "it has no {field}");
    }
    let panels = dashboard["panels"].as_array().context("panels is no list")?;
    let mut ids = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().context("a panel has no title")?;
        let id = panel["id"].as_u64().with_context(|| format!("{title}: no id"))?;
        ensure!(ids.insert(id), "{title}: another panel has its id");
        let place = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64());
        let [Some(x), Some(_), Some(width), Some(_)] = place else { bail!("{title}: no place in the grid") };
        ensure!(x + width <= 24, "{title}: wider than the grid");
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(panel["type"] == "row" || !targets.is_empty(), "{title}: it shows nothing");
        expressions.extend(targets.iter().map(|target| target["expr"].as_str().unwrap_or_default().to_owned()));
    }
    for annotation in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
        expressions.extend(annotation["expr"].as_str().map(str::to_owned));
    }
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        unknown(&[variable["definition"].as_str().unwrap_or_default().to_owned()], &known(tools)?)?;
    }
    unknown(&expressions, &known(tools)?)?;
    // Grafana fills these in; promtool knows them as little as Prometheus does.
    let filled = expressions.iter().map(|expression| {
        let expression = expression.replace("$__rate_interval", "5m");
        expression.replace("$policy", ".*").replace("$route", ".*")
    });
    let records: Vec<Value> = filled
        .enumerate()
        .map(|(number, expr)| json!({ "record": format!("dashboard:expression_{number}"), "expr": expr }))
        .collect();
    let rules = paths::scratch("deploy").join("dashboard.json");
    fs::create_dir_all(paths::scratch("deploy")).context("cannot create a folder")?;
    let text = json!({ "groups": [{ "name": "dashboard", "rules": records }] }).to_string();
    fs::write(&rules, text).with_context(|| format!("cannot write {}", rules.display()))?;
    promtool(&["check", "rules"], &rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_metrics_are_found_in_an_expression() {
        let expression = r#"sum(rate(larder_a_total{x="larder"}[5m])) / larder:b:rate5m > on (larder) larder_c_bucket"#;
        assert_eq!(named(expression).collect::<Vec<_>>(), ["larder_a_total", "larder:b:rate5m", "larder_c_bucket"]);
        let known = ["larder_a_total".to_owned(), "larder:b:rate5m".to_owned()].into();
        let error = unknown(&[expression.to_owned()], &known).unwrap_err().to_string();
        assert_eq!(error, "not in docs/metrics.md: larder_c_bucket");
    }
}
