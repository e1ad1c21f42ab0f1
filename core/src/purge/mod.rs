//! Purges: what they name, and whether an entry is covered by one.
//!
//! Right by order, not by clock: every record has a sequence number, every entry carries the position of the log when
//! its request began, and an entry is valid only if no later record matches it. A fill that began before a purge can
//! therefore never land after it. Tags are not indexed: a purge costs one insertion, a lookup checks its entry's tags.

mod peer;
mod table;
mod view;

pub use peer::{Made, Word};
pub use table::PurgeTable;
pub use view::{Purges, Standing};

/// A position in the purge log. Zero comes before every record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// A position in a certain log. Those of different logs cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which log, a random number; zero is none.
    pub log: u64,
    /// Where in it.
    pub sequence: Sequence,
}

/// What a purge names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One URL with all its variants: `http://host/path?query` in canonical form.
    Url(String),
    /// Every entry that carries this tag, compared whole: tag `a` does not touch `ab`.
    Tag(String),
    /// Every URL that begins with this one, at a segment border: `http://host/a` covers `/a`, `/a/b` and `/a?q`, not `/ab`.
    Prefix(String),
    /// Everything.
    All,
}

/// Whether entries become stale or are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Gone: never used again, not even where the origin fails.
    #[default]
    Hard,
    /// Stale from now on: stale-while-revalidate and stale-if-error still apply.
    Soft,
}

/// One record of the purge log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position.
    pub sequence: Sequence,
    /// What it names.
    pub scope: Scope,
    /// What becomes of the entries.
    pub mode: Mode,
}

/// What the log says of an entry, in the order of how much is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covered {
    /// No later record matches.
    No,
    /// A later soft purge matches, no hard one.
    Soft,
    /// A later hard purge matches.
    Hard,
}

impl Scope {
    /// Compact form for hosts that carry purges between workers: a letter, then the text.
    pub fn encode(&self, mode: Mode) -> Vec<u8> {
        let (letter, text): (u8, &str) = match self {
            Self::Url(url) => (b'u', url),
            Self::Tag(tag) => (b't', tag),
            Self::Prefix(prefix) => (b'p', prefix),
            Self::All => (b'a', ""),
        };
        let mode = if mode == Mode::Soft { b's' } else { b'h' };
        let mut bytes = vec![letter, mode];
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// Reads what [`Scope::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<(Self, Mode)> {
        let (head, text) = bytes.split_at_checked(2)?;
        let text = std::str::from_utf8(text).ok()?.to_owned();
        let (letter, mode) = (head.first()?, head.get(1)?);
        let mode = match mode {
            b's' => Mode::Soft,
            b'h' => Mode::Hard,
            _ => return None,
        };
        let scope = match letter {
            b'u' => Self::Url(text),
            b't' => Self::Tag(text),
            b'p' => Self::Prefix(text),
            b'a' if text.is_empty() => Self::All,
            _ => return None,
        };
        Some((scope, mode))
    }
}

/// Whether `url` lies under `prefix`, at a segment border.
pub fn is_under(url: &str, prefix: &str) -> bool {
    match url.strip_prefix(prefix) {
        Some("") => true,
        Some(rest) => prefix.ends_with('/') || rest.starts_with(['/', '?']),
        None => false,
    }
}
