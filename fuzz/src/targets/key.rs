//! Cache keys: two requests share one exactly where the policy's normalisation makes them the same request. The normalisation is written
//! here again, as text, from the policy's documentation.

use larder_core::fields::{Fields, RequestHead};
use larder_core::key::{Key, canonical_url, keyed};
use larder_core::policy::rules::{KeyRules, QueryRule, UserPart};

use crate::input::Input;

/// Rules and two requests.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let rules = rules(&mut input);
    let left = head(&mut input);
    let right = if input.flag() { head(&mut input) } else { changed(left.clone(), &mut input) };
    let [left_key, right_key] = [&left, &right].map(|head| keyed(&rules, head, None));
    let [left_form, right_form] = [&left, &right].map(|head| form(&rules, head));
    assert_eq!(
        left_key.key == right_key.key,
        left_form == right_form,
        "\n{left:?}\n{right:?}\n{rules:?}\n{left_form:#?}\n{right_form:#?}"
    );
    for (head, key) in [(&left, &left_key), (&right, &right_key)] {
        assert_eq!(Key::from_bytes(key.key.as_bytes()), key.key);
        assert!(key.key.as_bytes().starts_with(key.url_part()) && key.url_part().starts_with(key.path_key()));
        assert_ne!(key.key.of_parts(), key.key);
        // What is forwarded is what was keyed: asked for again as it was forwarded, it is the same key.
        let mut forwarded = head.clone();
        if let Some(target) = &key.forward_target {
            forwarded.target.clone_from(target);
        }
        for (name, value) in &key.forward_fields {
            forwarded.fields.set(name, value.clone());
        }
        let again = keyed(&rules, &forwarded, None);
        assert_eq!((&again.key, &again.forward_target), (&key.key, &None), "{head:?} {forwarded:?}");
    }
    if left_key.url() == right_key.url() && left.scheme == right.scheme {
        assert!(left_key.url_part() == right_key.url_part() || has_odd_url(&left) || has_odd_url(&right));
    }
    if let Ok(url) = canonical_url(&input.text(80)) {
        assert_eq!(canonical_url(&url).as_deref(), Ok(url.as_str()), "what is canonical stays as it is");
    }
}

/// Parts that could not stand in a URL make URLs that read in two ways; such requests do not reach a cache.
fn has_odd_url(head: &RequestHead) -> bool {
    head.authority.contains(['/', '?', '#']) || !head.target.starts_with('/') || head.scheme.contains("://")
}

const FIELDS: [&str; 7] =
    ["x-a", "x-b", "authorization", "cookie", "accept-encoding", "accept-language", "x-forwarded-proto"];
const PARAMS: [&str; 5] = ["a", "b", "utm_*", "ab", "*"];

fn rules(input: &mut Input<'_>) -> KeyRules {
    let list = |input: &mut Input<'_>| (0..input.below(3)).map(|_| input.one_of(&PARAMS).to_owned()).collect();
    let query = match input.byte() % 4 {
        0 => QueryRule::All,
        1 => QueryRule::None,
        2 => QueryRule::Allow(list(input)),
        _ => QueryRule::Deny(list(input)),
    };
    let flags = input.byte();
    let chosen = |bit: u8, names: &[&str]| {
        if flags & bit == 0 { Vec::new() } else { names.iter().map(|name| (*name).to_owned()).collect() }
    };
    KeyRules {
        query,
        sort_query: flags & 1 == 1,
        no_vary_search: false,
        headers: chosen(2, &["x-a", "x-b"]),
        cookies: chosen(4, &["sid", "c"]),
        accept_encoding: (flags & 8 == 8).then(|| vec!["br".to_owned(), "gzip".to_owned()]),
        accept_language: (flags & 16 == 16).then(|| vec!["de".to_owned(), "en".to_owned()]),
        user: match flags >> 5 {
            1 => vec![UserPart::Authorization],
            2 => vec![UserPart::Cookie("sid".to_owned())],
            3 => vec![UserPart::Header("x-b".to_owned()), UserPart::Authorization],
            _ => Vec::new(),
        },
    }
}

fn head(input: &mut Input<'_>) -> RequestHead {
    let mut head = RequestHead {
        method: "GET".to_owned(),
        scheme: input.one_of(&["http", "https", "HTTP"]).to_owned(),
        authority: match input.byte() % 4 {
            0 => input.text(12),
            at => ["h", "H:80", "h:443"][usize::from(at - 1)].to_owned(),
        },
        target: format!("/{}", input.text(24)),
        ..RequestHead::default()
    };
    for _ in 0..input.below(5) {
        let name = input.one_of(&FIELDS);
        head.fields.add(name, value(input));
    }
    head
}

/// Quotes that are left open, across lines even, are left to `fields`.
fn value(input: &mut Input<'_>) -> Vec<u8> {
    let values: [&[u8]; 8] = [b"", b"a, b", b"a,b", b"sid=1; c=2", b"sid=1", b"gzip", b"en;q=0.5, de", b"https"];
    match input.byte() {
        at @ 0..8 => values[usize::from(at)].to_vec(),
        _ => input.bytes(16).iter().copied().filter(|byte| *byte != b'"').collect(),
    }
}

/// A request that differs little from another.
fn changed(mut head: RequestHead, input: &mut Input<'_>) -> RequestHead {
    for _ in 0..input.below(3) {
        match input.byte() % 6 {
            0 => head.target.push_str(&input.text(8)),
            1 => {
                let mut pieces: Vec<&str> = head.target.split('&').collect();
                pieces.reverse();
                head.target = pieces.join("&");
            }
            2 => head.authority.make_ascii_uppercase(),
            3 => {
                let at = input.below(head.fields.len());
                let mut seen = 0;
                head.fields.retain(|_| {
                    seen += 1;
                    seen - 1 != at
                });
            }
            4 => {
                let name = input.one_of(&FIELDS);
                head.fields.add(name, value(input));
            }
            _ => {
                let from = input.one_of(&FIELDS);
                let moved = head.fields.joined(from);
                head.fields.remove(from);
                let to = input.one_of(&FIELDS);
                if let Some(moved) = moved {
                    head.fields.add(to, moved);
                }
            }
        }
    }
    head
}

/// A request's parts as the policy has them told apart.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
    parts: Vec<Option<Vec<u8>>>,
}

fn form(rules: &KeyRules, head: &RequestHead) -> Form {
    let scheme = head.scheme.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let authority = head.authority.strip_suffix(port).unwrap_or(&head.authority).to_ascii_lowercase();
    let (path, query) = match head.target.split_once('?') {
        Some((path, query)) => (path.to_owned(), kept(rules, query)),
        None => (head.target.clone(), None),
    };
    let mut parts = Vec::new();
    if rules.accept_encoding.is_some() {
        // Which of the two is taken is `fields`' affair; here it is what the origin will see.
        let key = keyed(rules, head, None);
        parts.extend(
            key.forward_fields.iter().filter(|(name, _)| name == "accept-encoding").map(|(_, v)| Some(v.clone())),
        );
    }
    if rules.accept_language.is_some() {
        let key = keyed(rules, head, None);
        parts.extend(
            key.forward_fields.iter().filter(|(name, _)| name == "accept-language").map(|(_, v)| Some(v.clone())),
        );
    }
    for name in &rules.headers {
        // A list is the same list whatever stands around its commas and over how many lines it goes.
        let members = head.fields.all(name).flat_map(|line| line.split(|byte| *byte == b',')).map(trim);
        let members: Vec<&[u8]> = members.collect();
        parts.push(head.fields.has(name).then(|| members.join(&b',')));
    }
    let protos: Vec<&[u8]> = head.fields.all("x-forwarded-proto").collect();
    parts.push(match &protos[..] {
        [] => None,
        [only] if only.eq_ignore_ascii_case(scheme.as_bytes()) => None,
        all => Some(all.join(&b", "[..])),
    });
    parts.extend(rules.cookies.iter().map(|name| cookie(&head.fields, name)));
    parts.extend(rules.user.iter().map(|part| match part {
        UserPart::Authorization => head.fields.joined("authorization"),
        UserPart::Header(name) => head.fields.joined(name),
        UserPart::Cookie(name) => cookie(&head.fields, name),
    }));
    Form { scheme, authority, path, query, parts }
}

fn kept(rules: &KeyRules, query: &str) -> Option<String> {
    let is_listed = |list: &[String], pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        list.iter().any(|listed| match listed.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == listed,
        })
    };
    let mut pairs: Vec<&str> = match &rules.query {
        QueryRule::All if !rules.sort_query => return Some(query.to_owned()),
        QueryRule::All => query.split('&').collect(),
        QueryRule::None => return None,
        QueryRule::Allow(list) => query.split('&').filter(|pair| is_listed(list, pair)).collect(),
        QueryRule::Deny(list) => query.split('&').filter(|pair| !is_listed(list, pair)).collect(),
    };
    if rules.sort_query {
        pairs.sort_by(|left, right| left.split('=').next().cmp(&right.split('=').next()));
    }
    Some(pairs.join("&")).filter(|kept| !kept.is_empty())
}

fn cookie(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let pairs = fields.all("cookie").flat_map(|line| line.split(|byte| *byte == b';')).map(trim);
    let values = pairs.filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (trim(&pair[..at]) == name.as_bytes()).then(|| trim(pair.get(at + 1..).unwrap_or_default()))
    });
    let values: Vec<&[u8]> = values.collect();
    (!values.is_empty()).then(|| values.join(&b';'))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !is_space(byte)).map_or(from, |at| at + 1);
    &text[from..to]
}
