//! What kind of resource a path is about, by its words. Guesses: each says why, and the person who reads the policy decides.

use crate::traffic::endpoints::is_plural;

/// A guess at a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    /// A class that exists without being defined.
    pub class: &'static str,
    /// Why, as half a sentence after "Guessed: ".
    pub why: &'static str,
}

const NEVER: [&str; 20] = [
    "auth",
    "authorize",
    "health",
    "healthz",
    "livez",
    "liveness",
    "login",
    "logout",
    "metrics",
    "oauth",
    "oauth2",
    "ping",
    "ready",
    "readyz",
    "readiness",
    "signin",
    "signup",
    "stats",
    "token",
    "webhooks",
];
const PERSONAL: [&str; 22] = [
    "account",
    "basket",
    "billing",
    "cart",
    "checkout",
    "inbox",
    "me",
    "messages",
    "my",
    "notifications",
    "orders",
    "password",
    "payments",
    "preferences",
    "profile",
    "self",
    "session",
    "sessions",
    "settings",
    "subscriptions",
    "user",
    "wishlist",
];
const VOLATILE: [&str; 13] = [
    "availability",
    "balance",
    "inventory",
    "live",
    "now",
    "online",
    "price",
    "prices",
    "quote",
    "quotes",
    "rates",
    "status",
    "stock",
];
const REFERENCE: [&str; 17] = [
    "brands",
    "categories",
    "cities",
    "config",
    "constants",
    "countries",
    "currencies",
    "enums",
    "languages",
    "locales",
    "metadata",
    "openapi.json",
    "openapi.yaml",
    "regions",
    "schemas",
    "timezones",
    "units",
];
const STATIC: [&str; 13] = [
    "assets",
    "css",
    "dist",
    "favicon.ico",
    "fonts",
    "images",
    "img",
    "js",
    "media",
    "public",
    "static",
    "thumbnails",
    "uploads",
];
const STATIC_ENDS: [&str; 14] = [
    ".avif", ".css", ".gif", ".ico", ".jpeg", ".jpg", ".js", ".map", ".mp4", ".png", ".svg", ".webp", ".woff", ".woff2",
];

/// By the words of a path template.
pub fn by_path(template: &str) -> Guess {
    let segments: Vec<String> = template
        .split('/')
        .filter(|part| !part.is_empty() && !part.starts_with('{'))
        .map(str::to_ascii_lowercase)
        .collect();
    let has = |words: &[&str]| segments.iter().any(|segment| words.contains(&segment.as_str()));
    let last = segments.last().map(String::as_str).unwrap_or_default();
    if has(&NEVER) {
        Guess { class: "never", why: "its name says that each answer is for this very moment" }
    } else if has(&PERSONAL) {
        Guess { class: "personal", why: "its name says that it is about whoever asks" }
    } else if STATIC_ENDS.iter().any(|end| last.ends_with(end))
        || segments.iter().take(2).any(|segment| STATIC.contains(&segment.as_str()))
        || STATIC.contains(&last)
    {
        Guess { class: "static", why: "its name says that it is files" }
    } else if VOLATILE.contains(&last) {
        Guess { class: "volatile", why: "its name says that it changes all the time" }
    } else if REFERENCE.contains(&last) {
        Guess { class: "reference", why: "its name says that it hardly ever changes" }
    } else {
        Guess { class: "catalog", why: "nothing says otherwise" }
    }
}

/// What a class does, for those who read the policy first.
pub const fn meaning(class: &str) -> &'static str {
    match class.as_bytes() {
        b"never" => "not cached",
        b"personal" => "not stored; the browser keeps it and asks each time",
        b"static" => "kept as the API says, for a day where it says nothing",
        b"volatile" => "kept as the API says, for a second where it says nothing",
        b"reference" => "kept as the API says, for an hour where it says nothing",
        _ => "kept as the API says, for a minute where it says nothing",
    }
}

/// Query parameters that analytics add and origins ignore.
pub fn is_tracking(name: &str) -> bool {
    name.starts_with("utm_")
        || matches!(name, "gclid" | "fbclid" | "msclkid" | "dclid" | "mc_cid" | "mc_eid" | "_ga" | "igshid" | "yclid")
}

/// The tag of what a path template is about, and whether it is one item of many: `/v1/products/{id}/price` is about
/// `products:{id}`, `/v1/products` about `products`.
pub fn tag(template: &str) -> Option<String> {
    let segments: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    let is_name =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    // The first parameter says which item; what is below it belongs to that item.
    let parameter = segments.iter().position(|part| part.starts_with('{') && !part.starts_with("{*"));
    let tag = match parameter {
        Some(0) => return None,
        Some(at) => format!("{}:{}", segments.get(at - 1).filter(|part| is_name(part))?, segments.get(at)?),
        // A search or an export of many is about them.
        None => {
            let many = segments.iter().find(|part| is_plural(part));
            (*many.or(segments.last()).filter(|part| is_name(part))?).to_owned()
        }
    };
    Some(tag)
}

/// The tag of the list that an item is in: of `products:{id}` it is `products`.
pub fn list_of(tag: &str) -> Option<&str> {
    tag.split_once(':').map(|(list, _)| list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_tags_are_guessed_by_names() {
        for (template, class, of) in [
            ("/v1/products", "catalog", Some("products")),
            ("/v1/products/search", "catalog", Some("products")),
            ("/v1/products/{id}", "catalog", Some("products:{id}")),
            ("/v1/products/{id}/price", "volatile", Some("products:{id}")),
            ("/v1/categories", "reference", Some("categories")),
            ("/v1/me/orders", "personal", Some("orders")),
            ("/healthz", "never", Some("healthz")),
            ("/assets/app.js", "static", Some("assets")),
            ("/{tenant}/x", "catalog", None),
        ] {
            assert_eq!((by_path(template).class, tag(template).as_deref()), (class, of), "{template}");
        }
    }
}
