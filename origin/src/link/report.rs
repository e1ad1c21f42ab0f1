//! What was counted, for the cluster: once a second. A report that did not arrive goes along with the next.

use std::sync::Weak;
use std::time::Duration;

use larder_core::cluster::message::{Message, Report, StoreAnswer};
use larder_core::cluster::{Call, LOG_NAME, TELL_TIMEOUT};

use crate::cache::Cache;

const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(cache: Weak<Cache>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(cache) = cache.upgrade() else { return };
        let Some(link) = &cache.link else { return };
        let (counts, keys) = cache.take_counts();
        if counts.is_empty() {
            continue;
        }
        let ((bytes, stored), _) =
            cache.step(|inner, _, _| (inner.worker.shelf.bytes(), inner.worker.shelf.len() as u64));
        let gauges = vec![("larder_l1_bytes".to_owned(), bytes), ("larder_l1_keys".to_owned(), stored)];
        // Which URLs are asked for most shows in the next report as well: these are not kept for it.
        let message = Report { worker: link.name.clone(), counts: counts.clone(), gauges, keys };
        let call = Call {
            path: Report::PATH,
            name: LOG_NAME.to_owned(),
            body: message.encode(),
            timeout: TELL_TIMEOUT,
            group: 0,
        };
        if link.call(&call).await.ok().and_then(StoreAnswer::decode).is_none() {
            cache.give_back_counts(counts);
        }
    }
}
