//! Statistics.

use larder_core::cluster::message::{Report, StoreAnswer};

use crate::support::{Running, json, stdout};

#[test]
fn hit_ratios_come_from_what_workers_report() {
    let node = Running::start(&[]);
    let count = |outcome: &str, number| {
        (format!("larder_requests_total;policy=shop;route=items;class=catalog;outcome={outcome}"), number)
    };
    let report =
        Report { worker: "w".into(), counts: vec![count("hit", 3), count("miss", 1)], gauges: vec![], keys: vec![] };
    assert_eq!(node.ask::<_, StoreAnswer>(Report::PATH, &report), StoreAnswer::Done);
    let stats = json(&node.run(&["stats", "--json"]));
    assert_eq!((&stats["hit_ratio"]["all"]["requests"], &stats["hit_ratio"]["all"]["hits"]), (&4.into(), &3.into()));
    let text = stdout(&node.run(&["stats"]));
    assert!(text.lines().any(|line| line.starts_with("items") && line.contains("75.0%")), "{text}");
    assert!(text.contains("store memory memory: 0 B of 256 MiB"), "{text}");
    let metrics = ureq::get(format!("{}/metrics", node.admin)).call().expect("metrics");
    let metrics = metrics.into_body().read_to_string().expect("text");
    assert!(metrics.contains("larder_fleet_requests_total{policy=\"shop\",route=\"items\""), "{metrics}");
    assert!(metrics.contains("larder_node_store_bytes{where=\"memory\"} 0"), "{metrics}");
    assert!(metrics.contains("larder_node_lookups_total{outcome=\"fresh\"} 0") && metrics.ends_with("# EOF\n"));
}
