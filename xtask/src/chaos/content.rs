//! What the origin answers, and what an answer that came by a cache must be. Every response names its version, in its body, its ETag and
//! a field, and its bytes follow from target, version and variant: so whoever reads one can tell whether it is whole, whose it
//! is, and how old. Objects change just before they are purged; short ones change by the clock and are never purged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Request, Response};
use crate::origin::{Received, Reply};

/// The name that clients ask for.
pub const HOST: &str = "shop.example";
const ITEMS: usize = 200;
const LARGE: usize = 8;
const TEXTS: usize = 32;
/// Objects that change and are purged.
pub const OBJECTS: usize = ITEMS + LARGE + TEXTS;
/// How many short ones there are.
pub const SHORT: u64 = 20;
/// How long a short one stays what it is, and for how long it may be kept.
const SHORT_CHANGES: Duration = Duration::from_secs(4);
const SHORT_LIVES: Duration = Duration::from_secs(2);
/// Ages are whole seconds, and the clocks of requests and of the origin are read one after the other.
const SHORT_SLACK: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One that changes and is purged.
    Object(usize),
    /// One that changes by the clock and lives for two seconds.
    Short(u64),
    /// What a user may see only.
    Account,
    /// One that nobody has asked for before.
    Cold(u64),
}

/// The policy that all this is cached by; `ttl` is what pushes change.
pub fn policy(ttl: &str) -> String {
    let route = |name: &str, path: &str, rest: &str| format!(r#"{{ "name": "{name}", "path": "{path}", {rest} }}"#);
    let routes = [
        route("item", "/items/{id}", &format!(r#""ttl": "{ttl}", "tags": ["item:{{id}}"]"#)),
        route("large", "/large/{id}", &format!(r#""ttl": "{ttl}", "tags": ["large:{{id}}"]"#)),
        route("text", "/texts/{id}", &format!(r#""ttl": "{ttl}", "tags": ["text:{{id}}"]"#)),
        route("cold", "/cold/{id}", r#""ttl": "20s""#),
    ];
    format!("{{ \"version\": 1, \"name\": \"chaos\",\n  \"routes\": [\n    {} ] }}\n", routes.join(",\n    "))
}

impl Target {
    /// Path and tag's name of an object; `None` for what has no tag.
    fn kind(self) -> (&'static str, u64, Option<&'static str>) {
        match self {
            Self::Object(index) if index < ITEMS => ("items", index as u64, Some("item")),
            Self::Object(index) if index < ITEMS + LARGE => ("large", (index - ITEMS) as u64, Some("large")),
            Self::Object(index) => ("texts", (index - ITEMS - LARGE) as u64, Some("text")),
            Self::Short(number) => ("short", number, None),
            Self::Account => ("account", 0, None),
            Self::Cold(number) => ("cold", number, None),
        }
    }

    /// The request's target.
    pub fn path(self) -> String {
        let (folder, number, _) = self.kind();
        format!("/{folder}/{number}")
    }

    /// The tag that the policy gives it.
    pub fn tag(self) -> Option<String> {
        let (_, number, tag) = self.kind();
        tag.map(|tag| format!("{tag}:{number}"))
    }

    fn parse(path: &str) -> Option<Self> {
        let (folder, number) = path.strip_prefix('/')?.split_once('/')?;
        let number: u64 = number.parse().ok()?;
        let within = |from: usize, count: usize| {
            let index = usize::try_from(number).ok().filter(|index| *index < count)?;
            Some(Self::Object(from + index))
        };
        match folder {
            "items" => within(0, ITEMS),
            "large" => within(ITEMS, LARGE),
            "texts" => within(ITEMS + LARGE, TEXTS),
            "short" => Some(Self::Short(number)),
            "account" => Some(Self::Account),
            "cold" => Some(Self::Cold(number)),
            _ => None,
        }
    }

    /// The field whose value makes another variant.
    fn varies_by(self) -> Option<&'static str> {
        match self {
            Self::Object(index) if index >= ITEMS + LARGE => Some("accept-language"),
            Self::Account => Some("authorization"),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self.kind() {
            ("large", ..) => 100 << 10,
            (_, number, _) => 200 + (number as usize % 8) * 700,
        }
    }
}

/// The versions: what the origin has, and what nobody may be older than.
#[derive(Debug)]
pub struct Content {
    begun: Instant,
    /// Of each object, at the origin.
    versions: Vec<AtomicU64>,
    /// The newest of each object whose purge was acknowledged.
    acknowledged: Vec<AtomicU64>,
    /// The newest of each object whose purge was delivered.
    delivered: Vec<AtomicU64>,
}

/// A request as it was sent, and what was known just before.
#[derive(Clone, Debug)]
pub struct Asked {
    target: Target,
    variant: String,
    etag: Option<String>,
    delivered: u64,
    acknowledged: u64,
    sent: Instant,
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// As it should be.
    Good {
        /// Why it is not from the cache; none where it is, fresh or not.
        miss: Option<&'static str>,
        /// Older than a purge that was acknowledged and not yet delivered: allowed.
        lagging: bool,
        /// Its ETag.
        etag: Option<String>,
    },
    /// Older than a purge that was delivered, or than its lifetime allows.
    Stale(String),
    /// Not what the origin ever sent to such a request.
    Wrong(String),
    /// An error, or no answer that a client could use.
    Failed(String),
}

impl Content {
    /// Everything in its first version.
    pub fn new() -> Self {
        let versions = || (0..OBJECTS).map(|_| AtomicU64::new(1)).collect();
        Self { begun: Instant::now(), versions: versions(), acknowledged: versions(), delivered: versions() }
    }

    /// Changes an object at the origin, and says what its version is now.
    pub fn change(&self, object: usize) -> u64 {
        self.versions.get(object).map_or(0, |version| version.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A purge of everything older than this version was acknowledged.
    pub fn acknowledge(&self, object: usize, version: u64) {
        raise(&self.acknowledged, object, version);
    }

    /// A purge of everything older than this version was delivered.
    pub fn deliver(&self, object: usize, version: u64) {
        raise(&self.delivered, object, version);
    }

    /// What the origin answers.
    pub fn answer(&self, received: &Received) -> Reply {
        let Some(target) = Target::parse(&received.target) else { return Reply::new(404, "") };
        let variant = target.varies_by().and_then(|name| received.field(name)).unwrap_or_default();
        let version = match target {
            Target::Object(index) => load(&self.versions, index),
            Target::Short(_) => self.short_version(Instant::now()),
            Target::Account | Target::Cold(_) => 1,
        };
        let etag = etag(target, version, variant);
        let is_known = received.field("if-none-match") == Some(&etag);
        let body = if is_known { Vec::new() } else { body(target, version, variant) };
        let reply = Reply::new(if is_known { 304 } else { 200 }, body).field("etag", etag);
        let reply = reply.field("content-type", "text/plain").field("x-version", version.to_string());
        match target {
            Target::Short(_) => reply.field("cache-control", format!("max-age={}", SHORT_LIVES.as_secs())),
            Target::Account => reply.field("cache-control", "private"),
            _ if target.varies_by().is_some() => reply.field("vary", "accept-language"),
            _ => reply,
        }
    }

    /// The request, and what has to be known of it to judge its answer.
    pub fn ask(&self, target: Target, variant: &str, etag: Option<String>) -> (Request, Asked) {
        let mut request = Request::get(target.path()).field("host", HOST);
        let variant = target.varies_by().map_or("", |_| variant).to_owned();
        if let Some(name) = target.varies_by() {
            request = request.field(name, variant.clone());
        }
        if let Some(etag) = &etag {
            request = request.field("if-none-match", etag.clone());
        }
        let (mut delivered, mut acknowledged) = (1, 1);
        if let Target::Object(index) = target {
            delivered = load(&self.delivered, index);
            acknowledged = load(&self.acknowledged, index);
        }
        (request, Asked { target, variant, etag, delivered, acknowledged, sent: Instant::now() })
    }

    /// Holds an answer against what was asked.
    pub fn judge(&self, asked: &Asked, response: &Response) -> Judgement {
        let status = response.field("cache-status").unwrap_or("no cache-status").to_owned();
        let told = |what: String| format!("{} ({:?}): {what}; {status}", asked.target.path(), asked.variant);
        let etag = response.field("etag").map(str::to_owned);
        let version = match response.status {
            200 => response.field("x-version").and_then(|version| version.parse().ok()),
            304 if asked.etag.is_none() => return Judgement::Wrong(told("a 304 that nobody asked for".to_owned())),
            304 if asked.etag != etag => return Judgement::Wrong(told(format!("a 304 for {etag:?}"))),
            304 => etag.as_deref().and_then(version_of),
            code => return Judgement::Failed(told(format!("status {code}: {}", response.text()))),
        };
        let Some(version) = version else { return Judgement::Wrong(told("no version".to_owned())) };
        if etag.as_deref() != Some(&*self::etag(asked.target, version, &asked.variant)) {
            return Judgement::Wrong(told(format!("version {version} with the ETag {etag:?}")));
        }
        if response.status == 200 && response.body != body(asked.target, version, &asked.variant) {
            let begin: String = response.text().chars().take(60).collect();
            return Judgement::Wrong(told(format!("{} bytes that begin with {begin:?}", response.body.len())));
        }
        if version < asked.delivered {
            let why = format!("version {version}, although the purge for {} had been delivered", asked.delivered);
            return Judgement::Stale(told(why));
        }
        if let Target::Short(_) = asked.target
            && self.short_version(asked.sent.checked_sub(SHORT_LIVES + SHORT_SLACK).unwrap_or(self.begun)) > version
        {
            return Judgement::Stale(told(format!("version {version} is past its lifetime")));
        }
        Judgement::Good { miss: miss(&status), lagging: version < asked.acknowledged, etag }
    }

    fn short_version(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_secs() / SHORT_CHANGES.as_secs() + 1
    }
}

/// What `Cache-Status` says of an answer that does not come from the cache: the detail, else why it was forwarded.
fn miss(status: &str) -> Option<&'static str> {
    const DETAILS: [&str; 9] = [
        "cluster-timeout",
        "cluster-unreachable",
        "cluster-nonsense",
        "cluster-failed",
        "collapse-timeout",
        "purge-lag",
        "purged",
        "private",
        "no-cache-status",
    ];
    const FORWARDED: [&str; 5] = ["uri-miss", "vary-miss", "stale", "bypass", "request"];
    if status.contains("; hit") {
        return None;
    }
    let detail = DETAILS.iter().find(|detail| status.contains(&format!("detail={detail}")));
    let forwarded = FORWARDED.iter().find(|why| status.contains(&format!("fwd={why}")));
    Some(detail.or(forwarded).copied().unwrap_or("other"))
}

fn load(versions: &[AtomicU64], index: usize) -> u64 {
    versions.get(index).map_or(1, |version| version.load(Ordering::SeqCst))
}

fn raise(versions: &[AtomicU64], index: usize, to: u64) {
    if let Some(version) = versions.get(index) {
        version.fetch_max(to, Ordering::SeqCst);
    }
}

fn etag(target: Target, version: u64, variant: &str) -> String {
    format!("\"{version}-{:016x}\"", hash(&format!("{} {variant}", target.path())))
}

fn version_of(etag: &str) -> Option<u64> {
    etag.trim_matches('"').split_once('-')?.0.parse().ok()
}

/// A line that says what this is, and bytes that follow from it.
fn body(target: Target, version: u64, variant: &str) -> Vec<u8> {
    let line = format!("{} {version} {variant}\n", target.path());
    let mut state = hash(&line);
    let mut body = line.into_bytes();
    while body.len() < target.bytes() {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        body.extend_from_slice(format!("{:016x}\n", state ^ (state >> 29)).as_bytes());
    }
    body
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The origin's own answer to a request, as a client reads it.
    fn answered(content: &Content, request: &Request) -> Response {
        let fields = request.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let received = Received { method: "GET".to_owned(), target: request.target.clone(), fields, body: Vec::new() };
        let reply = content.answer(&received);
        let fields = reply.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Response { status: reply.status, fields, body: reply.body, took: Duration::ZERO }
    }

    fn is_good(judgement: &Judgement) -> bool {
        matches!(judgement, Judgement::Good { .. })
    }

    #[test]
    fn the_origins_own_answers_are_good_whatever_is_asked_for() {
        let content = Content::new();
        let targets = [0, ITEMS, ITEMS + LARGE, OBJECTS - 1].map(Target::Object);
        for target in targets.into_iter().chain([Target::Short(3), Target::Account, Target::Cold(7)]) {
            let (request, asked) = content.ask(target, "de", None);
            let response = answered(&content, &request);
            let judgement = content.judge(&asked, &response);
            assert!(is_good(&judgement), "{judgement:?}");
            let known = response.field("etag").map(str::to_owned);
            let (request, asked) = content.ask(target, "de", known);
            let response = answered(&content, &request);
            assert_eq!(response.status, 304, "{target:?}");
            assert!(is_good(&content.judge(&asked, &response)), "{target:?}");
        }
    }

    #[test]
    fn an_answer_older_than_a_delivered_purge_is_stale_and_older_than_an_acknowledged_one_is_not() {
        let content = Content::new();
        let (request, _) = content.ask(Target::Object(5), "", None);
        let old = answered(&content, &request);
        let version = content.change(5);
        content.acknowledge(5, version);
        let (_, asked) = content.ask(Target::Object(5), "", None);
        assert!(matches!(content.judge(&asked, &old), Judgement::Good { lagging: true, .. }));
        content.deliver(5, version);
        assert!(is_good(&content.judge(&asked, &old)), "what was sent before the delivery may be old");
        let (_, asked) = content.ask(Target::Object(5), "", None);
        assert!(matches!(content.judge(&asked, &old), Judgement::Stale(_)));
        assert!(is_good(&content.judge(&asked, &answered(&content, &request))));
    }

    #[test]
    fn what_belongs_to_somebody_else_or_is_cut_or_mixed_is_wrong() {
        let content = Content::new();
        let (german, _) = content.ask(Target::Object(OBJECTS - 1), "de", None);
        let (english, asked) = content.ask(Target::Object(OBJECTS - 1), "en", None);
        assert!(matches!(content.judge(&asked, &answered(&content, &german)), Judgement::Wrong(_)));
        let mut cut = answered(&content, &english);
        cut.body.pop();
        assert!(matches!(content.judge(&asked, &cut), Judgement::Wrong(_)));
        let mut mixed = answered(&content, &english);
        content.change(OBJECTS - 1);
        mixed.body = answered(&content, &english).body;
        assert!(matches!(content.judge(&asked, &mixed), Judgement::Wrong(_)));
        let broken = Response { status: 503, ..answered(&content, &english) };
        assert!(matches!(content.judge(&asked, &broken), Judgement::Failed(_)));
    }
}
