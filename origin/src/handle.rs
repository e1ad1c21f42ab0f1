//! What an application does with its cache beside having it answer.

use std::sync::Arc;

use larder_core::exchange::Effect;
use larder_core::key::canonical_url;
use larder_core::purge::{Mode, Scope};

use crate::builder::{self, BuildError};
use crate::cache::Cache;
use crate::effects;

/// A layer's cache in the application's hand. Cheap to clone.
///
/// Purges hold here at once; where the cache is part of a cluster, its other members hear of them as soon as the log has them.
/// What was asked for before a purge and answered after it is covered as well.
///
/// A purge that must survive this process goes through [`crate::Invalidator`] instead.
///
/// ```
/// # let cache = larder_origin::CacheLayer::builder().policy(r#"{"version":1,"name":"shop"}"#).build().unwrap();
/// let handle = cache.handle();
/// handle.purge_tag("product-42");
/// handle.purge_url("http://shop.example/v1/products/42")?;
/// # Ok::<(), larder_origin::UrlError>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) cache: Arc<Cache>,
}

/// A text that names nothing to purge.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

/// What was not written when the cache was closed: later requests miss it, or, where it is a purge, may be served what it covers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CloseError(String);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self { cache }
    }

    /// Purges every response with a tag, compared whole.
    pub fn purge_tag(&self, tag: impl Into<String>) {
        self.purge(Scope::Tag(tag.into()), Mode::Hard);
    }

    /// Makes every response with a tag stale: it is served once more while it is refreshed, where the policy allows that.
    pub fn soft_purge_tag(&self, tag: impl Into<String>) {
        self.purge(Scope::Tag(tag.into()), Mode::Soft);
    }

    /// Purges a URL with all its variants.
    ///
    /// # Errors
    /// It is not an `http` or `https` URL.
    pub fn purge_url(&self, url: &str) -> Result<(), UrlError> {
        self.purge(Scope::Url(canonical_url(url).map_err(UrlError)?), Mode::Hard);
        Ok(())
    }

    /// Purges every URL that begins with this one, at a border of path segments.
    ///
    /// # Errors
    /// It is not an `http` or `https` URL.
    pub fn purge_prefix(&self, url: &str) -> Result<(), UrlError> {
        self.purge(Scope::Prefix(canonical_url(url).map_err(UrlError)?), Mode::Hard);
        Ok(())
    }

    /// Purges everything.
    pub fn purge_all(&self) {
        self.purge(Scope::All, Mode::Hard);
    }

    fn purge(&self, scope: Scope, mode: Mode) {
        self.purge_several(vec![scope], mode);
    }

    /// Purges several things at once.
    pub(crate) fn purge_several(&self, scopes: Vec<Scope>, mode: Mode) {
        let purges = scopes.into_iter().map(|scope| (scope, mode)).collect();
        let ((), effects) = self.cache.step(|inner, _, out| {
            let invalidation = larder_core::exchange::invalidation(purges, &mut inner.worker);
            out.extend(invalidation.map(|invalidation| Effect::Invalidate(Box::new(invalidation))));
        });
        effects::carry_out(&self.cache, effects);
    }

    /// Another policy, for requests from now on. What is stored stays, and is judged anew. Where one is pushed to the cluster under
    /// its name, that one stays in force ([`crate::Builder::follow_policies`]).
    ///
    /// # Errors
    /// The policy is refused; the one in force stays.
    pub fn set_policy(&self, json: &str) -> Result<(), BuildError> {
        self.cache.set_policy(builder::parse(json)?);
        Ok(())
    }

    /// Waits until the cluster has been heard from for the first time, so that requests from now on are served under the policy that was
    /// pushed to it, and whoever purges waits for this cache, too. Says whether that came within the time; where there is neither a
    /// cluster nor a store, it is true at once.
    ///
    /// A layer that is built on a runtime begins to ask by itself. Nothing depends on waiting for it: what is not heard in time is heard
    /// later.
    pub async fn joined(&self, within: std::time::Duration) -> bool {
        let Some(link) = &self.cache.link else { return true };
        Cache::follow_cluster(&self.cache);
        tokio::time::timeout(within, link.heard()).await.is_ok()
    }

    /// Waits until what was stored and purged here has reached the cluster or the store, and closes the store. To be called when the
    /// application ends, with requests no more coming.
    ///
    /// # Errors
    /// It took longer than `within`, or the store could not write everything.
    pub async fn close(&self, within: std::time::Duration) -> Result<(), CloseError> {
        let Some(link) = &self.cache.link else { return Ok(()) };
        let late = || CloseError("not everything reached the cluster or the store in time".to_owned());
        tokio::time::timeout(within, link.close()).await.map_err(|_| late())?.map_err(CloseError)
    }

    /// Bytes of memory taken by stored responses.
    pub fn bytes(&self) -> u64 {
        self.cache.step(|inner, _, _| inner.worker.shelf.bytes()).0
    }

    /// Hands what has been counted to the `metrics` recorder now; else that is done once a second, with a request.
    pub fn flush_metrics(&self) {
        self.cache.report();
    }
}
