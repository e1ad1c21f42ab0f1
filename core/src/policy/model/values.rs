//! Single values with a syntax of their own: spans, sizes, names, patterns.

use crate::policy::decode::{Cx, Decode, Key, Overlay, text, words};
use crate::policy::duration::{millis_text, parse_bytes, parse_millis, parse_seconds, seconds_text};
use crate::policy::errors::Problem;
use crate::policy::hosts::HostPattern;
use crate::policy::path::PathTemplate;
use crate::policy::rules::{StatusPattern, UserPart};
use crate::policy::spanned::{Node, Quoted, Value};
use crate::policy::template::Template;
use crate::time::{Millis, Seconds};

/// A span in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Seconds);

text!(
    Span, "a duration such as \"60s\", \"5m\", \"1h30m\" or \"7d\"",
    parse parse_span, text |span| seconds_text(span.0),
    pattern Some("^(?=.)([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"), examples ["60s", "1h30m"]
);

fn parse_span(text: &str) -> Result<Span, Problem> {
    if let Some(span) = parse_seconds(text) {
        return Ok(Span(span));
    }
    let millis = text.ends_with("ms") && parse_millis(text).is_some();
    let problem = if millis { Problem::expected("whole seconds, such as \"1s\"") } else { Problem::default() };
    Err(problem.nearest(duration_meant(text)))
}

/// What a mistaken duration was probably meant to be.
fn duration_meant(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace(' ', "");
    let (digits, unit) = lower.split_at(lower.len() - lower.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let unit = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        _ => return None,
    };
    parse_seconds(&format!("{digits}{unit}")).map(|_| format!("{digits}{unit}"))
}

/// A span that may be given in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Millis);

text!(
    Wait, "a duration such as \"500ms\" or \"5s\"",
    parse |text| parse_millis(text).map(Wait).ok_or_else(Problem::default), text |wait| millis_text(wait.0),
    pattern Some("^(?=.)([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$|^[0-9]+ms$"), examples ["500ms", "5s"]
);

/// A share, from "0%" to "100%".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

text!(
    Percent, "a whole percentage such as \"10%\"",
    parse |text| {
        let digits = text.strip_suffix('%').filter(|d| d.len() <= 3 && d.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|d| d.parse().ok()).filter(|p| *p <= 100).map(Percent).ok_or_else(Problem::default)
    },
    text |percent| format!("{}%", percent.0),
    pattern Some("^(100|[0-9]{1,2})%$"), examples ["10%"]
);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bytes(pub u64);

impl Decode for Bytes {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let bytes = match &node.value {
            Value::Number(text) => text.parse().ok(),
            Value::String(text) => parse_bytes(text),
            _ => None,
        };
        match bytes {
            Some(bytes) => Some(Self(bytes)),
            None => cx.expected(node, "a size such as 65536, \"64KiB\" or \"1MB\""),
        }
    }
}

impl Overlay for Bytes {
    fn overlay(&mut self, over: &Self) {
        *self = *over;
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Expected: a size such as 65536, \"64KiB\" or \"1MB\".",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)?$" },
            ],
            "examples": [65536, "64KiB", "1MB"],
        })
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Ratio(pub f64);

impl Decode for Ratio {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Number(text)
                if let Ok(ratio) = text.parse()
                    && (0.0..=1.0).contains(&ratio) =>
            {
                Some(Self(ratio))
            }
            _ => cx.expected(node, "a number from 0 to 1"),
        }
    }
}

impl Overlay for Ratio {
    fn overlay(&mut self, over: &Self) {
        *self = *over;
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for Ratio {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1, "examples": [0.9] })
    }
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Version(pub u32);

impl Decode for Version {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Number(text) if text == "1" => Some(Self(1)),
            _ => cx.expected(node, "the number 1, the only version of the format there is"),
        }
    }
}

impl Overlay for Version {
    fn overlay(&mut self, over: &Self) {
        *self = *over;
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": 1 })
    }
}

/// Longest name of a policy, class or route: they are parts of the names of statistics.
pub const NAME_BYTES_MAX: usize = 64;

/// A name of a policy, class or route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

text!(
    Name, "a name of at most 64 letters, digits, `_` and `-` that begins with a letter or digit",
    parse |text| {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if first && rest && text.len() <= NAME_BYTES_MAX { Ok(Name(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |name| name.0.clone(),
    pattern Some("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"), examples ["catalog", "product-list"]
);

impl Key for Name {
    fn parse(text: &str) -> Result<Self, Problem> {
        let node = Node { at: 0, value: Value::String(text.to_owned()) };
        Self::decode(&node, &mut Cx::new()).ok_or_else(|| {
            let expected = "a name of at most 64 letters, digits, `_` and `-` that begins with a letter or digit";
            Problem::expected(expected).found(Quoted(text).to_string())
        })
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// A request method. Methods are upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(pub String);

text!(
    Method, "a method such as \"GET\"",
    parse |text| {
        let upper = text.to_ascii_uppercase();
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "QUERY"];
        if is_token(text) && text == upper && text.len() <= 32 {
            Ok(Method(upper))
        } else {
            Err(Problem::default().nearest(known.into_iter().find(|k| *k == upper)))
        }
    },
    text |method| method.0.clone(),
    pattern Some("^[A-Z0-9!#$%&'*+.^_`|~-]{1,32}$"), examples ["GET", "POST"]
);

/// Whether `text` is a token (RFC 9110 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The name of a header field, kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName(pub String);

text!(
    FieldName, "the name of a header field",
    parse |text| {
        let fits = is_token(text) && text.len() <= 128 && text != "*";
        if fits { Ok(FieldName(text.to_ascii_lowercase())) } else { Err(Problem::default()) }
    },
    text |name| name.0.clone(),
    pattern Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"), examples ["x-tenant"]
);

impl Key for FieldName {
    fn parse(text: &str) -> Result<Self, Problem> {
        let node = Node { at: 0, value: Value::String(text.to_owned()) };
        Self::decode(&node, &mut Cx::new())
            .ok_or_else(|| Problem::expected("the name of a header field").found(Quoted(text).to_string()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue(pub String);

text!(
    FieldValue, "the value of a header field, in visible ASCII and blanks",
    parse |text| {
        let fits = text.len() <= 4096 && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        if fits && text.trim() == text { Ok(FieldValue(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |value| value.0.clone(),
    pattern Some("^[ -~]{0,4096}$"), examples ["en"]
);

/// The name of a cookie; `*` at the end stands for any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePattern(pub String);

text!(
    CookiePattern, "the name of a cookie, or its beginning and a `*`",
    parse |text| {
        let name = text.strip_suffix('*').unwrap_or(text);
        let fits = text == "*" || is_token(name) && !name.contains('*') && text.len() <= 256;
        if fits { Ok(CookiePattern(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |pattern| pattern.0.clone(),
    pattern Some("^(\\*|[A-Za-z0-9!#$%&'+.^_`|~-]+\\*?)$"), examples ["session", "_ga_*"]
);

/// The name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(pub String);

text!(
    CookieName, "the name of a cookie",
    parse |text| {
        let fits = is_token(text) && !text.contains('*') && text.len() <= 256;
        if fits { Ok(CookieName(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |name| name.0.clone(),
    pattern Some("^[A-Za-z0-9!#$%&'+.^_`|~-]+$"), examples ["currency"]
);

/// The name of a query parameter; `*` at the end stands for any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPattern(pub String);

text!(
    QueryPattern, "the name of a query parameter, or its beginning and a `*`",
    parse |text| {
        let name = text.strip_suffix('*').unwrap_or(text);
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '&' | '=' | '#' | '*');
        let fits = !text.is_empty() && text.len() <= 256 && !name.contains(odd);
        if fits { Ok(QueryPattern(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |pattern| pattern.0.clone(),
    pattern Some("^[^&=#*\\s]*\\*?$"), examples ["page", "utm_*"]
);

words! {
    /// A content coding.
    pub enum Coding {
        /// Gzip.
        Gzip = "gzip",
        /// Brotli.
        Brotli = "br",
        /// Zstandard.
        Zstd = "zstd",
        /// Zlib's deflate.
        Deflate = "deflate",
    }
}

/// A language as `Accept-Language` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language(pub String);

text!(
    Language, "a language such as \"en\" or \"pt-BR\"",
    parse |text| {
        let mut parts = text.split('-');
        let part = |p: &str| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric());
        let first = parts.next().is_some_and(|p| part(p) && p.bytes().all(|b| b.is_ascii_alphabetic()));
        let fits = first && text.len() <= 35 && parts.all(part);
        if fits { Ok(Language(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |language| language.0.clone(),
    pattern Some("^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"), examples ["en", "pt-BR"]
);

text!(
    UserPart, "\"authorization\", \"cookie:NAME\" or \"header:NAME\"",
    parse |text| {
        let part = match text.split_once(':') {
            None if text == "authorization" => Some(UserPart::Authorization),
            Some(("cookie", name)) if is_token(name) && !name.contains('*') => Some(UserPart::Cookie(name.to_owned())),
            Some(("header", name)) if is_token(name) => Some(UserPart::Header(name.to_ascii_lowercase())),
            _ => None,
        };
        part.ok_or_else(|| {
            Problem::default().nearest(crate::policy::nearest::nearest(text, ["authorization"]))
        })
    },
    text |part| match part {
        UserPart::Authorization => "authorization".to_owned(),
        UserPart::Cookie(name) => format!("cookie:{name}"),
        UserPart::Header(name) => format!("header:{name}"),
    },
    pattern Some("^(authorization|cookie:[A-Za-z0-9!#$%&'+.^_`|~-]+|header:[A-Za-z0-9!#$%&'*+.^_`|~-]+)$"),
    examples ["authorization", "cookie:session", "header:x-user-id"]
);

impl Key for StatusPattern {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bytes = text.as_bytes();
        let pattern = match bytes {
            [digit @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] => Some(Self::Class(digit - b'0')),
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => text.parse().ok().map(Self::Exact),
            _ => None,
        };
        let sensible = |pattern: &Self| match pattern {
            // RFC 9111 3: only final responses are stored; 206 and 304 are parts of what is stored otherwise.
            Self::Exact(status) => (200..600).contains(status) && !matches!(status, 206 | 304),
            Self::Class(hundreds) => (2..=5).contains(hundreds),
        };
        pattern.filter(sensible).ok_or_else(|| {
            Problem::expected("a final status such as \"404\" or \"5xx\" (206 and 304 have no lifetime of their own)")
                .found(Quoted(text).to_string())
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Exact(status) => status.to_string(),
            Self::Class(hundreds) => format!("{hundreds}xx"),
        }
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for StatusPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[2-5]([0-9][0-9]|xx)$", "examples": ["404", "5xx"] })
    }
}

/// A tag, with path parameters in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagTemplate(pub Template);

text!(
    TagTemplate, "a tag such as \"products\" or \"product:{id}\"",
    parse |text| Template::tag(text).map(TagTemplate), text |tag| tag.0.to_string(),
    pattern Some("^[!#-+\\--~]{1,256}$"), examples ["products", "list:{list}"]
);

/// A path to invalidate, with path parameters in braces; `*` at the end stands for any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidatePath(pub Template);

text!(
    InvalidatePath, "a path such as \"/v1/products/{id}\" or \"/v1/products*\"",
    parse |text| Template::path(text).map(InvalidatePath), text |path| path.0.to_string(),
    pattern Some("^/"), examples ["/v1/products*"]
);

text!(
    HostPattern, "a host such as \"api.example.com\", \"api.example.com:8443\" or \"*.example.com\"",
    parse HostPattern::parse, text |host| host.to_string(),
    pattern Some("^(\\*\\.)?[A-Za-z0-9_.\\-\\[\\]:]+$"), examples ["api.example.com", "*.example.com"]
);

text!(
    PathTemplate, "a path such as \"/v1/products/{id}\" or \"/assets/{*rest}\"",
    parse PathTemplate::parse, text |path| path.to_string(),
    pattern Some("^/"), examples ["/v1/products/{id}", "/assets/{*rest}"]
);

/// A URL to warm: an absolute path, or a whole URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUrl(pub String);

text!(
    WarmUrl, "a path such as \"/v1/products\" or a URL such as \"https://api.example.com/v1/products\"",
    parse |text| {
        let visible = text.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'#');
        let host = |rest: &str| !rest.is_empty() && !rest.starts_with('/') && !rest.contains('@');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fits = visible && text.len() <= 2048 && !text.starts_with("//")
            && (text.starts_with('/') || rest.is_some_and(host));
        if fits { Ok(WarmUrl(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |url| url.0.clone(),
    pattern Some("^(/|https?://)[!-~]*$"), examples ["/v1/products"]
);
