//! Whom changes are told: an invalidator, a cache of this process, or both.

use larder_core::purge::{Mode, Scope};

use crate::handle::Handle;
use crate::invalidator::{Invalidator, NotAccepted, Purge, PurgeError};

/// Who purges what has changed. Made from an [`Invalidator`], from a layer's [`Handle`], or from both.
///
/// - An invalidator tells a cluster, and through it every edge and every layer that shares it. Nothing is lost.
/// - A handle purges the cache of this process, and needs no node. It is for a service that runs as one process: where several read
///   one outbox, each row reaches one of them only.
/// - Both, for a service whose layer has its cache to itself while edges in front of it have the cluster's.
///
/// ```no_run
/// # async fn example(changes: larder_origin::changes::SqliteChanges, layer: larder_origin::CacheLayer,
/// #     invalidator: larder_origin::Invalidator) {
/// let following = changes.follow((invalidator, layer.handle()));
/// # following.stop().await; }
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    handle: Option<Handle>,
    invalidator: Option<Invalidator>,
}

impl From<Invalidator> for Target {
    fn from(invalidator: Invalidator) -> Self {
        Self { handle: None, invalidator: Some(invalidator) }
    }
}

impl From<Handle> for Target {
    fn from(handle: Handle) -> Self {
        Self { handle: Some(handle), invalidator: None }
    }
}

impl From<(Invalidator, Handle)> for Target {
    fn from((invalidator, handle): (Invalidator, Handle)) -> Self {
        Self { handle: Some(handle), invalidator: Some(invalidator) }
    }
}

impl Target {
    /// Returns when the purge is kept.
    pub(super) async fn hand_on(&self, scopes: Vec<Scope>, mode: Mode) -> Result<(), PurgeError> {
        if let Some(handle) = &self.handle {
            handle.purge_several(scopes.clone(), mode);
        }
        let Some(invalidator) = &self.invalidator else { return Ok(()) };
        let mut ticket = invalidator.purge(Purge::of(scopes, mode)).await?;
        // Without a disk, the outbox is what keeps it. And a queue that fills would become a purge of everything, while here there is room.
        if !invalidator.is_durable() || invalidator.is_half_full() {
            return match ticket.accepted().await {
                // What was refused for good is with the dead letters.
                Ok(_) | Err(NotAccepted::Refused { .. }) => Ok(()),
                Err(NotAccepted::ShutDown) => Err(PurgeError::ShutDown),
            };
        }
        Ok(())
    }
}
