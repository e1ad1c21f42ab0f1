//! What nodes, proxies and the plugin count is what docs/metrics.md says, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use larder_core::cluster::CallFailure;
use larder_core::cluster::message::{Report, StoreAnswer};
use larder_core::decide::admit::Bypass;
use larder_core::decide::store::NotStored;
use larder_core::shadow::{Difference, ShadowOutcome};
use larder_core::tally::{Bucket, Count, Outcome};
use larder_core::time::Millis;

use crate::proxy::{Origin, Proxy};
use crate::support::Running;

/// A metric, as a table or a page of metrics describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Described {
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Described>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The rows under a heading of docs/metrics.md.
fn documented(heading: &str) -> Metrics {
    let page = fs::read_to_string(root().join("docs/metrics.md")).expect("the page");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().expect("a section");
    let code = |cell: &str| {
        cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let mut rows = Metrics::new();
    for line in section.lines().filter(|line| line.starts_with("| `larder_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, kind, unit, labels, meaning, ""] = cells[..] else { panic!("not five cells: {line}") };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{line}");
        let row = Described { kind: kind.to_owned(), labels: code(labels) };
        assert!(rows.insert(name.trim_matches('`').to_owned(), row).is_none(), "twice: {line}");
    }
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// What a page in the Prometheus or OpenMetrics form has, by the names that Prometheus stores; those of a histogram as one.
fn scraped(page: &str) -> Metrics {
    let mut found = Metrics::new();
    let mut family = ("", "");
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            family = declared.split_once(' ').expect("a name and a type");
            // OpenMetrics declares counters without the ending of their series.
            let of_series = family.0.strip_suffix("_total").unwrap_or(family.0);
            let name = if family.1 == "counter" && !family.0.ends_with("_bucket") {
                format!("{of_series}_total")
            } else {
                family.0.to_owned()
            };
            found.insert(name, Described { kind: family.1.to_owned(), labels: BTreeSet::new() });
        } else if !line.starts_with('#') && !line.is_empty() {
            let (series, _) = line.rsplit_once(' ').expect("a series and a number");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = if family.1 == "histogram" { family.0 } else { name };
            let described = found.get_mut(name).unwrap_or_else(|| panic!("undeclared: {line}"));
            let names = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once('='));
            described.labels.extend(
                names.map(|(name, _)| name.to_owned()).filter(|name| !(name == "le" && family.1 == "histogram")),
            );
        }
    }
    found
}

/// One of each kind of count.
fn counts() -> Vec<Count> {
    let all = vec![
        Count::Request(Outcome::Hit),
        Count::Took(Outcome::Hit, Bucket::of(Millis(1))),
        Count::NotModified,
        Count::NotStored(NotStored::NoStore),
        Count::Bypass(Bypass::Policy),
        Count::ClusterFailure(CallFailure::TimedOut),
        Count::BytesFromStore,
        Count::BytesFromOrigin,
        Count::Refresh,
        Count::RefreshAhead,
        Count::Invalidated,
        Count::ShadowRequest(ShadowOutcome::Hit),
        Count::ShadowBytes,
        Count::ShadowDiffers(Difference::OtherBody),
    ];
    for count in &all {
        // A new kind does not compile here: add it above.
        match count {
            Count::Request(_)
            | Count::Took(..)
            | Count::NotModified
            | Count::NotStored(_)
            | Count::Bypass(_)
            | Count::ClusterFailure(_)
            | Count::BytesFromStore
            | Count::BytesFromOrigin
            | Count::Refresh
            | Count::RefreshAhead
            | Count::Invalidated
            | Count::ShadowRequest(_)
            | Count::ShadowBytes
            | Count::ShadowDiffers(_) => {}
        }
    }
    all
}

/// What the core has its hosts count, under another prefix than its own. How long requests took is every host's own matter.
fn of_the_core(prefix: &str) -> Metrics {
    let counted = counts().into_iter().filter(|count| !matches!(count, Count::Took(..)));
    let metric = |count: Count| {
        let (name, own) = count.parts();
        let own = own.into_iter().flatten().map(|(name, _)| name);
        let labels = ["policy", "route", "class"].into_iter().chain(own).map(str::to_owned).collect();
        let described = Described { kind: "counter".to_owned(), labels };
        (format!("{prefix}{}", name.strip_prefix("larder_").expect("the prefix of all")), described)
    };
    counted.map(metric).collect()
}

/// The names of metrics that are written out in source files, however they are counted.
fn named_in(files: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for literal in code.flat_map(|line| line.match_indices("\"larder_").map(|(at, _)| &line[at + 1..])) {
            let end = literal.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(literal.len());
            // A name that goes on in braces is put together from the core's, which `of_the_core` has.
            if !literal[end..].starts_with('{') {
                names.insert(literal[..end].to_owned());
            }
        }
    }
    names
}

fn names(metrics: &Metrics) -> BTreeSet<String> {
    metrics.keys().cloned().collect()
}

fn page(url: &str) -> String {
    ureq::get(url).call().expect("metrics").into_body().read_to_string().expect("text")
}

#[test]
fn a_node_serves_what_is_documented_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("shop.json");
    let text =
        r#"{"version": 1, "name": "shop", "routes": [{"name": "items", "path": "/items", "target_hit_ratio": 0.9}]}"#;
    fs::write(&policy, text).expect("written");
    let node = Running::start(&["--policy", policy.to_str().expect("a path")]);
    let parsed = larder_core::Policy::parse(text).expect("a policy");
    let series = |count: Count| (larder_core::tally::series(&parsed, 0, count), 1);
    let gauges = ["larder_l1_bytes", "larder_l1_keys"].map(|name| (name.to_owned(), 7)).to_vec();
    let report =
        Report { worker: "w".into(), counts: counts().into_iter().map(series).collect(), gauges, keys: Vec::new() };
    assert_eq!(node.ask::<_, StoreAnswer>(Report::PATH, &report), StoreAnswer::Done);
    let pushed = ureq::post(format!("{}/v1/policies", node.admin)).content_type("application/json").send(text);
    pushed.expect("the policy is taken");
    let text = page(&format!("{}/metrics", node.admin));
    let documented = documented("Node");
    assert_eq!(scraped(&text), documented, "{text}");
    for (name, described) in of_the_core("larder_fleet_") {
        assert_eq!(documented.get(&name), Some(&described), "{name}");
    }
    assert!(text.contains(r#"larder_node_target_hit_ratio{policy="shop",route="items"} 0.9"#), "{text}");
}

#[test]
fn the_plugin_counts_what_is_documented_and_nothing_else() {
    let documented = documented("Envoy");
    let of_the_core = of_the_core("larder_");
    for (name, described) in &of_the_core {
        assert_eq!(documented.get(name), Some(described), "{name}");
    }
    let own = named_in(&["plugin/src/metrics.rs"]);
    assert_eq!(names(&documented), names(&of_the_core).union(&own).cloned().collect());
}

#[test]
fn a_proxy_serves_nothing_but_what_is_documented() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &["--admin", "127.0.0.1:0"]);
    proxy.get("/");
    let text = proxy.admin("/metrics");
    let documented = documented("Layer and proxy");
    let scraped = scraped(&text);
    assert!(scraped.contains_key("larder_requests_total") && scraped.len() > 5, "{text}");
    for (name, described) in &scraped {
        let row = documented.get(name).unwrap_or_else(|| panic!("{name} has no row: {text}"));
        assert_eq!((name, row), (name, described));
    }
}

#[test]
fn the_layer_and_the_invalidator_count_what_is_documented_and_nothing_else() {
    let documented = documented("Layer and proxy");
    let mut of_the_core = of_the_core("larder_");
    for (name, described) in &mut of_the_core {
        described.labels.insert("cache".to_owned());
        assert_eq!(documented.get(name), Some(&*described), "{name}");
    }
    let files = ["origin/src/telemetry.rs", "origin/src/proxy/counts.rs", "origin/src/invalidator/counts.rs"];
    assert_eq!(names(&documented), names(&of_the_core).union(&named_in(&files)).cloned().collect());
}
