//! What an exchange asks for beside its verdict, as tasks.

use std::sync::Arc;

use larder_core::cluster::Call;
use larder_core::cluster::message::{Message, StoreAnswer};
use larder_core::exchange::{Answer, Effect};
use tokio::runtime::Handle;

use crate::cache::Cache;

/// Carries out what needs no inner service.
pub(crate) fn carry_out(cache: &Arc<Cache>, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Tell(call) => tell(cache, *call),
            Effect::Invalidate(invalidation) => {
                if let (Some(call), Some(link)) = (invalidation.call, &cache.link) {
                    link.purge(call, invalidation.last);
                }
            }
            // Only a request that comes in begins one, and its service is at hand then.
            Effect::Refresh(refresh) => {
                let ((), more) = cache.step(|inner, now, out| {
                    let worker = inner.worker_for(refresh.policy());
                    refresh.finish(now, Answer::Failed, worker, out);
                });
                carry_out(cache, more);
            }
            // Told under the lock; asked by the stream itself; asked for where a node was to serve, which none is here.
            Effect::Wake(..) | Effect::Lookup(_) | Effect::Fetch(_) => {}
        }
    }
}

/// Tells the cluster. Without a runtime (a request dropped outside of one), or with too much being told already, nobody is told:
/// leases end by themselves, and what was not stored costs a hit.
pub(crate) fn tell(cache: &Arc<Cache>, call: Call) {
    let Some(link) = &cache.link else { return };
    let (Ok(runtime), Ok(permit)) = (Handle::try_current(), link.told.clone().try_acquire_owned()) else { return };
    let cache = cache.clone();
    runtime.spawn(async move {
        let _permit = permit;
        let answered = cache.call(&call).await.ok().and_then(StoreAnswer::decode).is_some();
        cache.step(|inner, now, _| inner.worker.note_call(now, answered));
    });
}
