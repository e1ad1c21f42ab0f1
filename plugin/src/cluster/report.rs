//! What this VM has counted, for the cluster: once a second, beside Envoy's own counters.
//!
//! A report that did not arrive goes along with the next.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use larder_core::cluster::message::{Message, Report, StoreAnswer};
use larder_core::cluster::{Call, CallFailure, LOG_NAME, TELL_TIMEOUT};
use larder_core::time::{Millis, Timestamp};

use super::{Errand, Purpose, follow, run};
use crate::metrics;
use crate::vm::{Plugin, SharedCache};

/// A report under way.
pub struct Reporting {
    counts: Vec<(String, u64)>,
}

thread_local! {
    static LAST: RefCell<(bool, Timestamp)> = const { RefCell::new((false, Timestamp(0))) };
}

/// Between two reports.
const EVERY: Millis = Millis(1000);

pub(super) fn tick(root: u32, now: Timestamp, plugin: &Rc<Plugin>, cache: &SharedCache) {
    let due = LAST.with_borrow(|(under_way, last)| !under_way && now.since(*last) >= EVERY);
    if !due || plugin.is_leaving() {
        return;
    }
    let counts = metrics::take_report();
    LAST.with_borrow_mut(|last| *last = (!counts.is_empty(), now));
    if counts.is_empty() {
        return;
    }
    // Which URLs are asked for most shows in the next report as well: these are not kept for it.
    let keys = metrics::take_keys();
    let message = Report { worker: follow::name(), counts: counts.clone(), gauges: metrics::gauges(), keys };
    let call =
        Call { path: Report::PATH, name: LOG_NAME.to_owned(), body: message.encode(), timeout: TELL_TIMEOUT, group: 0 };
    let purpose = Purpose::Report(Reporting { counts });
    run(root, Errand { call, plugin: plugin.clone(), cache: cache.clone(), purpose });
}

pub(super) fn answered(reporting: Reporting, answer: Result<Bytes, CallFailure>) {
    LAST.with_borrow_mut(|last| last.0 = false);
    if answer.ok().and_then(StoreAnswer::decode).is_none() {
        lost(reporting);
    }
}

/// The report's root is gone, or the report did not arrive.
pub(super) fn lost(reporting: Reporting) {
    LAST.with_borrow_mut(|last| last.0 = false);
    for (name, count) in reporting.counts {
        metrics::report(&name, count);
    }
}
