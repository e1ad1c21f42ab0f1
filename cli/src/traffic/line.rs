//! One line of a log: the common and combined formats, Envoy's default, and JSON with the usual names.

use serde_json::Value;

/// A request as a log tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub method: String,
    /// `http` or `https`, where it is told.
    pub scheme: Option<String>,
    pub host: Option<String>,
    /// Path and query.
    pub target: String,
    pub status: u16,
    /// Somebody was known: a user's name, an Authorization field.
    pub identified: bool,
    /// Whether response fields are told at all.
    pub tells_fields: bool,
    /// Response fields about caching, those that are told: lower-case name, value.
    pub fields: Vec<(&'static str, String)>,
    /// What a Larder in front has said.
    pub cache_status: Option<String>,
}

/// Response fields that matter, as logs may name them (`-` and `_` alike).
const FIELDS: [&str; 7] =
    ["cache-control", "cdn-cache-control", "etag", "expires", "last-modified", "set-cookie", "vary"];

/// Reads a line.
pub fn parse(line: &str) -> Option<Entry> {
    let entry = match line.as_bytes().first()? {
        b'{' => json(line),
        b'[' => envoy(line),
        _ => combined(line),
    }?;
    let plausible = !entry.method.is_empty()
        && entry.method.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
        && entry.target.starts_with('/')
        && (100..600).contains(&entry.status);
    plausible.then_some(entry)
}

/// `host - user [time] "GET /path HTTP/1.1" 200 123 "referer" "agent"`, with or without the last two.
fn combined(line: &str) -> Option<Entry> {
    let (before, rest) = line.split_once('"')?;
    let (request, after) = rest.split_once('"')?;
    let user = before.split_ascii_whitespace().nth(2)?;
    let mut entry = request_line(request)?;
    entry.status = after.split_ascii_whitespace().next()?.parse().ok()?;
    entry.identified = user != "-" && !user.starts_with('[');
    Some(entry)
}

/// `[time] "GET /path HTTP/1.1" 200 - 0 123 4 3 "forwarded for" "agent" "id" "authority" "upstream"`.
fn envoy(line: &str) -> Option<Entry> {
    let quoted: Vec<&str> = line.split('"').collect();
    let mut entry = request_line(quoted.get(1)?)?;
    entry.status = quoted.get(2)?.split_ascii_whitespace().next()?.parse().ok()?;
    // The authority is the fourth of the quoted parts after the request, whatever the others are.
    entry.host =
        quoted.get(9).filter(|host| !host.is_empty() && **host != "-").map(|host| (*host).to_owned()).or(entry.host);
    Some(entry)
}

fn request_line(text: &str) -> Option<Entry> {
    let mut words = text.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut entry = Entry { method: method.to_owned(), ..Entry::default() };
    take_url(&mut entry, target);
    Some(entry)
}

/// A path, or a whole URL.
fn take_url(entry: &mut Entry, url: &str) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if url.starts_with("http") => (Some(scheme.to_owned()), rest),
        _ => (None, url),
    };
    if scheme.is_none() {
        entry.target = rest.to_owned();
        return;
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    entry.scheme = scheme;
    entry.host = Some(host.to_owned());
    entry.target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
}

fn json(line: &str) -> Option<Entry> {
    let Value::Object(object) = serde_json::from_str(line).ok()? else { return None };
    let mut entry = Entry::default();
    let mut query = None;
    // Nested objects (`request`, `response`, `headers`) are looked into, two levels deep.
    let mut left: Vec<(String, &Value, usize)> = object.iter().map(|(key, value)| (plain(key), value, 0)).collect();
    left.reverse();
    while let Some((key, value, depth)) = left.pop() {
        if let Value::Object(inner) = value
            && depth < 3
        {
            left.extend(inner.iter().map(|(key, value)| (plain(key), value, depth + 1)));
            continue;
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            // Values of fields are lists in some logs.
            Value::Array(items) => match items.first().and_then(Value::as_str) {
                Some(first) => first.to_owned(),
                None => continue,
            },
            _ => continue,
        };
        match key.as_str() {
            "method" | "request-method" | "http-method" | "verb" => entry.method = text.to_ascii_uppercase(),
            "path" | "uri" | "url" | "request-uri" | "request-path" | "target" | "request-url" if !text.is_empty() => {
                take_url(&mut entry, &text)
            }
            "request" if text.contains(' ') => {
                let read = request_line(&text)?;
                (entry.method, entry.target) = (read.method, read.target);
            }
            "query" | "query-string" | "args" => query = Some(text),
            "status" | "status-code" | "response-code" | "code" => entry.status = text.parse().unwrap_or(0),
            "host" | "authority" | "http-host" | "vhost" | "server-name" if !text.is_empty() && text != "-" => {
                entry.host = Some(text)
            }
            "scheme" | "proto-scheme" => entry.scheme = Some(text),
            "authorization" | "remote-user" | "user" | "user-id" => {
                entry.identified |= !matches!(text.as_str(), "" | "-")
            }
            "cache-status" | "larder" => entry.cache_status = Some(text).filter(|text| text != "-" && !text.is_empty()),
            name => {
                let name = name.strip_prefix("response-").or(name.strip_prefix("sent-http-")).unwrap_or(name);
                if let Some(known) = FIELDS.iter().find(|known| **known == name) {
                    entry.tells_fields = true;
                    if !matches!(text.as_str(), "" | "-") {
                        entry.fields.push((known, text));
                    }
                }
            }
        }
    }
    if let Some(query) = query.filter(|query| !query.is_empty() && query != "-" && !entry.target.contains('?')) {
        entry.target.push('?');
        entry.target.push_str(query.trim_start_matches('?'));
    }
    Some(entry)
}

fn plain(key: &str) -> String {
    key.trim_start_matches(':').to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_formats_are_read() {
        for (line, want) in [
            (r#"10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326"#, "GET - /a?b=1 200 false"),
            (
                r#"::1 - frank [10/Oct/2000:13:55:36 -0700] "POST /a HTTP/1.1" 404 - "http://r/" "agent \"x\"""#,
                "POST - /a 404 true",
            ),
            (
                r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c" "locations" "tcp://10.0.2.1:80""#,
                "POST locations /api/v1/locations 204 false",
            ),
            (
                r#"{"method":"GET","path":"/a","query":"x=1","response_code":200,"authority":"h.test","authorization":"-"}"#,
                "GET h.test /a?x=1 200 false",
            ),
            (
                r#"{"request":{"method":"get","url":"https://h.test/a","headers":{"Authorization":["Bearer x"]}},"status":200}"#,
                "GET h.test /a 200 true",
            ),
            (r#"{"request":"GET /a HTTP/1.1","status":"301"}"#, "GET - /a 301 false"),
        ] {
            let entry = parse(line).unwrap_or_else(|| panic!("{line}"));
            let host = entry.host.as_deref().unwrap_or("-");
            assert_eq!(format!("{} {host} {} {} {}", entry.method, entry.target, entry.status, entry.identified), want);
        }
    }

    #[test]
    fn response_fields_are_read_where_they_are_told() {
        let entry = parse(r#"{":method":"GET",":path":"/","status":200,"response_cache_control":"no-store","Set-Cookie":"-","cache-status":"Larder; hit"}"#).unwrap();
        assert_eq!(entry.fields, [("cache-control", "no-store".to_owned())]);
        assert!(entry.tells_fields && entry.cache_status.as_deref() == Some("Larder; hit"));
        assert!(!parse(r#"{"method":"GET","path":"/","status":200}"#).unwrap().tells_fields);
    }

    #[test]
    fn nonsense_is_none() {
        for line in [
            "x",
            "{",
            "{}",
            "[",
            "\"\"",
            "a b c \"GET\" 200",
            "a - - [t] \"\\x16\\x03\" 400 0",
            r#"{"method":"GET","path":"a","status":200}"#,
            "[] \"GET /a\" x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
