//! What is counted, as an application's recorder gets it. Other tests of this binary count, too: numbers are lower bounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::support::{Cluster, until, within};

#[derive(Clone, Default)]
struct Table(Arc<Mutex<BTreeMap<String, f64>>>);

struct Row(Table, String);

impl Row {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.0.lock().expect("not poisoned").entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Row {
    fn increment(&self, value: u64) {
        self.change(|sum| *sum += value as f64);
    }
    fn absolute(&self, value: u64) {
        self.change(|sum| *sum = value as f64);
    }
}

impl GaugeFn for Row {
    fn increment(&self, value: f64) {
        self.change(|sum| *sum += value);
    }
    fn decrement(&self, value: f64) {
        self.change(|sum| *sum -= value);
    }
    fn set(&self, value: f64) {
        self.change(|sum| *sum = value);
    }
}

impl HistogramFn for Row {
    fn record(&self, _: f64) {
        self.change(|count| *count += 1.0);
    }
}

impl Table {
    fn row(&self, key: &Key) -> Arc<Row> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Row(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn value(&self, name: &str) -> f64 {
        self.0.lock().expect("not poisoned").get(&format!("larder_invalidator_{name}")).copied().unwrap_or(-1.0)
    }
}

impl Recorder for Table {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.row(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.row(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.row(key))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_are_counted() {
    let table = Table::default();
    metrics::set_global_recorder(table.clone()).map_err(|_| "two recorders").expect("the only recorder");
    let mut cluster = Cluster::down();
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    invalidator.purge_tag("a").await.expect("queued");
    invalidator.purge_tag("x".repeat(20_000)).await.expect("queued");
    until("failed", async || table.value("failed_attempts_total{reason=failed}") >= 1.0).await;
    cluster.start().await;
    within(invalidator.flushed()).await;
    for name in ["queued_total{}", "accepted_total{}", "dead_letters_total{}", "acceptance_seconds{}"] {
        until(name, async || table.value(name) >= 1.0).await;
    }
    for name in ["waiting{}", "oldest_seconds{}"] {
        assert!(table.value(name) >= 0.0, "{name}");
    }
}
