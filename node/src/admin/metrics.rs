//! `/metrics`: the node's counters and gauges, and the sums of what workers report, in the OpenMetrics text form.
//!
//! What workers report goes by `larder_fleet_*`: Envoy exports the same counters itself, and who scrapes both must not count twice.

use std::collections::BTreeMap;
use std::fmt::Error;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::App;
use super::access::allow;
use super::problem::Problem;
use crate::counts::Row;
use crate::shared::Shared;
use crate::tokens::Scope;

const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`
pub(super) async fn metrics(State(shared): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot::of(&shared)));
    let mut out = String::new();
    text::encode(&mut out, &registry)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, KIND)], out).into_response())
}

/// Names and values.
type Labels = Vec<(String, String)>;

/// A series: its labels and its number.
type Series = (Labels, u64);

/// Series of numbers that are not whole.
type Fractions = Vec<(Labels, f64)>;

/// All numbers at one moment.
#[derive(Debug)]
struct Snapshot {
    counters: BTreeMap<String, (String, Vec<Series>)>,
    gauges: BTreeMap<String, (String, Vec<Series>)>,
    /// Gauges that are no whole numbers.
    fractions: BTreeMap<&'static str, (&'static str, Fractions)>,
}

impl Snapshot {
    fn of(shared: &Shared) -> Self {
        let now = shared.clock.now();
        let mut counters = BTreeMap::new();
        for Row { name, help, label, numbers } in shared.counts.rows() {
            let series = numbers.into_iter().map(|(value, number)| (vec![(label.into(), value.into())], number));
            counters.insert(format!("larder_node_{name}"), (help.to_owned(), series.collect::<Vec<Series>>()));
        }
        let mut gauges = BTreeMap::new();
        let mut gauge = |name: &str, help: &str, labels: &[(&str, &str)], number: Option<u64>| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let (_, series) = gauges.entry(name.to_owned()).or_insert_with(|| (help.to_owned(), Vec::new()));
            series.extend(number.map(|number| (labels, number)));
        };
        let usage = shared.desk.kept_in().usage();
        let bytes = "Bytes in the store";
        gauge("larder_node_store_bytes", bytes, &[("where", "memory")], usage.memory_bytes);
        gauge("larder_node_store_bytes", bytes, &[("where", "disk")], usage.disk_bytes);
        let bytes_max = "Bytes that the store may hold";
        gauge("larder_node_store_bytes_max", bytes_max, &[("where", "memory")], usage.memory_bytes_max);
        gauge("larder_node_store_bytes_max", bytes_max, &[("where", "disk")], usage.disk_bytes_max);
        gauge("larder_node_store_items", "Values in the store", &[], usage.items);
        if let Some(analytics) = &shared.analytics {
            let bytes = "Bytes of analytics held in memory";
            gauge("larder_node_analytics_bytes", bytes, &[], Some(analytics.bytes()));
        }
        let (held, waiting) = shared.desk.held_and_waiting();
        gauge("larder_node_leases_held", "Leases held", &[], Some(held as u64));
        gauge("larder_node_lookups_waiting", "Look-ups that wait for a fill", &[], Some(waiting as u64));
        let here = shared.following.here();
        gauge("larder_node_log_sequence", "The newest purge taken up", &[], Some(here.sequence.0));
        let workers = shared.workers.shown(now);
        let silent = workers.iter().filter(|worker| worker.silent).count();
        let help = "Workers that follow this node's purge log";
        gauge("larder_node_workers", help, &[("state", "heard")], Some((workers.len() - silent) as u64));
        gauge("larder_node_workers", help, &[("state", "silent")], Some(silent as u64));
        for (name, named) in shared.policies.all() {
            let generation = named.record.generation;
            let help = "The generation of a pushed policy that this node tells workers of";
            gauge("larder_policy_generation", help, &[("policy", &name)], Some(generation));
            let uptake = shared.workers.uptake(&name, generation, now);
            let help = "Workers by whether they have taken up the policy that was pushed";
            for (state, workers) in [
                ("current", uptake.current.len()),
                ("behind", uptake.behind.len()),
                ("refused", uptake.refused.len()),
                ("silent", uptake.silent.len()),
            ] {
                gauge("larder_policy_workers", help, &[("policy", &name), ("state", state)], Some(workers as u64));
            }
        }
        let behind = shared.workers.behind(here, now);
        let help = "Workers that have not confirmed the newest purge and may still use their memory";
        gauge("larder_node_workers_behind", help, &[], Some(behind.workers));
        let fractions = BTreeMap::from([
            (
                "larder_node_target_hit_ratio",
                ("What a route's hit ratio is to reach, as its policy says", targets(shared)),
            ),
            (
                "larder_node_purge_lag_seconds",
                (
                    "How long the worker furthest behind has had the newest purge without confirming it",
                    vec![(Labels::new(), behind.since.0 as f64 / 1000.0)],
                ),
            ),
        ]);
        let reported = shared.workers.reported(now);
        take_up(&mut counters, &reported.counts);
        take_up(&mut gauges, &reported.gauges);
        if let Some(evictions) = usage.evictions {
            let help = "Values that went because space was short".to_owned();
            counters.insert("larder_node_store_evictions".into(), (help, vec![(Vec::new(), evictions)]));
        }
        Self { counters, gauges, fractions }
    }
}

fn targets(shared: &Shared) -> Fractions {
    let labels = |policy: &str, route: &str| vec![("policy".into(), policy.into()), ("route".into(), route.into())];
    shared.policies.targets().iter().map(|(policy, route, ratio)| (labels(policy, route), ratio)).collect()
}

/// Takes up series by the names that workers give them: `larder_requests_total;route=items;outcome=hit`.
fn take_up(families: &mut BTreeMap<String, (String, Vec<Series>)>, reported: &[(String, u64)]) {
    for (series, number) in reported {
        let mut parts = series.split(';');
        let name = parts.next().unwrap_or_default();
        let name = name.strip_prefix("larder_").unwrap_or(name);
        let name = clean(name.strip_suffix("_total").unwrap_or(name));
        let labels = parts.filter_map(|part| part.split_once('='));
        let labels = labels.map(|(name, value)| (clean(name), value.to_owned())).collect();
        let (_, all) = families
            .entry(format!("larder_fleet_{name}"))
            .or_insert_with(|| ("Sum of what workers report".to_owned(), Vec::new()));
        all.push((labels, *number));
    }
}

/// A name as the text form has it.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        for (name, (help, series)) in &self.counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, number) in series {
                family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(number, None)?;
            }
        }
        for (name, (help, series)) in &self.gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, number) in series {
                family.encode_family(labels)?.encode_gauge(number)?;
            }
        }
        for (name, (help, series)) in &self.fractions {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, number) in series {
                family.encode_family(labels)?.encode_gauge(number)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_labels_become_series() {
        let mut families = BTreeMap::new();
        let rows = [
            ("larder_requests_total;route=it\"ems;outcome=hit".to_owned(), 3),
            ("larder_requests_total;route=b;outcome=hit".to_owned(), 4),
            ("odd name{}".to_owned(), 1),
        ];
        take_up(&mut families, &rows);
        let mut registry = Registry::default();
        let snapshot = Snapshot { counters: families, gauges: BTreeMap::new(), fractions: BTreeMap::new() };
        registry.register_collector(Box::new(snapshot));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("text");
        assert!(out.contains(r#"larder_fleet_requests_total{route="it\"ems",outcome="hit"} 3"#), "{out}");
        assert!(out.contains("larder_fleet_odd_name___total 1"), "{out}");
        assert_eq!(out.matches("# TYPE larder_fleet_requests counter").count(), 1, "{out}");
    }
}
