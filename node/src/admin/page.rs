//! The dashboard: a page that asks the other paths of this plane. It is in this binary, asks no other server, and carries no
//! secret, so nobody needs a token to load it: the page asks for one where the node does.
//!
//! Its sources are in `dashboard/`; what is built of them is checked in.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// What the page may do: its own script, style and icon; ask this node. No inline script or style, no frames, no other server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    etag: String,
}

static FILES: LazyLock<[File; 5]> = LazyLock::new(|| {
    let file = |name, kind, bytes: &'static [u8]| {
        let hash: String = Sha256::digest(bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        File { name, kind, bytes, etag: format!("\"{hash}\"") }
    };
    [
        file("", "text/html; charset=utf-8", include_bytes!("../../../dashboard/dist/index.html")),
        file("dashboard.js", "text/javascript; charset=utf-8", include_bytes!("../../../dashboard/dist/dashboard.js")),
        file("dashboard.css", "text/css; charset=utf-8", include_bytes!("../../../dashboard/dist/dashboard.css")),
        file("icon.svg", "image/svg+xml", include_bytes!("../../../dashboard/dist/icon.svg")),
        file("licences.txt", "text/plain; charset=utf-8", include_bytes!("../../../dashboard/dist/licences.txt")),
    ]
});

/// `GET /` and `GET /dashboard`: where the page is. Relative, so that it holds behind a proxy that adds a path in front.
pub(super) async fn to_page() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "dashboard/")]).into_response()
}

/// `GET /dashboard/`
pub(super) async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    file("", &headers)
}

/// `GET /dashboard/{name}`
pub(super) async fn part(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|error| Problem::bad_request(error.body_text()))?;
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Problem::not_found("the dashboard has no such file"))?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|known| known.trim().trim_start_matches("W/") == file.etag);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, file.kind)], file.bytes).into_response(),
    };
    let fields = response.headers_mut();
    // A new node has another page: whoever has the old one asks.
    let all = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    fields.extend(all.map(|(name, value)| (name, HeaderValue::from_static(value))));
    fields.extend(HeaderValue::from_str(&file.etag).ok().map(|etag| (header::ETAG, etag)));
    Ok(response)
}
