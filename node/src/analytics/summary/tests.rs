//! From what was counted to what is shown.

use larder_core::policy::Policy;
use larder_core::time::Timestamp;

use super::super::Analytics;
use super::super::resolution::Range;
use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

fn series(name: &str, route: &str, label: &str) -> String {
    format!("larder_{name}_total;policy=shop;route={route};class=c{label}")
}

fn counts(analytics: &Analytics, at_ms: u64, rows: &[(&str, &str, &str, u64)]) {
    let rows: Vec<(String, u64)> =
        rows.iter().map(|(name, route, label, by)| (series(name, route, label), *by)).collect();
    analytics.counts(rows.iter().map(|(name, by)| (name.as_str(), *by)), Timestamp(at_ms));
}

fn asked(range: &str) -> Asked {
    let range = Range::named(range).expect("a range");
    let steps = range.steps(NOW_MS, None).expect("steps");
    Asked { range, steps, now_ms: NOW_MS, policy: None, route: None, host: None, routes_by_step: false }
}

fn shown(analytics: &Analytics, asked: &Asked) -> Summary {
    let held = analytics.held(asked.range.resolution, asked.steps.from_ms, asked.steps.until_ms());
    let text = r#"{"version": 1, "name": "shop", "routes": [
        {"name": "a", "path": "/a", "target_hit_ratio": 0.7}, {"name": "b", "path": "/b", "target_hit_ratio": 0.9}]}"#;
    summary(&held, asked, &Targets::of([&Policy::parse(text).expect("a policy")]))
}

fn loaded() -> Analytics {
    let analytics = Analytics::open(None, 64, 1 << 24).expect("memory");
    let old = NOW_MS - 3_000_000;
    counts(&analytics, old, &[("requests", "a", ";outcome=hit", 1000)]);
    for seconds in [5, 3] {
        let rows = [
            ("requests", "a", ";outcome=hit", 3),
            ("requests", "a", ";outcome=miss", 1),
            ("requests", "b", ";outcome=collapsed", 1),
            ("requests", "b", ";outcome=stale_error", 1),
            ("requests", "b", ";outcome=not_stored", 2),
            ("requests", "b", ";outcome=bypass", 4),
            ("requests", "b", ";outcome=purge", 9),
            ("not_stored", "b", ";reason=set-cookie", 2),
            ("bypass", "b", ";reason=method", 4),
            ("store_bytes", "a", "", 300),
            ("refreshes", "a", "", 1),
            ("not_modified", "a", "", 2),
            ("cluster_failures", "a", ";reason=cluster-timeout", 1),
        ];
        counts(&analytics, NOW_MS - seconds * 1000, &rows);
    }
    analytics
}

#[test]
fn ratios_origin_requests_and_reasons_are_as_they_were_counted() {
    let summary = shown(&loaded(), &asked("10m"));
    let totals = &summary.totals;
    assert_eq!((totals.requests, totals.hits, totals.bypassed), (16, 10, 8));
    assert_eq!(totals.hit_ratio, Some(0.625));
    // 2 misses, 4 not stored, 8 bypassed, 2 that failed, 2 refreshes.
    assert_eq!((totals.origin_requests, totals.origin_requests_avoided), (18, 8));
    assert_eq!((totals.bytes_from_store, totals.bytes_from_origin, totals.byte_hit_ratio), (600, 0, Some(1.0)));
    assert_eq!((totals.not_modified, totals.refreshes, totals.cluster_failures["cluster-timeout"]), (4, 2, 2));
    let routes: Vec<_> =
        summary.routes.iter().map(|route| (route.route.as_str(), route.sums.hit_ratio, route.standing)).collect();
    assert_eq!(routes, [("b", Some(0.5), Standing::Missed), ("a", Some(0.75), Standing::Met)]);
    let misses: Vec<_> =
        summary.misses.iter().map(|m| (m.route.as_str(), m.kind, m.reason.as_str(), m.count)).collect();
    let want = [
        ("b", MissKind::Bypass, "method", 8),
        ("b", MissKind::NotStored, "set-cookie", 4),
        ("a", MissKind::Absent, "absent", 2),
    ];
    assert_eq!(misses, want);
    let index = |seconds: usize| summary.steps - 1 - seconds;
    assert_eq!((summary.by_step.hits[index(5)], summary.by_step.requests[index(4)]), (5, 0));
    assert_eq!(summary.by_step.outcomes["miss"].iter().sum::<u64>(), 2);
    assert_eq!(summary.by_step.origin_requests[index(3)], 9);
}

#[test]
fn a_longer_range_has_the_same_and_what_was_before() {
    let summary = shown(&loaded(), &asked("1h"));
    assert_eq!((summary.totals.requests, summary.totals.hits), (1016, 1010));
    assert_eq!(summary.by_step.hits.iter().sum::<u64>(), 1010);
    assert_eq!(summary.held_from_ms, Some(NOW_MS - 3_000_000));
    for range in ["6h", "1d", "7d", "30d"] {
        let summary = shown(&loaded(), &asked(range));
        assert_eq!(summary.totals.hits, 1010, "{range}");
        assert_eq!(summary.by_step.outcomes["hit"].iter().sum::<u64>(), 1006, "{range}");
    }
}

#[test]
fn a_filter_leaves_the_rest_out_everywhere() {
    let mut only = asked("10m");
    (only.route, only.routes_by_step) = (Some("a".to_owned()), true);
    let summary = shown(&loaded(), &only);
    assert_eq!((summary.totals.requests, summary.totals.hits), (8, 6));
    assert_eq!(summary.routes.len(), 1);
    assert_eq!(summary.routes[0].by_step.as_ref(), Some(&summary.by_step));
    assert!(summary.misses.iter().all(|miss| miss.route == "a"));
    (only.policy, only.route) = (Some("other".to_owned()), None);
    let summary = shown(&loaded(), &only);
    assert_eq!((summary.totals, summary.routes), (Sums::default(), vec![]));
}

#[test]
fn bytes_of_the_origin_make_a_byte_hit_ratio() {
    let analytics = loaded();
    counts(&analytics, NOW_MS, &[("origin_bytes", "a", "", 200)]);
    let summary = shown(&analytics, &asked("10m"));
    assert_eq!((summary.totals.bytes_from_origin, summary.totals.byte_hit_ratio), (200, Some(0.75)));
    assert_eq!(summary.by_step.bytes_from_origin.last(), Some(&200));
}

#[test]
fn how_long_requests_took_is_shown_by_outcome_and_step_by_step() {
    let analytics = loaded();
    for (seconds, within, by) in [(5, "1", 90), (5, "100", 10), (3, "more", 1)] {
        let label = format!(";outcome=hit;within={within}");
        let name = series("request_duration", "a", &label);
        analytics.counts([(name.as_str(), by)], Timestamp(NOW_MS - seconds * 1000));
    }
    let summary = shown(&analytics, &asked("10m"));
    let hit = &summary.totals.latency["hit"];
    assert_eq!((hit.requests, hit.p50_ms, hit.p99_ms), (101, Some(0.56), Some(99.95)));
    assert_eq!(hit.buckets.len(), summary.latency_bounds_ms.len() + 1);
    let steps = &summary.latency_by_step["hit"];
    let index = |seconds: usize| summary.steps - 1 - seconds;
    assert_eq!(
        (steps.p95_ms[index(5)], steps.p95_ms[index(4)], steps.p50_ms[index(3)]),
        (Some(75.0), None, Some(5000.0))
    );
    let of = |route: &str| summary.routes.iter().find(|found| found.route == route).expect("a route");
    assert_eq!(of("a").sums.latency["hit"], *hit);
    assert!(of("b").sums.latency.is_empty());
    assert_eq!(summary.totals.requests, 16, "counted by other series");
}

#[test]
fn where_series_are_many_how_long_requests_took_is_known_over_routes() {
    let analytics = Analytics::open(None, 100, 1 << 24).expect("memory");
    for route in 0..40 {
        let route = format!("r{route}");
        for within in ["1", "2", "5"] {
            let took = series("request_duration", &route, &format!(";outcome=hit;within={within}"));
            analytics.counts([(took.as_str(), 1)], Timestamp(NOW_MS));
        }
        let requests = series("requests", &route, ";outcome=hit");
        analytics.counts([(requests.as_str(), 3)], Timestamp(NOW_MS));
    }
    let summary = shown(&analytics, &asked("10m"));
    assert_eq!((summary.totals.requests, summary.totals.latency["hit"].requests), (120, 120));
    assert_eq!((summary.routes.len(), summary.not_taken), (40, 0));
    assert!(summary.routes.iter().all(|route| !route.route.is_empty()));
}

#[test]
fn a_host_is_one_that_a_policy_names() {
    let analytics = loaded();
    for (host, by) in [("*.a.example,b.example", 5), ("b.example", 2), ("c.example", 1)] {
        let name = format!("larder_requests_total;policy=shop;route={host};class=c;host={host};outcome=hit");
        analytics.counts([(name.as_str(), by)], Timestamp(NOW_MS));
    }
    let key = |url: &str, labels: &str, requests| larder_core::cluster::message::ReportedKey {
        url: url.into(),
        labels: labels.into(),
        requests,
        hits: 1,
    };
    let report = larder_core::cluster::message::Report {
        keys: vec![key("http://b.example/", ";route=b;host=b.example", 9), key("http://x/", ";route=a", 10)],
        ..Default::default()
    };
    analytics.report(&report, Timestamp(NOW_MS));
    let all = shown(&analytics, &asked("10m"));
    assert_eq!(all.hosts, ["*.a.example", "b.example", "c.example"]);
    assert_eq!(all.keys.iter().map(|key| key.url.as_str()).collect::<Vec<_>>(), ["http://x/", "http://b.example/"]);
    let mut only = asked("10m");
    only.host = Some("b.example".to_owned());
    let summary = shown(&analytics, &only);
    assert_eq!((summary.totals.hits, summary.routes.len(), summary.keys.len()), (7, 2, 1));
    assert_eq!(summary.keys[0].hit_ratio, Some(1.0 / 9.0));
    assert_eq!(summary.hosts.len(), 3, "there are others to choose");
}

#[test]
fn gauges_are_the_largest_of_a_step_and_nothing_where_none_was_taken() {
    let analytics = Analytics::open(None, 64, 1 << 24).expect("memory");
    for (seconds, value) in [(1, 3), (2, 9), (30, 4)] {
        analytics.gauges([("larder_l1_bytes", value)], Timestamp(NOW_MS - 1 - seconds * 1000));
    }
    let summary = shown(&analytics, &asked("1h"));
    let last: Vec<Option<u64>> = summary.gauges["larder_l1_bytes"].iter().rev().take(5).copied().collect();
    assert_eq!(last, [None, Some(9), None, None, Some(4)]);
}

#[test]
fn marks_of_one_step_are_one_and_what_is_long_is_cut() {
    let analytics = Analytics::open(None, 4096, 1 << 24).expect("memory");
    for seconds in 0..100 {
        analytics.mark(Mark::purge(NOW_MS - seconds * 1000, "tag t", false, None));
    }
    let summary = shown(&analytics, &asked("1d"));
    assert_eq!(summary.marks.iter().map(|mark| mark.count).sum::<u64>(), 100);
    assert_eq!(summary.marks.len(), 2);
    for route in 0..300 {
        counts(&analytics, NOW_MS, &[("requests", &format!("r{route}"), ";outcome=miss", 1 + route)]);
    }
    let mut all = asked("10m");
    all.routes_by_step = true;
    let summary = shown(&analytics, &all);
    assert_eq!((summary.routes.len(), summary.routes_left_off, summary.misses.len()), (200, 100, 50));
    assert_eq!((summary.routes[0].route.as_str(), summary.misses[0].count), ("r299", 300));
    assert_eq!(summary.routes.iter().filter(|route| route.by_step.is_some()).count(), 50);
    assert_eq!(summary.totals.requests, (1..=300).sum::<u64>(), "totals are of all");
}

#[test]
fn targets_are_met_close_or_missed() {
    for (ratio, target, want) in [
        (Some(0.9), Some(0.9), Standing::Met),
        (Some(0.89), Some(0.9), Standing::Close),
        (Some(0.87), Some(0.9), Standing::Missed),
        (Some(0.9), None, Standing::NoTarget),
        (None, Some(0.9), Standing::NoRequests),
    ] {
        assert_eq!(standing(ratio, target), want);
    }
}
