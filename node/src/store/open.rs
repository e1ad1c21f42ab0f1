//! Opens the store that a URL names.
//!
//! | URL | parameters and their defaults |
//! |---|---|
//! | `memory:` | `bytes=256MiB` |
//! | `disk:/path` | `bytes=10GiB` of files, `memory=256MiB`, `timeout=1s` |
//! | `memcached://host:port,host2:port2` | `connect=250ms`, `timeout=100ms`, `connections=16` to each server |
//! | `redis://user:password@host:port/db` | `connect=250ms`, `timeout=100ms`, `connections=2`, `prefix=larder` |
//! | `redis-sentinel://…@host:port,host2:port2/service/db` | as well, and the sentinels' own `sentinel-user`, `sentinel-password` |
//! | `redis-cluster://…@host:port,host2:port2` | as `redis` |
//! | `rediss://…`, `rediss-sentinel://…`, `rediss-cluster://…` | as well, over TLS, and `ca=/file` for a private authority |
//!
//! A disk store's path is taken as it is, up to the `?`.

use std::sync::Arc;

use super::memory::{self, MemoryStore};
use super::url::{OpenError, StoreUrl};
use super::{Store, memory::BYTES_MIN};
use crate::clock::SystemClock;

/// Every scheme there is, whether or not it is built in.
const SCHEMES: &str = "memory:, disk:/path, memcached://host, redis://host, rediss://host, redis-sentinel://host/master, redis-cluster://host";

/// Opens a store. A server that is not there yet is no error: the store then is one that cannot be reached.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    if url.starts_with("redis") {
        return redis(url).await;
    }
    let url = StoreUrl::parse(url)?;
    match url.scheme {
        memory::KIND => memory(url),
        "disk" => disk(url).await,
        "memcached" => memcached(url),
        scheme => Err(OpenError::wrong("the scheme", scheme, format!("one of: {SCHEMES}"))),
    }
}

fn memory(url: StoreUrl<'_>) -> Result<Arc<dyn Store>, OpenError> {
    let mut parameters = url.parameters;
    let bytes_max = parameters.size("bytes", memory::BYTES_DEFAULT, BYTES_MIN)?;
    parameters.finish()?;
    if !matches!(url.rest, "" | "//") {
        return Err(OpenError::wrong("what follows memory:", url.rest, "nothing, or ?bytes=256MiB"));
    }
    Ok(Arc::new(MemoryStore::new(bytes_max, SystemClock)))
}

#[cfg(feature = "disk")]
async fn disk(url: StoreUrl<'_>) -> Result<Arc<dyn Store>, OpenError> {
    use super::StoreError;
    use super::disk::{BYTES_MIN as FILE_BYTES_MIN, DiskOptions, DiskStore, KIND};

    let mut parameters = url.parameters;
    let defaults = DiskOptions::default();
    let options = DiskOptions {
        bytes_max: parameters.size("bytes", defaults.bytes_max, FILE_BYTES_MIN)?,
        memory_bytes_max: parameters.size("memory", defaults.memory_bytes_max, BYTES_MIN)?,
        timeout: parameters.span("timeout", defaults.timeout)?,
    };
    parameters.finish()?;
    // disk:///path is the same; with anything between the slashes it would be a host.
    let path = match url.rest.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => {
            return Err(OpenError::wrong("the path", url.rest, "disk:/path or disk:///path: there is no host"));
        }
        Some(path) => path,
        None => url.rest,
    };
    if path.is_empty() {
        return Err(OpenError::wrong("the path", path, "the folder to keep files in, as in disk:/var/lib/larder"));
    }
    let path = std::path::PathBuf::from(path);
    // A large folder takes seconds to read.
    let opened = tokio::task::spawn_blocking(move || DiskStore::open(&path, &options, SystemClock)).await;
    let store = opened.map_err(|stopped| StoreError::Unreachable { store: KIND, why: stopped.to_string() })??;
    Ok(Arc::new(store))
}

#[cfg(feature = "memcached")]
fn memcached(url: StoreUrl<'_>) -> Result<Arc<dyn Store>, OpenError> {
    use super::memcached::{CONNECTIONS_MAX, MemcachedOptions, MemcachedStore, PORT};

    let mut parameters = url.parameters;
    let defaults = MemcachedOptions::default();
    let options = MemcachedOptions {
        connect: parameters.span("connect", defaults.connect)?,
        timeout: parameters.span("timeout", defaults.timeout)?,
        connections: parameters.number("connections", defaults.connections, 1, CONNECTIONS_MAX)?,
    };
    parameters.finish()?;
    let listed = url.rest.strip_prefix("//").unwrap_or_default();
    let listed = listed.strip_suffix('/').unwrap_or(listed);
    let servers = listed.split(',').map(|server| host_and_port(server, PORT)).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(MemcachedStore::new(&servers, &options, SystemClock)))
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`, with the port that is usual where none is given.
#[cfg(feature = "memcached")]
fn host_and_port(text: &str, usual: u16) -> Result<String, OpenError> {
    let wrong =
        || OpenError::wrong("a server", text, "host or host:port (IPv6 in brackets), several with commas between");
    let (host, port) = match text.rsplit_once(':') {
        // A colon within brackets is part of the address.
        Some((_, after)) if after.ends_with(']') => (text, usual),
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (text, usual),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => url::Host::parse(host).is_ok(),
    };
    if !good || port == 0 {
        return Err(wrong());
    }
    Ok(format!("{host}:{port}"))
}

#[cfg(not(feature = "disk"))]
async fn disk(url: StoreUrl<'_>) -> Result<Arc<dyn Store>, OpenError> {
    Err(not_built(&url))
}

#[cfg(not(feature = "memcached"))]
fn memcached(url: StoreUrl<'_>) -> Result<Arc<dyn Store>, OpenError> {
    Err(not_built(&url))
}

/// Redis and Valkey: one server, Sentinel, Cluster.
#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    use crate::redis_link::redacted;

    let opened = super::redis::RedisStore::open(url).await;
    Ok(Arc::new(opened.map_err(|why| OpenError::wrong("the URL", redacted(url), format!("a Redis URL ({why})")))?))
}

#[cfg(not(feature = "redis"))]
async fn redis(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    Err(not_built(&StoreUrl::parse(url)?))
}

#[cfg(not(all(feature = "disk", feature = "memcached", feature = "redis")))]
fn not_built(url: &StoreUrl<'_>) -> OpenError {
    OpenError::wrong("the scheme", url.scheme, "a store that this build contains (see the features of larder-node)")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(url: &str) -> String {
        match open(url).await {
            Ok(store) => panic!("{url} opened a {} store", store.kind()),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn memory_is_opened_with_its_limit() {
        let store = open("memory:").await.expect("a store");
        assert_eq!((store.kind(), store.usage().memory_bytes_max), ("memory", Some(256 << 20)));
        let store = open("memory:?bytes=3MiB").await.expect("a store");
        assert_eq!(store.usage().memory_bytes_max, Some(3 << 20));
        open("memory://").await.expect("a store");
    }

    #[tokio::test]
    async fn errors_name_the_part_and_what_is_allowed() {
        for (url, words) in [
            ("", &["the scheme", "memory:"][..]),
            ("memory", &["the scheme", "\"memory\"", "disk:/path"]),
            ("mysql://x", &["\"mysql\"", "memcached://host", "redis-cluster://"]),
            ("memory:?byte=1MiB", &["a parameter", "\"byte\"", "one of: bytes"]),
            ("memory:?bytes=1MiB&bytes=2MiB", &["bytes", "once"]),
            ("memory:?bytes=lots", &["parameter bytes", "\"lots\"", "256MiB"]),
            ("memory:?bytes=10", &["parameter bytes", "1048576"]),
            ("memory:/path", &["what follows memory:", "/path"]),
        ] {
            let error = error(url).await;
            assert!(words.iter().all(|word| error.contains(word)), "{url}: {error}");
        }
    }

    #[cfg(feature = "disk")]
    #[tokio::test]
    async fn disk_is_opened_at_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/for it");
        let store =
            open(&format!("disk:{}?bytes=64MiB&memory=8MiB&timeout=2s", path.display())).await.expect("a store");
        let usage = store.usage();
        assert_eq!((usage.disk_bytes_max, usage.memory_bytes_max), (Some(64 << 20), Some(8 << 20)));
        assert!(path.join("larder.lock").exists());
        let again = error(&format!("disk:{}", path.display())).await;
        assert!(again.contains("in use by another process"), "{again}");
        for (url, word) in
            [("disk:", "disk:/var/lib/larder"), ("disk://host/path", "no host"), ("disk:/dev/null/x", "/dev/null/x")]
        {
            let error = error(url).await;
            assert!(error.contains(word), "{url}: {error}");
        }
    }

    #[cfg(feature = "memcached")]
    #[tokio::test]
    async fn memcached_takes_several_servers() {
        for url in [
            "memcached://a",
            "memcached://a:1,b,10.0.0.1:3",
            "memcached://[::1],[::1]:2/?connect=1s&timeout=1s&connections=4",
        ] {
            assert_eq!(open(url).await.expect("a store").kind(), "memcached");
        }
        assert_eq!(host_and_port("a", 7), Ok("a:7".to_owned()));
        assert_eq!(host_and_port("[::1]", 7), Ok("[::1]:7".to_owned()));
        assert_eq!(host_and_port("[::1]:8", 7), Ok("[::1]:8".to_owned()));
        for (url, word) in [
            ("memcached:", "a server"),
            ("memcached://", "a server"),
            ("memcached://a,", "a server"),
            ("memcached://a:x", "\"a:x\""),
            ("memcached://a:0", "\"a:0\""),
            ("memcached://::1", "brackets"),
            ("memcached://a?timeout=0ms", "parameter timeout"),
            ("memcached://a?connections=0", "from 1 to 1024"),
            ("memcached://a?time=1s", "one of: connect, timeout, connections"),
        ] {
            let error = error(url).await;
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
