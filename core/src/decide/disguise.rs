//! Pages that stand where a file was asked for: an application answers `/account/x.css` with the account, or whatever is not there with
//! its start page and 200. Neither is what the path's name promises, and a policy for files would keep it for long.
//!
//! Looks at names that nobody gives to pages, and at the content's own type; never at the content.

use crate::fields::{Fields, RequestHead};

/// Endings of files that are no pages, lower case.
const FILES: [&str; 34] = [
    "avif", "bmp", "bz2", "class", "css", "csv", "doc", "docx", "eot", "gif", "gz", "ico", "jar", "jpeg", "jpg", "js",
    "map", "mjs", "mp3", "mp4", "ogg", "otf", "pdf", "png", "svg", "ttf", "wasm", "webm", "webp", "woff", "woff2",
    "xls", "xlsx", "zip",
];

/// Whether the response is a page though the path names a file of another kind.
pub fn is_page_for_file(request: &RequestHead, response: &Fields) -> bool {
    is_page(response) && request.path().rsplit_once('.').is_some_and(|(_, ending)| is_file(ending))
}

fn is_file(ending: &str) -> bool {
    FILES.iter().any(|file| file.eq_ignore_ascii_case(ending))
}

fn is_page(response: &Fields) -> bool {
    let Some(value) = response.first("content-type") else { return false };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"text/html") || essence.eq_ignore_ascii_case(b"application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fields, get};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_page_under_the_name_of_a_file_is_told() {
        for (target, kind, want) in [
            ("/account/x.css", "text/html", true),
            ("/account/x.CSS?v=1", "Text/HTML; charset=utf-8", true),
            ("/a.js", "application/xhtml+xml", true),
            ("/a.css", "text/css", false),
            ("/a.css", "", false),
            ("/a.html", "text/html", false),
            ("/a", "text/html", false),
            ("/a.css/b", "text/html", false),
            ("/a?b.css", "text/html", false),
            ("/v1.2", "text/html", false),
        ] {
            assert_eq!(
                is_page_for_file(&get(target, &[]), &fields(&[("content-type", kind)])),
                want,
                "{target} {kind}"
            );
        }
    }
}
