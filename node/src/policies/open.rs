//! A store of policies from its URL.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DiskPolicies, MemoryPolicies, PolicyStore};

/// Why a store of policies could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL does not name one.
    #[error("{url:?} names no store of policies: {why}")]
    Url {
        /// As given, without what is secret in it.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The folder cannot be used.
    #[error("cannot {action} the policies in {path}: {source}", path = path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the policies in {folder} are in use by another process", folder = folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
}

/// Opens the store of policies that a URL names:
///
/// - `memory:`
/// - `disk:/folder`
/// - `redis://host`, `redis-sentinel://host,host/service`, `redis-cluster://host,host`, each with `rediss` for TLS, with a login
///   (`user:password@`) and `connect=250ms`, `timeout=500ms`, `prefix=larder`, `ca=/file`.
///
/// A Redis that does not answer now is no error: the store says so until it does.
pub async fn open(url: &str) -> Result<Arc<dyn PolicyStore>, OpenError> {
    #[cfg(feature = "redis")]
    if url.starts_with("redis") {
        let bad = |why| OpenError::Url { url: crate::redis_link::redacted(url), why };
        return Ok(Arc::new(super::RedisPolicies::open(url).await.map_err(bad)?));
    }
    let bad = |why: &str| OpenError::Url { url: url.to_owned(), why: why.to_owned() };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryPolicies::default())),
        Some(("memory", _)) => Err(bad("write memory:")),
        Some(("disk", path)) if path.starts_with('/') && !path.contains('?') => {
            let folder = Path::new(path).to_owned();
            let opened = tokio::task::spawn_blocking(move || DiskPolicies::open(&folder)).await;
            Ok(Arc::new(opened.map_err(|error| bad(&format!("opening it ended: {error}")))??))
        }
        Some(("disk", _)) => Err(bad("write disk:/folder, with the whole path and nothing after it")),
        _ => Err(bad("write memory:, disk:/folder or redis://host")),
    }
}

/// The URL of the store of policies that goes with a purge log's: what nodes share a log share policies.
pub fn beside(log: &str) -> String {
    let (before, query) = log.split_once('?').unwrap_or((log, ""));
    match before.split_once(':') {
        Some(("disk", path)) => {
            let path = path.trim_end_matches('/');
            format!("disk:{}.policies", path.strip_suffix(".log").unwrap_or(path))
        }
        Some((scheme, _)) if scheme.starts_with("redis") => {
            // The others are the log's own.
            let own = |pair: &&str| !["keep=", "lag="].iter().any(|name| pair.starts_with(name));
            let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).filter(own).collect();
            if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) }
        }
        _ => "memory:".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_where_the_log_is() {
        for (log, policies) in [
            ("memory:", "memory:"),
            ("memory:?keep=9", "memory:"),
            ("disk:/var/larder.log", "disk:/var/larder.policies"),
            ("disk:/var/purges/?keep=9", "disk:/var/purges.policies"),
            ("redis://h:1/2?keep=9&prefix=p&lag=1s", "redis://h:1/2?prefix=p"),
            ("rediss://u:p@h?ca=/c&timeout=1s", "rediss://u:p@h?ca=/c&timeout=1s"),
            ("redis-cluster://a,b", "redis-cluster://a,b"),
        ] {
            assert_eq!(beside(log), policies, "{log}");
        }
    }
}
