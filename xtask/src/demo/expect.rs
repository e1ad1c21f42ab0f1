//! What a row of the tour must be, and what is wrong with it where it is not. Pure.

use std::time::Duration;

use crate::http::Response;

/// What is expected of an answer.
#[derive(Clone, Debug)]
pub struct Expect {
    status: u16,
    cache: &'static str,
    queries: Queries,
    bytes: Option<usize>,
    fields: Vec<(&'static str, String)>,
    body: Option<String>,
    at_least: Duration,
}

/// What the API's database may have been asked.
#[derive(Clone, Copy, Debug)]
enum Queries {
    /// So many queries.
    Exactly(u64),
    /// Some.
    Some,
    /// Others ask meanwhile, so they say nothing.
    Any,
}

/// An answer of this status, with a `Cache-Status` that has these parameters (`fwd=uri-miss; stored`; `!stored` must be missing), for
/// which the API ran so many queries.
pub fn expect(status: u16, cache: &'static str, queries: u64) -> Expect {
    Expect {
        status,
        cache,
        queries: Queries::Exactly(queries),
        bytes: None,
        fields: Vec::new(),
        body: None,
        at_least: Duration::ZERO,
    }
}

impl Expect {
    /// For which the API ran some queries: how many a write takes is its own business.
    pub fn some_queries(mut self) -> Self {
        self.queries = Queries::Some;
        self
    }

    /// While others ask the API, too.
    pub fn any_queries(mut self) -> Self {
        self.queries = Queries::Any;
        self
    }

    /// With a body of this length.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// With this text in the value of a field.
    pub fn field(mut self, name: &'static str, part: impl Into<String>) -> Self {
        self.fields.push((name, part.into()));
        self
    }

    /// With this text in the body.
    pub fn says(mut self, part: impl Into<String>) -> Self {
        self.body = Some(part.into());
        self
    }

    /// Which took at least so long.
    pub fn at_least(mut self, time: Duration) -> Self {
        self.at_least = time;
        self
    }

    /// What is wrong with an answer for which the API ran so many queries; nothing if it is what it should be.
    pub fn problems(&self, response: &Response, queries: u64) -> Vec<String> {
        let mut problems = Vec::new();
        if response.status != self.status {
            problems.push(format!("status {} instead of {}", response.status, self.status));
        }
        problems.extend(self.cache_problems(response.field("cache-status")));
        match self.queries {
            Queries::Exactly(expected) if queries != expected => {
                problems.push(format!("the API ran {queries} queries for it instead of {expected}"));
            }
            Queries::Some if queries == 0 => problems.push("the API ran no query for it".to_owned()),
            _ => {}
        }
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != response.body.len()) {
            problems.push(format!("a body of {} bytes instead of {bytes}", response.body.len()));
        }
        for (name, part) in &self.fields {
            let value = response.field(name).unwrap_or("missing");
            if !value.contains(part.as_str()) {
                problems.push(format!("{name} is {value}, without {part}"));
            }
        }
        if let Some(part) = self.body.as_ref().filter(|part| !response.text().contains(part.as_str())) {
            problems.push(format!("the body is without {part}"));
        }
        if response.took < self.at_least {
            problems.push(format!("it took {:?} only, the API alone takes {:?}", response.took, self.at_least));
        }
        problems
    }

    fn cache_problems(&self, value: Option<&str>) -> Vec<String> {
        let Some(value) = value else { return vec!["no Cache-Status".to_owned()] };
        let parameters = parameters(value);
        let mut problems = Vec::new();
        for wanted in self.cache.split(';').map(str::trim).filter(|wanted| !wanted.is_empty()) {
            let holds = match wanted.strip_prefix('!') {
                Some(unwanted) => !parameters.contains(&unwanted),
                None => parameters.contains(&wanted),
            };
            if !holds {
                problems.push(format!("Cache-Status is not {wanted}"));
            }
        }
        problems
    }
}

/// Whether a response came out of the cache, without the origin being asked.
pub fn is_hit(response: &Response) -> bool {
    response.field("cache-status").is_some_and(|value| parameters(value).contains(&"hit"))
}

/// The parameters of Larder's member, which is the last one of the list (RFC 9211 2).
fn parameters(value: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' | b',' if !quoted => {
                parts.push(value[start..at].trim());
                start = at + 1;
                if byte == b',' {
                    members.push(std::mem::take(&mut parts));
                }
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim());
    match parts.split_first() {
        Some((&"Larder", rest)) => rest.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, cache: &str, body: &str) -> Response {
        let fields = vec![("cache-status".to_owned(), cache.to_owned()), ("etag".to_owned(), "\"a\"".to_owned())];
        Response { status, fields, body: body.as_bytes().to_vec(), took: Duration::from_millis(5) }
    }

    #[test]
    fn larders_parameters_are_those_of_the_last_member() {
        assert_eq!(parameters("Larder; hit; ttl=5"), ["hit", "ttl=5"]);
        assert_eq!(parameters("Origin; hit, Larder; fwd=miss"), ["fwd=miss"]);
        assert_eq!(parameters(r#"Larder; key="a; hit, \"b"; stored"#), [r#"key="a; hit, \"b""#, "stored"]);
        assert!(parameters("Origin; hit").is_empty());
        assert!(parameters("").is_empty());
    }

    #[test]
    fn a_row_as_expected_has_no_problems() {
        let expected = expect(200, "fwd=uri-miss; stored; !hit", 2)
            .bytes(3)
            .field("etag", "\"a\"")
            .says("bc")
            .at_least(Duration::from_millis(5));
        let good = response(200, "Larder; fwd=uri-miss; ttl=60; stored", "abc");
        assert!(expected.problems(&good, 2).is_empty());
    }

    #[test]
    fn every_deviation_is_named() {
        let expected = expect(200, "hit; !stored", 0)
            .bytes(3)
            .field("etag", "\"b\"")
            .says("x")
            .at_least(Duration::from_millis(300));
        let problems = expected.problems(&response(404, "Larder; fwd=stale; stored", "ab"), 2).join("\n");
        for part in ["status 404", "not hit", "not !stored", "2 queries", "2 bytes", "etag is", "without x", "only"] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
        let idle = expect(200, "hit", 0).some_queries().problems(&response(200, "Larder; hit", ""), 0);
        assert_eq!(idle, ["the API ran no query for it"]);
        let silent = Response { fields: Vec::new(), ..response(200, "", "") };
        assert!(expect(200, "", 0).problems(&silent, 0).join("").contains("no Cache-Status"));
    }
}
