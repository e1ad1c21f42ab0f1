//! `Via`: which protocol a message came by, and who sent it on (RFC 9110 7.6.3).

use http::header::{self, HeaderMap};
use http::{HeaderValue, Version};

/// Adds the proxy to the way of a message.
pub(in crate::proxy) fn add(fields: &mut HeaderMap, came_by: Version) {
    let member = match came_by {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 larder",
        Version::HTTP_2 => "2 larder",
        Version::HTTP_3 => "3 larder",
        _ => "1.1 larder",
    };
    fields.append(header::VIA, HeaderValue::from_static(member));
}
