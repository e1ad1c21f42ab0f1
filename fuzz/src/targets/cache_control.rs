//! `Cache-Control`: what is well-formed against a reading of RFC 9111 5.2 written here; anything at all against what must not depend on
//! how it is written.

use std::collections::BTreeSet;

use larder_core::field::cache_control::{CacheControl, MaxStale};

/// An input's lines are the field's.
pub fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let read = CacheControl::parse(lines.iter().copied());
    assert!(read.present && !read.targeted);
    if let Some(expected) = Expected::of(&lines) {
        expected.hold(&read);
    }
    order_of_lines_permits_nothing(&lines, &read);
    restrictions_stay(&lines, &read);
}

/// Of several lines, none permits what another has forbidden, whichever comes first (RFC 9110 5.3 lets nobody reorder lines; nor does
/// anything of ours rely on nobody having done so).
fn order_of_lines_permits_nothing(lines: &[&[u8]], read: &CacheControl) {
    let turned = CacheControl::parse(lines.iter().rev().copied());
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&turned.private_fields), set(&read.private_fields));
    assert_eq!(set(&turned.no_cache_fields), set(&read.no_cache_fields));
    let others = |read: &CacheControl| {
        let mut read = read.clone();
        (read.private_fields, read.no_cache_fields) = (Vec::new(), Vec::new());
        read
    };
    assert_eq!(others(&turned), others(read));
}

/// Another line never takes back what a field forbids, and never makes a response fresh for longer.
fn restrictions_stay(lines: &[&[u8]], read: &CacheControl) {
    let more: [&[u8]; 6] = [b"public", b"max-age=2147483648", b"s-maxage=9", b"private=\"a\"", b"x=\"", b"max-stale"];
    for line in more {
        let with = CacheControl::parse(lines.iter().copied().chain([line]));
        let kept = |before: bool, after: bool| assert!(!before || after, "{:?}", String::from_utf8_lossy(line));
        kept(read.no_store, with.no_store);
        kept(read.no_cache, with.no_cache);
        kept(read.private, with.private);
        kept(read.must_revalidate, with.must_revalidate);
        kept(read.max_age.is_some(), with.max_age.is_some() && with.max_age <= read.max_age);
    }
}

/// A directive of a well-formed field.
struct Directive {
    name: String,
    argument: Option<String>,
}

/// What a well-formed field says.
#[derive(Default)]
struct Expected {
    flags: BTreeSet<&'static str>,
    numbers: Vec<(&'static str, u64)>,
    fields: Vec<(&'static str, String)>,
    max_stale: Vec<Option<u64>>,
}

const FLAGS: [&str; 10] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "no-transform",
    "immutable",
    "only-if-cached",
];
const NUMBERS: [&str; 5] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "min-fresh"];
const SECONDS_MAX: u64 = 1 << 31;

impl Expected {
    /// `None` where anything is not as RFC 9111 has it: then only safety is promised.
    fn of(lines: &[&[u8]]) -> Option<Self> {
        let mut expected = Self::default();
        for line in lines {
            for directive in directives(std::str::from_utf8(line).ok()?)? {
                expected.take(&directive)?;
            }
        }
        Some(expected)
    }

    fn take(&mut self, directive: &Directive) -> Option<()> {
        let Directive { name, argument } = directive;
        if let Some(number) = NUMBERS.iter().find(|known| *known == name) {
            self.numbers.push((number, seconds(argument.as_deref()?)?));
        } else if name == "max-stale" {
            self.max_stale.push(match argument {
                None => None,
                Some(text) => Some(seconds(text)?),
            });
        } else if let Some(flag) = FLAGS.iter().find(|known| *known == name) {
            match argument {
                None => {
                    self.flags.insert(flag);
                }
                // RFC 9111 5.2.2.4, 5.2.2.7: `#field-name`. What is no such list leaves open what is meant; the whole
                // response is the most that can be, and "many caches treat the qualified form" so anyway.
                Some(text) if matches!(*flag, "private" | "no-cache") => {
                    let names = text.split(',').map(|name| name.trim_matches([' ', '\t']));
                    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
                    if names.is_empty() || !names.iter().all(|name| is_token(name)) {
                        self.flags.insert(flag);
                    } else {
                        self.fields.extend(names.iter().map(|name| (*flag, name.to_ascii_lowercase())));
                    }
                }
                Some(_) => return None,
            }
        }
        Some(())
    }

    fn hold(&self, read: &CacheControl) {
        let flags = [
            read.no_store,
            read.no_cache,
            read.private,
            read.public,
            read.must_revalidate,
            read.proxy_revalidate,
            read.must_understand,
            read.no_transform,
            read.immutable,
            read.only_if_cached,
        ];
        for (name, is_set) in FLAGS.iter().zip(flags) {
            assert_eq!(is_set, self.flags.contains(name), "{name}");
        }
        let numbers = [read.max_age, read.s_maxage, read.stale_while_revalidate, read.stale_if_error, read.min_fresh];
        for (name, number) in NUMBERS.iter().zip(numbers) {
            let said = self.numbers.iter().filter(|(said, _)| said == name).map(|(_, number)| *number);
            // The strictest of several.
            let expected = if *name == "min-fresh" { said.max() } else { said.min() };
            assert_eq!(number.map(|number| u64::from(number.get())), expected, "{name}");
        }
        for (name, fields) in [("private", &read.private_fields), ("no-cache", &read.no_cache_fields)] {
            let expected: BTreeSet<&String> =
                self.fields.iter().filter(|(of, _)| *of == name).map(|(_, field)| field).collect();
            assert_eq!(fields.iter().collect::<BTreeSet<_>>(), expected, "{name}");
        }
        let stale = match self.max_stale.iter().flatten().min() {
            Some(most) => Some(Some(*most)),
            None => self.max_stale.first().map(|_| None),
        };
        let read = read.max_stale.map(|most| match most {
            MaxStale::Any => None,
            MaxStale::UpTo(most) => Some(u64::from(most.get())),
        });
        assert_eq!(read, stale, "max-stale");
    }
}

/// RFC 9111 1.2.2: digits; what is larger than can be counted is 2^31.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse::<u64>().map_or(SECONDS_MAX, |number| number.min(SECONDS_MAX)))
}

fn is_token(text: &str) -> bool {
    let other = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other(byte))
}

/// RFC 9110 5.6.1 and RFC 9111 5.2: `#( token [ "=" ( token / quoted-string ) ] )`. Quoted strings with backslashes, which nobody
/// sends, are left to others.
fn directives(line: &str) -> Option<Vec<Directive>> {
    let mut directives = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(directives);
        }
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if !is_token(name) {
            return None;
        }
        let mut argument = None;
        rest = after;
        if let Some(after) = rest.strip_prefix('=') {
            let text;
            (text, rest) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').filter(|(text, _)| !text.contains('\\'))?,
                None => after.split_at(after.find([' ', '\t', ',']).unwrap_or(after.len())),
            };
            if !after.starts_with('"') && !is_token(text) {
                return None;
            }
            argument = Some(text.to_owned());
        }
        rest = rest.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        directives.push(Directive { name: name.to_ascii_lowercase(), argument });
    }
}
