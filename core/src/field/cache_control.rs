//! `Cache-Control` (RFC 9111 5.2, RFC 5861, RFC 8246), `Pragma` on requests and targeted fields (RFC 9213), as one
//! value.
//!
//! Reads only; which directive wins in which situation is decided in `decide/`. Bad input falls to the side of not
//! reusing: a lifetime that is no number is zero, a quoted string left open forbids reuse, contradictions keep the
//! strictest.

use std::borrow::Cow;

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
    /// Fields named by `no-cache="…"`, lower case; they count beside an unqualified one, too.
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
    /// Something that cannot be read forbids reuse, whatever else is said before and after it.
    pub(crate) unreadable: bool,
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
                    read.unreadable = true;
                } else {
                    read.take(member);
                }
            }
        }
        read.settled()
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

    /// Reads a response's directives: those of the first of the `targeted` fields (lower case) that is there and
    /// makes sense, else those of `Cache-Control` (RFC 9213 2.2).
    pub fn of_response(fields: &Fields, targeted: &[String]) -> Self {
        let first = targeted.iter().find_map(|name| match name.as_str() {
            "surrogate-control" => Self::of_surrogate_control(fields),
            name => Self::of_targeted(&fields.joined(name)?),
        });
        first.unwrap_or_else(|| Self::parse(fields.all("cache-control")))
    }

    /// RFC 9213 2.1 (MUST): a targeted field that is empty or malformed is as if it were not there.
    fn of_targeted(value: &[u8]) -> Option<Self> {
        let directives: Dictionary = Parser::new(value).parse().ok().filter(|d: &Dictionary| !d.is_empty())?;
        let mut read = Self { present: true, targeted: true, ..Self::default() };
        for (name, entry) in &directives {
            let argument = match entry {
                ListEntry::Item(item) => match &item.bare_item {
                    BareItem::Boolean(set) if *set => Argument::None,
                    BareItem::Integer(number) => Argument::Text(i64::from(*number).to_string().into_bytes().into()),
                    // Lists of field names are strings; a number in quotes is of the wrong type, and no number.
                    BareItem::String(text) if matches!(name.as_str(), "private" | "no-cache") => {
                        Argument::Text(text.as_str().as_bytes().into())
                    }
                    _ => Argument::Bad,
                },
                ListEntry::InnerList(_) => Argument::Bad,
            };
            read.directive(name.as_str().as_bytes(), &argument);
        }
        Some(read.settled())
    }

    /// The edge architecture's older field, read leniently: parameters of a directive name the surrogate that it is
    /// for (we have no such name, so it is not for us); `max-age=60+30` means 60. `None` where no directive is
    /// understood.
    fn of_surrogate_control(fields: &Fields) -> Option<Self> {
        let mut read = Self { present: true, targeted: true, ..Self::default() };
        let nothing = read.clone();
        for value in fields.all("surrogate-control") {
            for member in members(value).filter(|member| !member.contains(&b';')) {
                let base = member.iter().position(|byte| *byte == b'+').and_then(|at| member.get(..at));
                read.take(base.unwrap_or(member));
            }
        }
        (read != nothing).then(|| read.settled())
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

    fn directive(&mut self, name: &[u8], argument: &Argument<'_>) {
        let mut lower = [0; NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        match &*lower {
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
            b"s-maxage" => match argument.seconds() {
                Some(lifetime) => shorter(&mut self.s_maxage, Some(lifetime)),
                // Not zero: the directive's presence would permit sharing what Authorization guards (RFC 9111 3.5).
                None => self.unreadable = true,
            },
            b"stale-while-revalidate" => shorter(&mut self.stale_while_revalidate, argument.seconds()),
            b"stale-if-error" => shorter(&mut self.stale_if_error, argument.seconds()),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(argument.seconds()),
            b"max-stale" => self.max_stale = stricter(self.max_stale, argument),
            _ => {}
        }
    }

    /// Once everything has been read: where something could not be, nothing is permitted by what stands beside it.
    fn settled(mut self) -> Self {
        if self.unreadable {
            self.no_cache = true;
            self.public = false;
            self.immutable = false;
            self.max_age = Some(Seconds::ZERO);
            self.s_maxage = None;
            self.stale_while_revalidate = Some(Seconds::ZERO);
            self.stale_if_error = Some(Seconds::ZERO);
            self.max_stale = None;
        }
        self
    }
}

/// The longest directive known is `stale-while-revalidate`.
const NAME_BYTES_MAX: usize = 24;

/// What follows a directive's `=`.
enum Argument<'a> {
    None,
    Text(Cow<'a, [u8]>),
    Bad,
}

impl<'a> Argument<'a> {
    /// RFC 9111 5.2 takes both forms, token and quoted string, for every argument; whitespace around `=` is in
    /// neither.
    fn read(name: &[u8], argument: &'a [u8]) -> Self {
        let spaced = name.last().is_some_and(|byte| matches!(byte, b' ' | b'\t')) || trim(argument) != argument;
        match argument {
            _ if spaced => Self::Bad,
            [b'"', ..] => unquote(argument).map_or(Self::Bad, |text| Self::Text(text.into())),
            _ => Self::Text(argument.into()),
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

fn stricter(old: Option<MaxStale>, argument: &Argument<'_>) -> Option<MaxStale> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(lines: &[&str]) -> CacheControl {
        CacheControl::parse(lines.iter().map(|line| line.as_bytes()))
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        fields
    }

    #[test]
    fn rfc_9111_5_2_2_1_max_age_is_a_number_or_zero() {
        for (lines, want) in [
            (&["max-age=3600"][..], Some(3600)),
            (&["MaX-aGe=3600"], Some(3600)),
            (&["foobar, max-age=3600"], Some(3600)),
            (&["max-age=003600"], Some(3600)),
            (&["max-age=\"3600\""], Some(3600)),
            (&["max-age=0"], Some(0)),
            (&["max-age=2147483647"], Some(2_147_483_647)),
            (&["max-age=99999999999"], Some(1 << 31)),
            (&["max-age=-3600"], Some(0)),
            (&["max-age='3600'"], Some(0)),
            (&["max-age=3600.0"], Some(0)),
            (&["max-age=a3600"], Some(0)),
            (&["max-age=3600a"], Some(0)),
            (&["max-age =3600"], Some(0)),
            (&["max-age= 3600"], Some(0)),
            (&["max-age="], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age=\"36\\00\""], Some(3600)),
            (&["max-age=\"3600"], Some(0)),
            // In another directive's string.
            (&["extension=\"max-age=3600\", max-age=1"], Some(1)),
            (&["max-age=1, extension=\"max-age=3600\""], Some(1)),
            (&["extension=\"max-age=3600\", max-age=\"1\""], Some(1)),
            (&["extension=\"a, max-age=3600\""], None),
            (&["extension=\"\\\", max-age=3600\""], None),
            // Several.
            (&["max-age=3600, max-age=1800"], Some(1800)),
            (&["max-age=1", "max-age=1800"], Some(1)),
            (&["max-age=1800", "max-age=x"], Some(0)),
            (&["max-ages=5"], None),
            (&["xmax-age=5"], None),
            (&[""], None),
        ] {
            assert_eq!(read(lines).max_age.map(Seconds::get), want, "{lines:?}");
        }
    }

    #[test]
    fn flags_are_set_in_any_case_and_with_any_argument_where_they_restrict() {
        type Flag = fn(&CacheControl) -> bool;
        let flags: [(&str, Flag, bool); 10] = [
            ("no-store", |cc| cc.no_store, true),
            ("no-cache", |cc| cc.no_cache, true),
            ("private", |cc| cc.private, true),
            ("must-revalidate", |cc| cc.must_revalidate, true),
            ("proxy-revalidate", |cc| cc.proxy_revalidate, true),
            ("must-understand", |cc| cc.must_understand, true),
            ("no-transform", |cc| cc.no_transform, true),
            ("only-if-cached", |cc| cc.only_if_cached, true),
            ("public", |cc| cc.public, false),
            ("immutable", |cc| cc.immutable, false),
        ];
        for (name, flag, restricts) in flags {
            assert!(flag(&read(&[name])), "{name}");
            assert!(flag(&read(&["a=b", &name.to_ascii_uppercase()])), "{name}");
            assert_eq!(flag(&read(&[&format!("{name}=\"")])), restricts, "{name}");
            assert_eq!(flag(&read(&[&format!("{name} =?0")])), restricts, "{name}");
            assert!(!flag(&read(&[&format!("x=\"{name}, {name}\", {name}s, x{name}")])), "{name}");
            assert!(!flag(&CacheControl::default()), "{name}");
        }
    }

    #[test]
    fn rfc_9111_5_2_2_4_and_7_qualified_forms_name_fields() {
        for (argument, want) in [
            ("=\"Set-Cookie\"", Some(&["set-cookie"][..])),
            ("=\"a, B ,a\"", Some(&["a", "b"])),
            ("=Set-Cookie", Some(&["set-cookie"])),
            ("=\"\"", None),
            ("=\"a b\"", None),
            ("=\"a, b", None),
            ("=", None),
            (" =\"a\"", None),
            ("", None),
        ] {
            for name in ["no-cache", "private"] {
                let cc = read(&[&format!("max-age=60, {name}{argument}")]);
                let (whole, fields) = match name {
                    "private" => (cc.private, cc.private_fields),
                    _ => (cc.no_cache, cc.no_cache_fields),
                };
                assert_eq!(whole, want.is_none(), "{name}{argument}");
                assert_eq!(fields, want.unwrap_or_default(), "{name}{argument}");
            }
        }
        let both = read(&["private=\"a\", private"]);
        assert!(both.private && both.private_fields == ["a"]);
        assert_eq!(read(&["no-cache=\"a\"", "no-cache=\"b\""]).no_cache_fields, ["a", "b"]);
    }

    #[test]
    fn a_string_left_open_hides_no_restriction_and_grants_nothing() {
        for line in ["x=\"a, no-store, max-age=60, public, s-maxage=60", "x=\"a\\\", no-store, max-age=60, s-maxage=9"]
        {
            let cc = read(&["max-stale, stale-if-error=60", line]);
            assert!(cc.no_store && cc.no_cache && !cc.public && cc.s_maxage.is_none(), "{line}");
            assert_eq!((cc.max_age, cc.stale_if_error), (Some(Seconds::ZERO), Some(Seconds::ZERO)));
            assert_eq!(cc.max_stale, None);
        }
    }

    #[test]
    fn other_spans_are_read_likewise() {
        let cc = read(&["s-maxage=5, stale-while-revalidate=6, stale-if-error=\"7\", min-fresh=8, max-stale=9"]);
        assert_eq!(cc.s_maxage.map(Seconds::get), Some(5));
        assert_eq!(cc.stale_while_revalidate.map(Seconds::get), Some(6));
        assert_eq!(cc.stale_if_error.map(Seconds::get), Some(7));
        assert_eq!(cc.min_fresh.map(Seconds::get), Some(8));
        assert_eq!(cc.max_stale, Some(MaxStale::UpTo(Seconds::saturating(9))));
        let cc = read(&["stale-while-revalidate, stale-if-error=x, min-fresh=x"]);
        assert_eq!(cc.stale_while_revalidate, Some(Seconds::ZERO));
        assert_eq!((cc.stale_if_error, cc.min_fresh), (Some(Seconds::ZERO), None));
        // What cannot be read of s-maxage neither gives a lifetime nor permits sharing.
        for line in ["s-maxage=x, max-age=60", "max-age=60, s-maxage", "s-maxage=-1"] {
            let cc = read(&[line]);
            assert!(cc.no_cache && cc.s_maxage.is_none() && cc.max_age == Some(Seconds::ZERO), "{line}");
        }
    }

    #[test]
    fn repeated_directives_keep_the_strictest() {
        for (line, want) in [
            ("max-stale", Some(MaxStale::Any)),
            ("max-stale=5", Some(MaxStale::UpTo(Seconds::saturating(5)))),
            ("max-stale, max-stale=5", Some(MaxStale::UpTo(Seconds::saturating(5)))),
            ("max-stale=5, max-stale", Some(MaxStale::UpTo(Seconds::saturating(5)))),
            ("max-stale=5, max-stale=3", Some(MaxStale::UpTo(Seconds::saturating(3)))),
            ("max-stale=x", Some(MaxStale::UpTo(Seconds::ZERO))),
            ("min-fresh=1", None),
        ] {
            assert_eq!(read(&[line]).max_stale, want, "{line}");
        }
        assert_eq!(read(&["min-fresh=1, min-fresh=3, min-fresh=2"]).min_fresh.map(Seconds::get), Some(3));
        assert_eq!(read(&["s-maxage=9, s-maxage=3"]).s_maxage.map(Seconds::get), Some(3));
    }

    #[test]
    fn rfc_9111_5_4_pragma_stands_in_for_a_missing_cache_control() {
        for (lines, want) in [
            (&[("pragma", "no-cache")][..], true),
            (&[("pragma", "foo, No-Cache")], true),
            (&[("pragma", "unrecognised-extension")], false),
            (&[("pragma", "no-cache"), ("cache-control", "max-age=60")], false),
            (&[("pragma", "no-cache"), ("cache-control", "")], false),
            (&[], false),
        ] {
            assert_eq!(CacheControl::of_request(&fields(lines)).no_cache, want, "{lines:?}");
        }
        assert!(!CacheControl::of_response(&fields(&[("pragma", "no-cache")]), &[]).no_cache);
    }

    #[test]
    fn rfc_9213_2_2_the_first_targeted_field_that_makes_sense_is_read_alone() {
        let targeted = ["larder-cache-control", "cdn-cache-control"].map(str::to_owned);
        for (lines, want) in [
            (&[("cdn-cache-control", "max-age=60")][..], (true, Some(60))),
            (&[("cdn-cache-control", "max-age=60;x=1, foo")], (true, Some(60))),
            (&[("larder-cache-control", "max-age=5"), ("cdn-cache-control", "max-age=60")], (true, Some(5))),
            (&[("larder-cache-control", "max-age=5,,"), ("cdn-cache-control", "max-age=60")], (true, Some(60))),
            (&[("larder-cache-control", ""), ("cdn-cache-control", "max-age=60")], (true, Some(60))),
            (&[("cdn-cache-control", "max-age=60"), ("cdn-cache-control", "max-age=7")], (true, Some(7))),
            (&[("cdn-cache-control", "no-store=?0, max-age=60.5")], (true, Some(0))),
            (&[("cdn-cache-control", "max-age=\"60\"")], (true, Some(0))),
            (&[("cdn-cache-control", "max-age")], (true, Some(0))),
            (&[("cdn-cache-control", "max-age=-1")], (true, Some(0))),
            (&[("cdn-cache-control", "foo")], (true, None)),
            // Malformed as a structured field: as if it were not there.
            (&[("cdn-cache-control", "Max-Age=60")], (false, Some(9))),
            (&[("cdn-cache-control", "max-age=60 no-store")], (false, Some(9))),
            (&[("cdn-cache-control", "max-age=99999999999999999999")], (false, Some(9))),
            (&[("other-cache-control", "max-age=60")], (false, Some(9))),
        ] {
            let mut fields = fields(lines);
            fields.add("cache-control", "max-age=9, private");
            let cc = CacheControl::of_response(&fields, &targeted);
            assert_eq!((cc.targeted, cc.max_age.map(Seconds::get)), want, "{lines:?}");
            assert!(cc.present);
            assert_eq!(cc.private, !cc.targeted, "{lines:?}");
        }
        let cc = CacheControl::of_response(
            &fields(&[("cdn-cache-control", "no-store, private=\"a\", no-cache=(\"b\"), public=?0, must-revalidate")]),
            &targeted,
        );
        assert!(cc.no_store && cc.no_cache && !cc.private && !cc.public && cc.must_revalidate);
        assert_eq!(cc.private_fields, ["a"]);
    }

    #[test]
    fn surrogate_control_is_read_leniently_where_it_is_listed() {
        let targeted = ["surrogate-control".to_owned()];
        for (value, want) in [
            ("max-age=3600", (true, Some(3600))),
            ("MaX-aGe=3600", (true, Some(3600))),
            ("foobar, max-age=3600+600", (true, Some(3600))),
            ("max-age=99999999999", (true, Some(1 << 31))),
            ("max-age=0", (true, Some(0))),
            ("max-age =100", (true, Some(0))),
            ("no-store", (true, None)),
            ("max-age=3600;not-for-you", (false, Some(9))),
            ("foo", (false, Some(9))),
            ("content=\"ESI/1.0\"", (false, Some(9))),
        ] {
            let fields = fields(&[("surrogate-control", value), ("cache-control", "max-age=9")]);
            let cc = CacheControl::of_response(&fields, &targeted);
            assert_eq!((cc.targeted, cc.max_age.map(Seconds::get)), want, "{value}");
            assert_eq!(cc.no_store, value == "no-store");
            assert!(!CacheControl::of_response(&fields, &[]).targeted);
        }
    }

    #[test]
    fn more_lines_never_lift_a_restriction_for_any_bytes() {
        let strict = |cc: &CacheControl| [cc.no_store, cc.no_cache, cc.private, cc.must_revalidate, cc.no_transform];
        for seed in 0..5_000 {
            let mut rng = hostile::Rng::new(seed);
            let (one, other) = (rng.value(), rng.value());
            let alone = CacheControl::parse([one.as_slice()].into_iter());
            let both = CacheControl::parse([one.as_slice(), &other].into_iter());
            assert!(strict(&alone).iter().zip(strict(&both)).all(|(before, after)| !before || after));
            assert!(alone.max_age.is_none_or(|span| both.max_age.is_some_and(|other| other <= span)));
            let mut fields = Fields::new();
            fields.add("cdn-cache-control", one.clone());
            fields.add("surrogate-control", one);
            fields.add("cache-control", other);
            for name in ["cdn-cache-control", "surrogate-control"] {
                CacheControl::of_response(&fields, &[name.to_owned()]);
            }
        }
    }
}
