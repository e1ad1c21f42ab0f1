//! What requests and responses say in `exchange` and `callbacks`: mostly what is in use in the field, else any bytes.

use larder_core::fields::Fields;

use crate::input::Input;

/// Policies to run under.
pub const POLICIES: [&str; 3] = [
    include_str!("../../../policies/default.json"),
    r#"{ "version": 1, "name": "fuzz", "defaults": { "key": { "query": { "deny": ["utm_*"] } } }, "routes": [
        { "name": "stale", "path": "/stale/{*rest}", "ttl": "5s", "etag": "strong", "tags": ["t:{rest}"],
          "stale": { "while_revalidate": "1m", "if_error": "1h" }, "refresh_ahead": "50%" },
        { "name": "own", "path": "/own/{*rest}", "ttl": "respect", "etag": "weak", "post": "store", "partial": "store" },
        { "name": "user", "path": "/user/{*rest}", "class": "personal" },
        { "name": "all", "path": "/{*rest}", "ttl": { "absent": "30s" }, "etag": "strong", "status_ttl": { "404": "10s" },
          "limits": { "object_bytes": "4KiB", "hold_bytes": "1KiB", "variants_per_key": 2 },
          "invalidate": { "tags": ["t:{rest}"] } } ] }"#,
    r#"{ "version": 1, "name": "none", "routes": [
        { "name": "odd", "path": "/{one}", "ttl": "respect", "collapse": { "wait": "1s" }, "heuristic": { "percent": "10%" },
          "request_directives": "obey", "vary": { "allow": ["x-a", "accept-language"] } } ] }"#,
];

/// `Cache-Control` of responses.
pub const CACHE_CONTROL: [&str; 14] = [
    "max-age=60",
    "s-maxage=60",
    "public, max-age=5, stale-while-revalidate=60",
    "max-age=0, stale-if-error=600",
    "no-store",
    "private",
    "private, max-age=60",
    "no-cache",
    "max-age=60, must-revalidate",
    "",
    "max-age=1, no-store",
    "public, s-maxage=5, proxy-revalidate",
    "no-cache=\"x-a\", max-age=60",
    "immutable, max-age=31536000",
];

/// Whether nobody may keep the response, whatever the policy says (RFC 9111 5.2.2.5): where no targeted field speaks instead (RFC 9213).
pub fn forbids_keeping(fields: &Fields) -> bool {
    let says = |value: &[u8]| value.split(|byte| *byte == b',').any(|word| word.trim_ascii() == b"no-store");
    !fields.has("cdn-cache-control") && fields.all("cache-control").any(says)
}

/// A method.
pub fn method(input: &mut Input<'_>) -> String {
    match input.byte() {
        255 => input.text(8),
        at => {
            let methods = ["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"];
            methods[usize::from(at) % methods.len()].to_owned()
        }
    }
}

/// A target in origin form.
pub fn target(input: &mut Input<'_>) -> String {
    match input.byte() {
        255 => format!("/{}", input.text(24)),
        at => {
            let targets =
                ["/stale/a", "/stale/b", "/own/a", "/user/a", "/x", "/x?a=1&utm_b=2", "/x?a=1", "/x.css", "/"];
            targets[usize::from(at) % targets.len()].to_owned()
        }
    }
}

/// A few fields of a request.
pub fn request_fields(input: &mut Input<'_>) -> Vec<(String, Vec<u8>)> {
    const FIELDS: [(&str, &str); 24] = [
        ("if-none-match", "\"x\""),
        ("if-none-match", "*"),
        ("if-match", "\"x\""),
        ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("range", "bytes=0-3"),
        ("range", "bytes=-2"),
        ("range", "bytes=99999-"),
        ("if-range", "\"x\""),
        ("cache-control", "no-cache"),
        ("cache-control", "only-if-cached"),
        ("cache-control", "max-stale"),
        ("cache-control", "min-fresh=9"),
        ("authorization", "Bearer a"),
        ("authorization", "Bearer b"),
        ("cookie", "sid=1"),
        ("cookie", "_ga=1"),
        ("accept-language", "de, en;q=0.5"),
        ("accept-encoding", "gzip, br"),
        ("origin", "http://a.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-larder-edge", "1-1767225600-00"),
        ("cache-control", "no-store"),
        ("x-a", "1"),
    ];
    some(input, &FIELDS)
}

/// A few fields of a response, but for `Cache-Control`.
pub fn response_fields(input: &mut Input<'_>) -> Vec<(String, Vec<u8>)> {
    const FIELDS: [(&str, &str); 26] = [
        ("etag", "\"x\""),
        ("etag", "W/\"y\""),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("date", "Thu, 01 Jan 2009 00:00:00 GMT"),
        ("expires", "Thu, 01 Jan 2026 01:00:00 GMT"),
        ("expires", "0"),
        ("age", "30"),
        ("age", "4294967296"),
        ("vary", "accept-language"),
        ("vary", "*"),
        ("vary", "x-a"),
        ("set-cookie", "sid=2"),
        ("surrogate-key", "t all"),
        ("cache-groups", "\"t\""),
        ("no-vary-search", "params=(\"a\")"),
        ("no-vary-search", "key-order, params, except=(\"b\")"),
        ("content-range", "bytes 0-3/99"),
        ("content-type", "text/html"),
        ("content-location", "/x"),
        ("location", "/stale/a"),
        ("content-language", "de"),
        ("x-larder-tags", "t, u"),
        ("cdn-cache-control", "max-age=9"),
        ("access-control-allow-origin", "http://a.example"),
        ("connection", "etag, x-a"),
    ];
    some(input, &FIELDS)
}

fn some(input: &mut Input<'_>, known: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    for _ in 0..input.below(6) {
        match input.byte() {
            at @ 224.. => {
                let name = known[usize::from(at) % known.len()].0;
                fields.push((name.to_owned(), input.bytes(40).to_vec()));
            }
            at => {
                let (name, value) = known[usize::from(at) % known.len()];
                fields.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        }
    }
    fields
}
