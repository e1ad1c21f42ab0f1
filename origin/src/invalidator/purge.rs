//! What application code wants purged, and how nodes are asked for it. Knows what no node would take; nodes know the rest.

use larder_core::purge::{Mode, Scope};
use serde_json::{Value, json};

/// The longest tag or URL, in bytes. A node may take less (larder-node: 16 KiB).
pub const SCOPE_BYTES_MAX: usize = 64 << 10;

/// Tags, URLs and prefixes in one purge.
pub const SCOPES_MAX: usize = 10_000;

/// What is to be purged: tags, URLs, prefixes, or everything, in one call.
///
/// ```
/// use larder_origin::Purge;
///
/// let sold_out = Purge::new().tag("product:7").tag("product-lists").url("https://shop.example/v1/offers");
/// let reworded = Purge::new().prefix("https://shop.example/v1/texts").soft();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it purges nothing before it is given to an Invalidator"]
pub struct Purge {
    scopes: Vec<Scope>,
    mode: Mode,
}

/// Why something is no purge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPurge {
    /// It names nothing.
    #[error("nothing to purge: name tags, URLs or prefixes, or say all()")]
    Nothing,
    /// It names more than [`SCOPES_MAX`].
    #[error("{scopes} tags, URLs and prefixes in one purge are more than {SCOPES_MAX}")]
    TooMany {
        /// How many.
        scopes: usize,
    },
    /// A tag is empty.
    #[error("a tag is empty")]
    EmptyTag,
    /// A tag or URL is longer than [`SCOPE_BYTES_MAX`].
    #[error("a tag or URL of {bytes} bytes is longer than {SCOPE_BYTES_MAX}: {begin:?}...")]
    TooLong {
        /// How long.
        bytes: usize,
        /// How it begins.
        begin: String,
    },
    /// A URL is none.
    #[error("{url:?} is not a URL to purge: {why}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Purge {
    /// Names nothing yet, and is hard: what it covers will be gone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that carries this tag, compared whole.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.and(Scope::Tag(tag.into()))
    }

    /// Everything that carries one of these tags.
    pub fn tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// This URL (`https://host/path?query`) with all its variants.
    pub fn url(self, url: impl Into<String>) -> Self {
        self.and(Scope::Url(url.into()))
    }

    /// Every URL under this one, at a segment border: `https://host/a` covers `/a`, `/a/b` and `/a?q`, not `/ab`.
    pub fn prefix(self, url: impl Into<String>) -> Self {
        self.and(Scope::Prefix(url.into()))
    }

    /// Everything.
    pub fn all(self) -> Self {
        self.and(Scope::All)
    }

    /// Makes stale instead of gone: stale-while-revalidate and stale-if-error still apply.
    pub fn soft(mut self) -> Self {
        self.mode = Mode::Soft;
        self
    }

    fn and(mut self, scope: Scope) -> Self {
        self.scopes.push(scope);
        self
    }

    pub(crate) fn of(scopes: Vec<Scope>, mode: Mode) -> Self {
        Self { scopes, mode }
    }

    pub(super) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Says what no node would take.
    pub(crate) fn check(&self) -> Result<(), InvalidPurge> {
        if self.scopes.is_empty() {
            return Err(InvalidPurge::Nothing);
        }
        if self.scopes.len() > SCOPES_MAX {
            return Err(InvalidPurge::TooMany { scopes: self.scopes.len() });
        }
        self.scopes.iter().try_for_each(check)
    }
}

fn check(scope: &Scope) -> Result<(), InvalidPurge> {
    let text = match scope {
        Scope::Tag(tag) if tag.is_empty() => return Err(InvalidPurge::EmptyTag),
        Scope::Tag(text) | Scope::Url(text) | Scope::Prefix(text) => text,
        Scope::All => return Ok(()),
    };
    if text.len() > SCOPE_BYTES_MAX {
        return Err(InvalidPurge::TooLong { bytes: text.len(), begin: text.chars().take(40).collect() });
    }
    if matches!(scope, Scope::Tag(_)) {
        return Ok(());
    }
    let bad = |why| Err(InvalidPurge::Url { url: text.clone(), why });
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad("write http://host/path or https://host/path");
    };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return bad("write http:// or https://");
    }
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return bad("it has no host");
    }
    if rest.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return bad("it has spaces or control characters");
    }
    Ok(())
}

/// The body of `POST /v1/purge`.
pub(super) fn body<'a>(scopes: impl IntoIterator<Item = &'a Scope>, mode: Mode) -> Value {
    let (mut urls, mut tags, mut prefixes, mut all) = (Vec::new(), Vec::new(), Vec::new(), false);
    for scope in scopes {
        match scope {
            Scope::Url(text) => urls.push(text.as_str()),
            Scope::Tag(text) => tags.push(text.as_str()),
            Scope::Prefix(text) => prefixes.push(text.as_str()),
            Scope::All => all = true,
        }
    }
    let mut body = json!({ "soft": mode == Mode::Soft });
    if let Some(fields) = body.as_object_mut() {
        for (name, texts) in [("urls", urls), ("tags", tags), ("prefixes", prefixes)] {
            if !texts.is_empty() {
                fields.insert(name.to_owned(), texts.into());
            }
        }
        if all {
            fields.insert("all".to_owned(), true.into());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_node_takes_is_refused_with_a_reason() {
        let url = |text: &str| Purge::new().url(text).check().map_err(|error| error.to_string());
        for good in ["http://h", "HTTPS://h:8443/a?b#c", "http://[::1]/"] {
            assert_eq!(url(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("/a", "write http://"),
            ("ftp://h/", "write http:// or"),
            ("http:///a", "no host"),
            ("http://?a", "no host"),
            ("http://h/a b", "spaces"),
            ("http://h/\u{0}", "control"),
        ] {
            assert!(url(bad).is_err_and(|error| error.contains(why)), "{bad}");
        }
        assert_eq!(Purge::new().check(), Err(InvalidPurge::Nothing));
        assert_eq!(Purge::new().tag("").check(), Err(InvalidPurge::EmptyTag));
        assert_eq!(Purge::new().tags(vec!["t"; 10_001]).check(), Err(InvalidPurge::TooMany { scopes: 10_001 }));
        assert!(matches!(Purge::new().tag("x".repeat(70_000)).check(), Err(InvalidPurge::TooLong { .. })));
        assert_eq!(Purge::new().all().prefix("http://h/a").tag("any thing").check(), Ok(()));
    }

    #[test]
    fn the_body_has_only_what_is_named() {
        let purge = Purge::new().tag("a").url("http://h/").tag("b").soft();
        let want = json!({ "soft": true, "tags": ["a", "b"], "urls": ["http://h/"] });
        assert_eq!(body(purge.scopes(), purge.mode()), want);
        let purge = Purge::new().all().prefix("http://h/p");
        let want = json!({ "soft": false, "prefixes": ["http://h/p"], "all": true });
        assert_eq!(body(purge.scopes(), purge.mode()), want);
    }
}
