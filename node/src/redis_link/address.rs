//! What a URL says of a Redis: where it is, how to log in, how long to wait.
//!
//! ```text
//! redis://[user:password@]host[:port][/db]
//! redis-sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]
//! redis-cluster://[user:password@]host[:port][,host[:port]…]
//! ```
//!
//! With `rediss` in place of `redis`: over TLS. Parameters are checked here where store and log share them; the others are left
//! to the caller. A parameter that nobody knows is an error, so that a typing error does not become a default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// A Redis, and how to reach it.
#[derive(Clone)]
pub(crate) struct Address {
    pub topology: Topology,
    pub tls: bool,
    pub login: Login,
    /// For the sentinels themselves.
    pub sentinel_login: Login,
    pub db: i64,
    /// A private authority's certificates, PEM.
    pub ca: Option<PathBuf>,
    /// Time for a connection, and again for logging in.
    pub connect: Duration,
    /// Time for an answer.
    pub timeout: Duration,
    /// What all keys begin with.
    pub prefix: String,
    /// Parameters that are the caller's.
    pub rest: BTreeMap<String, String>,
}

/// A user and a password, or neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One server.
    Single(Host),
    /// The master that sentinels name.
    Sentinel { sentinels: Vec<Host>, service: String },
    /// A cluster that these nodes belong to.
    Cluster(Vec<Host>),
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub name: String,
    pub port: u16,
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const CONNECT_DEFAULT: Duration = Duration::from_millis(250);
const PREFIX_DEFAULT: &str = "larder";
const PREFIX_MAX: usize = 64;

impl Address {
    /// Reads a URL; the error says what is wrong with it and shows nothing that is secret.
    pub fn parse(url: &str, timeout_default: Duration) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("write redis://host")?;
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or("its scheme is not redis")?),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The last one: a password may hold an @.
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut address = Self {
            topology: Topology::Cluster(Vec::new()),
            tls,
            login: login.map(Login::parse).transpose()?.unwrap_or_default(),
            sentinel_login: Login::default(),
            db: 0,
            ca: None,
            connect: CONNECT_DEFAULT,
            timeout: timeout_default,
            prefix: PREFIX_DEFAULT.to_owned(),
            rest: BTreeMap::new(),
        };
        address.topology = match kind {
            "" => {
                address.db = db(path)?;
                match <[Host; 1]>::try_from(self::hosts(hosts, PORT)?) {
                    Ok([host]) => Topology::Single(host),
                    Err(_) => return Err("several hosts are redis-cluster:// or redis-sentinel://".to_owned()),
                }
            }
            "-sentinel" => {
                let (service, path) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err("name the service that the sentinels watch: redis-sentinel://host/service".to_owned());
                }
                address.db = db(path)?;
                Topology::Sentinel { sentinels: self::hosts(hosts, SENTINEL_PORT)?, service: decoded(service)? }
            }
            "-cluster" if path.is_empty() => Topology::Cluster(self::hosts(hosts, PORT)?),
            "-cluster" => return Err("a cluster has one database only: leave out what follows the hosts".to_owned()),
            _ => {
                return Err(
                    "there are redis://, redis-sentinel:// and redis-cluster://, each with rediss, too".to_owned()
                );
            }
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            address.parameter(&name, &value)?;
        }
        Ok(address)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "connect" => self.connect = duration(name, value)?,
            "timeout" => self.timeout = duration(name, value)?,
            "ca" if self.tls => self.ca = Some(PathBuf::from(value)),
            "ca" => return Err("ca is for rediss only".to_owned()),
            "prefix" => self.prefix = prefix(value)?,
            "sentinel-user" => self.sentinel_login.user = Some(value.to_owned()),
            "sentinel-password" => self.sentinel_login.password = Some(value.to_owned()),
            _ => {
                self.rest.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// Takes a number out of the caller's parameters.
    pub fn number(&mut self, name: &str, default: usize, most: usize) -> Result<usize, String> {
        let Some(value) = self.rest.remove(name) else { return Ok(default) };
        match value.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            _ => Err(format!("{name}={value}: write a number from 1 to {most}")),
        }
    }

    /// Takes a duration out of the caller's parameters.
    pub fn duration(&mut self, name: &str, default: Duration) -> Result<Duration, String> {
        self.rest.remove(name).map_or(Ok(default), |value| duration(name, &value))
    }

    /// To be called when the caller has taken all it knows.
    pub fn finish(&self, known: &str) -> Result<(), String> {
        match self.rest.keys().next() {
            Some(name) => {
                Err(format!("there is no parameter {name:?}; there are connect, timeout, prefix, ca, {known}"))
            }
            None => Ok(()),
        }
    }
}

/// A URL with neither user nor password, for errors.
pub(crate) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let shown = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, rest)| format!("…@{rest}"));
    let mut shown = format!("{scheme}://{shown}");
    for (n, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        let pair = if pair.starts_with("sentinel-") { "sentinel-…" } else { pair };
        shown = format!("{shown}{}{pair}", if n == 0 { '?' } else { '&' });
    }
    shown
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("topology", &self.topology).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, String> {
        let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
        let user = (!user.is_empty()).then(|| decoded(user)).transpose()?;
        Ok(Self { user, password: password.map(decoded).transpose()? })
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| "what is percent-encoded in it is not UTF-8")?.into_owned())
}

fn hosts(text: &str, port: u16) -> Result<Vec<Host>, String> {
    text.split(',').map(|text| host(text, port)).collect()
}

fn host(text: &str, port_default: u16) -> Result<Host, String> {
    // An IPv6 address stands in brackets.
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, port)) => (name, Some(port.strip_prefix(':').ok_or_else(|| format!("{text:?} is no host"))?)),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() {
        return Err("a host is missing".to_owned());
    }
    let port = match port.map(str::parse) {
        None => port_default,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err(format!("{text:?}: write a port from 1 to 65535")),
    };
    Ok(Host { name: name.to_owned(), port })
}

fn db(path: &str) -> Result<i64, String> {
    match path {
        "" => Ok(0),
        number => match number.parse() {
            Ok(number) if number >= 0 => Ok(number),
            _ => Err(format!("/{number}: write the database's number")),
        },
    }
}

fn duration(name: &str, value: &str) -> Result<Duration, String> {
    let wrong = || format!("{name}={value}: write a time from 1ms to 60s, such as 250ms or 2s");
    let (number, unit) = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => return Err(wrong()),
    };
    let ms = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    ms.filter(|ms| (1..=60_000).contains(ms)).map(Duration::from_millis).ok_or_else(wrong)
}

/// Goes into keys, between braces in the log's: what decides a cluster's slot must stay what we mean.
fn prefix(value: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if value.is_empty() || value.len() > PREFIX_MAX || !value.bytes().all(good) {
        return Err(format!("prefix={value}: write 1 to {PREFIX_MAX} of A-Z a-z 0-9 - _ . :"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url, Duration::from_millis(100))
    }

    fn at(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    #[test]
    fn every_form_is_read() {
        let plain = parse("redis://h").unwrap();
        assert_eq!(plain.topology, Topology::Single(at("h", 6379)));
        assert!(!plain.tls && plain.login == Login::default() && plain.db == 0);
        assert_eq!((plain.connect.as_millis(), plain.timeout.as_millis(), &*plain.prefix), (250, 100, "larder"));

        let full = parse("rediss://u%3A:p%40@@[::1]:7/3?connect=1s&timeout=5ms&prefix=a:b&ca=/x&keep=9").unwrap();
        assert_eq!(full.topology, Topology::Single(at("::1", 7)));
        assert_eq!((full.login.user.as_deref(), full.login.password.as_deref()), (Some("u:"), Some("p@@")));
        assert_eq!((full.connect.as_millis(), full.timeout.as_millis(), &*full.prefix, full.db), (1000, 5, "a:b", 3));
        assert_eq!(full.rest.get("keep").map(String::as_str), Some("9"));

        let sentinel = parse("redis-sentinel://:s@a,b:1/main/2?sentinel-password=x").unwrap();
        let sentinels = vec![at("a", 26379), at("b", 1)];
        assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, service: "main".to_owned() });
        assert_eq!((sentinel.db, sentinel.login.user, sentinel.login.password.as_deref()), (2, None, Some("s")));
        assert_eq!(sentinel.sentinel_login.password.as_deref(), Some("x"));

        let cluster = parse("rediss-cluster://a,b:2").unwrap();
        assert_eq!(cluster.topology, Topology::Cluster(vec![at("a", 6379), at("b", 2)]));
        assert!(cluster.tls);
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_with_it() {
        for (url, says) in [
            ("redis:h", "redis://host"),
            ("http://u:secret@h", "not redis"),
            ("redis-x://u:secret@h", "redis-cluster://"),
            ("redis://u:secret@a,b", "several hosts"),
            ("redis://u:secret@", "host is missing"),
            ("redis://u:secret@h:0", "from 1 to 65535"),
            ("redis://u:secret@[::1]x", "no host"),
            ("redis://u:secret@h/x", "database's number"),
            ("redis-sentinel://u:secret@h", "name the service"),
            ("redis-cluster://u:secret@h/1", "one database"),
            ("redis://u:%ff@h", "not UTF-8"),
            ("redis://u:secret@h?timeout=5", "250ms or 2s"),
            ("redis://u:secret@h?timeout=0ms", "from 1ms"),
            ("redis://u:secret@h?timeout=99999999999999999999s", "from 1ms"),
            ("redis://u:secret@h?prefix={x}", "A-Z"),
            ("redis://u:secret@h?ca=/x", "rediss only"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
            assert!(!redacted(url).contains("secret"), "{url}");
        }
        let mut unknown = parse("redis://h?kep=1").unwrap();
        assert_eq!(unknown.number("keep", 7, 10), Ok(7));
        assert!(unknown.finish("keep").unwrap_err().contains("\"kep\""));
        assert_eq!(redacted("redis://u:p@h/1?sentinel-password=p&a=b"), "redis://…@h/1?sentinel-…&a=b");
        assert!(!format!("{:?}", parse("redis://u:secret@h").unwrap()).contains("secret"));
    }
}
