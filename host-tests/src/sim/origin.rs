//! The origin: objects whose content changes, and a book of everything that it has ever said, by which oracles judge.

use super::catalog::Kind;
use super::options::Options;
use super::plan::{Ask, Identified, What};
use crate::host::{Headers, Response};

/// One state of an object for one kind of asker: these bytes and no others belong to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Representation {
    /// Which object.
    pub object: usize,
    /// The content's state; grows with every change.
    pub version: u64,
    /// Whose it is; empty is everybody's.
    pub user: String,
    /// The language asked for; empty where it makes no difference.
    pub language: String,
}

/// The origin's contact with a cache about a representation.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Which.
    pub of: Representation,
    /// When it was given or confirmed.
    pub at_ms: u64,
    /// Where it was an error, which; else 0.
    pub error: u16,
}

/// What the origin answers, and whether all of it gets through.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response,
    /// What it represents, where it is a 200, 206 or 304.
    pub of: Option<Representation>,
    /// The object was changed.
    pub changed: bool,
}

/// Objects and the book.
#[derive(Debug)]
pub struct Origin {
    kinds: Vec<Kind>,
    /// When each version of each object began.
    began_ms: Vec<Vec<u64>>,
    /// Every contact, in order.
    pub contacts: Vec<Contact>,
    /// When requests about an object failed.
    pub failures: Vec<(usize, u64)>,
}

/// The path of an object.
pub fn path(kinds: &[Kind], object: usize) -> String {
    format!("/{}/{object}", kinds.get(object).copied().unwrap_or(Kind::Plain).name())
}

/// The tag that its route gives it.
pub fn tag(kinds: &[Kind], object: usize) -> String {
    format!("{}:{object}", kinds.get(object).copied().unwrap_or(Kind::Plain).name())
}

/// The user's name as requests carry it; empty for nobody.
pub fn user_name(user: u8) -> String {
    if user == 0 { String::new() } else { format!("u{user}") }
}

/// The language as requests carry it; empty for none.
pub fn language_name(language: u8) -> String {
    ["", "en", "de", "fr"].get(usize::from(language)).copied().unwrap_or_default().to_owned()
}

impl Representation {
    /// Its bytes: a line that names it, then what fills it up.
    pub fn body(&self, bytes: usize) -> Vec<u8> {
        let line = format!("obj={};ver={};user={};lang={};\n", self.object, self.version, self.user, self.language);
        let mut body = line.clone().into_bytes();
        while body.len() < bytes {
            body.extend_from_slice(line.as_bytes());
        }
        body.truncate(bytes.max(line.len()));
        body
    }

    /// Reads the line in front of a body. One that was cut within says nothing.
    pub fn of_body(body: &[u8]) -> Option<Self> {
        let line = body.get(..body.iter().position(|byte| *byte == b'\n')?)?;
        let mut parts = std::str::from_utf8(line).ok()?.split(';');
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        Some(Self {
            object: part("obj")?.parse().ok()?,
            version: part("ver")?.parse().ok()?,
            user: part("user")?,
            language: part("lang")?,
        })
    }

    /// Its ETag, where the origin gives one.
    pub fn etag(&self) -> String {
        format!("\"{}.{}.{}.{}\"", self.object, self.version, self.user, self.language)
    }

    /// Reads an ETag that the origin has made.
    pub fn of_etag(etag: &str) -> Option<Self> {
        let mut parts = etag.strip_prefix('"')?.strip_suffix('"')?.split('.');
        let mut part = || parts.next().map(str::to_owned);
        Some(Self { object: part()?.parse().ok()?, version: part()?.parse().ok()?, user: part()?, language: part()? })
    }
}

impl Origin {
    /// As these options say, everything in its first version.
    pub fn new(options: &Options) -> Self {
        Self {
            kinds: options.objects.clone(),
            began_ms: vec![vec![0]; options.objects.len()],
            contacts: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// What an object is like.
    pub fn kind(&self, object: usize) -> Kind {
        self.kinds.get(object).copied().unwrap_or(Kind::Plain)
    }

    /// All kinds, by object.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The newest version of an object.
    pub fn version(&self, object: usize) -> u64 {
        self.began_ms.get(object).map_or(0, |began| began.len() as u64 - 1)
    }

    /// The data changes.
    pub fn change(&mut self, now_ms: u64, object: usize) -> u64 {
        if let Some(began) = self.began_ms.get_mut(object) {
            began.push(now_ms);
        }
        self.version(object)
    }

    /// The latest contact about a representation until this time, where it was this error, or none.
    pub fn last_contact(&self, of: &Representation, error: u16, until_ms: u64) -> Option<u64> {
        let is_it = |contact: &&Contact| contact.at_ms <= until_ms && contact.error == error && contact.of == *of;
        self.contacts.iter().rev().find(is_it).map(|contact| contact.at_ms)
    }

    /// Whether there is nothing at this object now.
    fn is_gone(&self, object: usize) -> bool {
        self.kind(object) == Kind::Erring && self.version(object) % 2 == 1
    }

    /// An error of the origin's own. Those of `erring` name what there is, so that whoever gets one can be told whose it is.
    pub fn error(&mut self, now_ms: u64, date: &str, request: &Headers, status: u16) -> Response {
        let path = request.text(":path").unwrap_or_default();
        let object = self.object_of(&path).filter(|object| self.kind(*object) == Kind::Erring);
        let mut response = Response::new(status).header("date", date).header("content-type", "text/plain");
        let Some(object) = object else { return response.body("out of order") };
        let of = self.represented(object, "", "");
        let body = of.body(self.kind(object).body_bytes());
        self.contacts.push(Contact { of, at_ms: now_ms, error: status });
        if let Some(value) = self.kind(object).cache_control() {
            response = response.header("cache-control", value);
        }
        response.body(body)
    }

    /// Whether anything about this object failed within a span.
    pub fn failed_within(&self, object: usize, from_ms: u64, to_ms: u64) -> bool {
        self.failures.iter().any(|(failed, at)| *failed == object && (from_ms..=to_ms).contains(at))
    }

    /// What is represented to who asks so.
    pub fn represented(&self, object: usize, user: &str, language: &str) -> Representation {
        let kind = self.kind(object);
        Representation {
            object,
            version: self.version(object),
            user: if kind.is_personal() { user.to_owned() } else { String::new() },
            language: if kind == Kind::Varies { language.to_owned() } else { String::new() },
        }
    }

    /// Which object a path names.
    pub fn object_of(&self, path: &str) -> Option<usize> {
        let id: usize = path.rsplit('/').next()?.split('?').next()?.parse().ok()?;
        (path.split('?').next()? == self::path(&self.kinds, id) && id < self.kinds.len()).then_some(id)
    }

    /// Answers a request as it arrived. RFC 9110: conditions and ranges as a good origin has them.
    pub fn answer(&mut self, now_ms: u64, date: &str, request: &Headers) -> Answer {
        let text = |name: &str| request.text(name).unwrap_or_default();
        let Some(object) = self.object_of(&text(":path")) else {
            let response = Response::new(404).header("date", date).body("no such object");
            return Answer { response, of: None, changed: false };
        };
        let kind = self.kind(object);
        let method = text(":method");
        if !matches!(method.as_str(), "GET" | "HEAD") {
            self.change(now_ms, object);
            let response = Response::new(204).header("date", date);
            return Answer { response, of: None, changed: true };
        }
        let cookie = text("cookie");
        let by_cookie = cookie.split("; ").find_map(|pair| pair.strip_prefix("session=")).unwrap_or_default();
        let authorization = text("authorization");
        let by_authorization = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let user = match kind {
            Kind::NaiveCookie => by_cookie,
            Kind::NaiveAuthorization | Kind::KeyedByUser => by_authorization,
            _ if by_authorization.is_empty() => by_cookie,
            _ => by_authorization,
        };
        let of = self.represented(object, user, &text("accept-language"));
        let fields = |status: u16| {
            let mut response = Response::new(status).header("content-type", "text/plain");
            // A `Date` would tell how old it is, too.
            response = match kind.age_secs() {
                0 => response.header("date", date),
                secs => response.header("age", secs.to_string()),
            };
            if let Some(value) = kind.cache_control() {
                response = response.header("cache-control", value);
            }
            if kind.has_etag() {
                response = response.header("etag", of.etag());
            }
            if kind == Kind::Varies {
                response = response.header("vary", "accept-language");
            }
            if kind == Kind::SetsCookie {
                response = response.header("set-cookie", format!("session={user}"));
            }
            response
        };
        if self.is_gone(object) {
            let response = self.error(now_ms, date, request, 404);
            return Answer { response, of: Some(of), changed: false };
        }
        let at_ms = now_ms.saturating_sub(kind.age_secs() * 1_000);
        self.contacts.push(Contact { of: of.clone(), at_ms, error: 0 });
        let matches = request.all("if-none-match").iter().any(|list| list.split(", ").any(|etag| etag == of.etag()));
        let response = if kind.has_etag() && matches {
            fields(304)
        } else {
            let body = of.body(kind.body_bytes());
            if method == "HEAD" {
                fields(200).header("content-length", body.len().to_string()).chunked()
            } else {
                fields(200).body(body)
            }
        };
        Answer { response, of: Some(of), changed: false }
    }

    /// What a client sends.
    pub fn request(&self, ask: &Ask, known: Option<&str>) -> crate::host::Request {
        let path = self::path(&self.kinds, ask.object);
        let (method, body) = match ask.what {
            What::Head => ("HEAD", None),
            What::Post => ("POST", Some("change")),
            What::Put => ("PUT", Some("change")),
            What::Delete => ("DELETE", None),
            _ => ("GET", None),
        };
        let mut request = crate::host::Request::new(method, &path).authority("api.example");
        let user = user_name(ask.user);
        if !user.is_empty() {
            request = match ask.by {
                Identified::Authorization => request.header("authorization", format!("Bearer {user}")),
                Identified::Cookie => request.header("cookie", format!("session={user}")),
            };
        }
        let language = language_name(ask.language);
        if !language.is_empty() {
            request = request.header("accept-language", language);
        }
        request = match (ask.what, known) {
            (What::IfNoneMatch, Some(etag)) => request.header("if-none-match", etag),
            (What::Range(from, to), _) => request.header("range", format!("bytes={from}-{to}")),
            (What::NoCache, _) => request.header("cache-control", "no-cache"),
            _ => request,
        };
        match body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_represented_is_read_back_from_bytes_and_etags() {
        let of = Representation { object: 3, version: 12, user: "u1".into(), language: "de".into() };
        assert_eq!(Representation::of_body(&of.body(700)), Some(of.clone()));
        assert_eq!(Representation::of_etag(&of.etag()), Some(of.clone()));
        assert_eq!(of.body(700).len(), 700);
        assert_ne!(of.body(700), Representation { version: 13, ..of }.body(700));
    }
}
