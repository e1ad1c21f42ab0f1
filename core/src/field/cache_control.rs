//! `Cache-Control` (RFC 9111 5.2, RFC 5861, RFC 8246), `Pragma` on requests and targeted fields (RFC 9213), as one value.
//!
//! Reads only; which directive wins in which situation is decided in `decide/`. Bad input falls to the side of not
//! reusing: a lifetime that is no number is zero, a quoted string left open forbids reuse, contradictions keep the
//! strictest.

use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::syntax::{leaves_quote_open, lower_token, members, trim, unquote};
use crate::fields::Fields;
use crate::time::Seconds;

/// Directives of a request or of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` for the whole response.
    pub no_cache: bool,
    /// Fields named by `no-cache="…"`, lower case.
    pub no_cache_fields: Vec<String>,
    /// `private` for the whole response.
    pub private: bool,
    /// Fields named by `private="…"`, lower case.
    pub private_fields: Vec<String>,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `no-transform`.
    pub no_transform: bool,
    /// `immutable`.
    pub immutable: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`.
    pub max_age: Option<Seconds>,
    /// `s-maxage`.
    pub s_maxage: Option<Seconds>,
    /// `stale-while-revalidate`.
    pub stale_while_revalidate: Option<Seconds>,
    /// `stale-if-error`.
    pub stale_if_error: Option<Seconds>,
    /// `min-fresh`.
    pub min_fresh: Option<Seconds>,
    /// `max-stale`.
    pub max_stale: Option<MaxStale>,
    /// Whether the field was there at all.
    pub present: bool,
    /// Whether a targeted field was read: `Cache-Control`, `Expires` and `Pragma` then say nothing to this cache.
    pub targeted: bool,
}

/// How stale a response a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// Stale by no more than this.
    UpTo(Seconds),
}

impl CacheControl {
    /// Reads the lines of a `Cache-Control` field.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut read = Self::default();
        for value in values {
            read.present = true;
            for member in members(value) {
                if leaves_quote_open(member) {
                    // Where the string was meant to end is anybody's guess: everything after the quote counts, as
                    // long as it forbids something, and nothing that it allows.
                    member.split(|byte| *byte == b',').for_each(|part| read.take(part));
                    read.forbid_reuse();
                } else {
                    read.take(member);
                }
            }
        }
        read
    }

    /// Reads a request's directives. Without `Cache-Control`, `Pragma: no-cache` means `no-cache` (RFC 9111 5.4).
    pub fn of_request(fields: &Fields) -> Self {
        let mut read = Self::parse(fields.all("cache-control"));
        if !read.present {
            let pragma = |member: &[u8]| member.eq_ignore_ascii_case(b"no-cache");
            read.no_cache = fields.all("pragma").any(|value| members(value).any(pragma));
        }
        read
    }

    /// Reads a response's directives: those of the first of the `targeted` fields (lower case) that is there and makes
    /// sense, else those of `Cache-Control` (RFC 9213 2.2).
    pub fn of_response(fields: &Fields, targeted: &[String]) -> Self {
        let first = targeted.iter().find_map(|name| match name.as_str() {
            "surrogate-control" => Self::of_surrogate_control(fields),
            name => Self::of_targeted(&fields.joined(name)?),
        });
        first.unwrap_or_else(|| Self::parse(fields.all("cache-control")))
    }

    /// RFC 9213 2.1: "if a targeted field in a given response is empty or a parsing error is encountered, that field
    /// MUST be ignored".
    fn of_targeted(value: &[u8]) -> Option<Self> {
        let directives: Dictionary = Parser::new(value).parse().ok().filter(|d: &Dictionary| !d.is_empty())?;
        let mut read = Self { present: true, targeted: true, ..Self::default() };
        for (name, entry) in &directives {
            let argument = match entry {
                ListEntry::Item(item) => match &item.bare_item {
                    BareItem::Boolean(set) if *set => Argument::None,
                    BareItem::Integer(number) => Argument::Text(i64::from(*number).to_string().into_bytes()),
                    BareItem::String(text) => Argument::Text(text.as_str().as_bytes().to_vec()),
                    BareItem::Token(token) => Argument::Text(token.as_str().as_bytes().to_vec()),
                    _ => Argument::Bad,
                },
                ListEntry::InnerList(_) => Argument::Bad,
            };
            read.directive(name.as_str().as_bytes(), &argument);
        }
        Some(read)
    }

    /// The edge architecture's older field, read leniently: parameters of a directive name the surrogate that it is for
    /// (we have no such name, so it is not for us); `max-age=60+30` means 60. `None` where no directive is understood.
    fn of_surrogate_control(fields: &Fields) -> Option<Self> {
        let mut read = Self { present: true, targeted: true, ..Self::default() };
        let nothing = read.clone();
        for value in fields.all("surrogate-control") {
            for member in members(value).filter(|member| !member.contains(&b';')) {
                let base = member.iter().position(|byte| *byte == b'+').and_then(|at| member.get(..at));
                read.take(base.unwrap_or(member));
            }
        }
        (read != nothing).then_some(read)
    }

    fn take(&mut self, member: &[u8]) {
        let member = trim(member);
        let equals = member.iter().position(|byte| *byte == b'=');
        match equals.and_then(|at| member.split_at_checked(at)) {
            None => self.directive(member, &Argument::None),
            Some((name, argument)) => {
                let argument = argument.get(1..).unwrap_or_default();
                self.directive(trim(name), &Argument::read(name, argument));
            }
        }
    }

    fn directive(&mut self, name: &[u8], argument: &Argument) {
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !argument.names_fields(&mut self.no_cache_fields),
            b"private" => self.private |= !argument.names_fields(&mut self.private_fields),
            // A permission counts only as it is written; a restriction counts however it is written.
            b"public" => self.public |= argument.is_none(),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            b"immutable" => self.immutable |= argument.is_none(),
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => shorter(&mut self.max_age, argument.seconds()),
            b"s-maxage" => shorter(&mut self.s_maxage, argument.seconds()),
            b"stale-while-revalidate" => shorter(&mut self.stale_while_revalidate, argument.seconds()),
            b"stale-if-error" => shorter(&mut self.stale_if_error, argument.seconds()),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(argument.seconds()),
            b"max-stale" => self.max_stale = stricter(self.max_stale, argument),
            _ => {}
        }
    }

    fn forbid_reuse(&mut self) {
        self.no_cache = true;
        self.public = false;
        self.immutable = false;
        self.max_age = Some(Seconds::ZERO);
        self.s_maxage = Some(Seconds::ZERO);
        self.stale_while_revalidate = Some(Seconds::ZERO);
        self.stale_if_error = Some(Seconds::ZERO);
        self.max_stale = None;
    }
}

/// What follows a directive's `=`.
enum Argument {
    None,
    Text(Vec<u8>),
    Bad,
}

impl Argument {
    /// RFC 9111 5.2 takes both forms, token and quoted string, for every argument; whitespace around `=` is in neither.
    fn read(name: &[u8], argument: &[u8]) -> Self {
        let spaced = name.last().is_some_and(|byte| matches!(byte, b' ' | b'\t')) || trim(argument) != argument;
        match argument {
            _ if spaced => Self::Bad,
            [b'"', ..] => unquote(argument).map_or(Self::Bad, Self::Text),
            _ => Self::Text(argument.to_vec()),
        }
    }

    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn seconds(&self) -> Option<Seconds> {
        match self {
            Self::Text(text) => Seconds::parse(text),
            Self::None | Self::Bad => None,
        }
    }

    /// Adds the fields that the argument names; whether it names any, and nothing else.
    fn names_fields(&self, names: &mut Vec<String>) -> bool {
        let Self::Text(text) = self else { return false };
        let Some(named) = members(text).map(lower_token).collect::<Option<Vec<_>>>().filter(|named| !named.is_empty())
        else {
            return false;
        };
        for name in named {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        true
    }
}

/// RFC 9111 4.2.1 lets a cache take a repeated directive's first value or call the response stale. The shortest is
/// taken, and zero for what is no number, which is never longer than the first.
fn shorter(lifetime: &mut Option<Seconds>, new: Option<Seconds>) {
    let new = new.unwrap_or(Seconds::ZERO);
    *lifetime = Some(lifetime.map_or(new, |old| old.min(new)));
}

fn stricter(old: Option<MaxStale>, argument: &Argument) -> Option<MaxStale> {
    let new = match (argument.is_none(), argument.seconds()) {
        (true, _) => MaxStale::Any,
        (false, Some(most)) => MaxStale::UpTo(most),
        (false, None) => MaxStale::UpTo(Seconds::ZERO),
    };
    match (old, new) {
        (Some(MaxStale::UpTo(old)), MaxStale::UpTo(new)) => Some(MaxStale::UpTo(old.min(new))),
        (Some(MaxStale::UpTo(old)), MaxStale::Any) => Some(MaxStale::UpTo(old)),
        (Some(MaxStale::Any) | None, new) => Some(new),
    }
}
