//! A log from its URL.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DiskLog, KEEP_DEFAULT, Log, LogId, MemoryLog};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL does not name a log.
    #[error("{url:?} names no purge log: {why}")]
    Url {
        /// As given, without what is secret in it.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The folder cannot be used.
    #[error("cannot {action} the purge log in {folder}: {source}", folder = folder.display())]
    Disk {
        /// Where.
        folder: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the purge log in {folder} is in use by another process", folder = folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// The system has no random numbers.
    #[error("no identity for the purge log: {0}")]
    Random(#[from] getrandom::Error),
}

/// Opens the log that a URL names, each with `?keep=N` (the newest N records, 65536 by default):
///
/// - `memory:`
/// - `disk:/folder`
/// - `redis://host`, `redis-sentinel://host,host/service`, `redis-cluster://host,host`, each with `rediss` for TLS, with a login
///   (`user:password@`) and `connect=250ms`, `timeout=500ms`, `lag=1s` (how long it may go unheard), `prefix=larder`, `ca=/file`.
///
/// A Redis that does not answer now is no error: the log says so until it does.
pub async fn open(url: &str) -> Result<Arc<dyn Log>, OpenError> {
    #[cfg(feature = "redis")]
    if url.starts_with("redis") {
        let bad = |why| OpenError::Url { url: crate::redis_link::redacted(url), why };
        return Ok(Arc::new(super::RedisLog::open(url).await.map_err(bad)?));
    }
    let bad = |why: String| OpenError::Url { url: url.to_owned(), why };
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = before.split_once(':').ok_or_else(|| bad("it has no scheme".to_owned()))?;
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryLog::new(LogId::random()?, keep(query).map_err(bad)?))),
        "disk" if rest.starts_with('/') => {
            let (folder, keep) = (Path::new(rest).to_owned(), keep(query).map_err(bad)?);
            let opened = tokio::task::spawn_blocking(move || DiskLog::open(&folder, keep)).await;
            let opened = opened.map_err(|error| bad(format!("opening it ended: {error}")))?;
            Ok(Arc::new(opened?))
        }
        "memory" => Err(bad("write memory:".to_owned())),
        "disk" => Err(bad("write disk:/folder, with the whole path".to_owned())),
        _ => Err(bad("write memory:, disk:/folder or redis://host".to_owned())),
    }
}

/// `keep=N`, and nothing else.
fn keep(query: &str) -> Result<usize, String> {
    let mut keep = KEEP_DEFAULT;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "keep" => keep = count(&name, &value)?,
            _ => return Err(format!("there is no parameter {name:?}; there is keep")),
        }
    }
    Ok(keep)
}

/// A number of records.
fn count(name: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name}={value}: write a number from 1 on")),
    }
}

/// The URL of the log that goes with a store's: as durable as what it vouches for, where that can be. Memcached keeps none, so
/// beside it the log is in memory, and after a restart everything stored counts as purged.
pub fn beside(store: &str) -> String {
    let (before, query) = store.split_once('?').unwrap_or((store, ""));
    match before.split_once(':') {
        Some(("disk", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            format!("disk:{}.log", path.trim_end_matches('/'))
        }
        Some((scheme, _)) if scheme.starts_with("redis") => {
            let both = |pair: &&str| ["ca=", "connect=", "prefix="].iter().any(|name| pair.starts_with(name));
            let kept: Vec<&str> = query.split('&').filter(both).collect();
            if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) }
        }
        _ => "memory:".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_as_durable_as_its_store() {
        for (store, log) in [
            ("memory:", "memory:"),
            ("memory:?bytes=1GiB", "memory:"),
            ("disk:/var/larder?bytes=1GiB", "disk:/var/larder.log"),
            ("disk:///var/larder/", "disk:/var/larder.log"),
            ("redis://h:1/2", "redis://h:1/2"),
            ("rediss://u:p@h?ca=/c&timeout=1s", "rediss://u:p@h?ca=/c"),
            ("redis-cluster://a,b", "redis-cluster://a,b"),
            ("memcached://h", "memory:"),
        ] {
            assert_eq!(beside(store), log, "{store}");
        }
    }
}
