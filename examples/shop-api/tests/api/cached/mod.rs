//! The shop with `--cache`: what is a hit, and that nobody sees what was true before a change.

mod cluster;
mod database;
mod edge;
mod program;
mod reads;
mod writes;

use crate::support::{Reply, Shop};

impl Reply {
    /// What the cache says of itself: `hit`, `fwd=uri-miss; stored`.
    fn cache_status(&self) -> &str {
        let status = self.header("cache-status").strip_prefix("Larder-Origin; ").unwrap_or_default();
        if status.starts_with("hit") { "hit" } else { status }
    }
}

impl Shop {
    /// GETs each path until it is stored.
    async fn fill(&self, paths: &[&str]) {
        for path in paths {
            crate::support::until("it is stored", async || self.get(path).await.cache_status() == "hit").await;
        }
    }

    /// Asserts what the cache does for each path.
    async fn are(&self, paths: &[&str], status: &str) {
        for path in paths {
            assert_eq!(self.get(path).await.cache_status(), status, "{path}");
        }
    }
}
