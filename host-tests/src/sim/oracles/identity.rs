//! No byte crosses users, languages (`Vary`) or keys: RFC 9111 3.5, 4.1, 7.

use super::super::books::{Books, Seen};
use super::super::catalog::Kind;
use super::super::origin::{Representation, language_name, user_name};
use super::super::plan::Identified;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    let kind = books.origin.kind(seen.ask.object);
    let asker = user_name(seen.ask.user);
    if let Some(cookie) = seen.headers.text("set-cookie")
        && cookie != format!("session={asker}")
    {
        return Err(format!("{asker:?} was given the cookie {cookie:?}"));
    }
    let said = seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag));
    let bodied = if matches!(seen.status, 200 | 206) { Representation::of_body(&seen.body) } else { None };
    for of in said.iter().chain(&bodied) {
        if of.object != seen.ask.object {
            return Err(format!("asked for object {}, got {}", seen.ask.object, of.object));
        }
        let shown = match (kind, seen.ask.by) {
            (Kind::NaiveCookie, Identified::Authorization) => "",
            (Kind::NaiveAuthorization | Kind::KeyedByUser, Identified::Cookie) => "",
            _ => &asker,
        };
        if kind.is_personal() && of.user != shown {
            return Err(format!("{shown:?} was given what belongs to {:?}", of.user));
        }
        if kind == Kind::Varies && of.language != language_name(seen.ask.language) {
            return Err(format!("asked in {:?}, got {:?}", language_name(seen.ask.language), of.language));
        }
    }
    Ok(())
}
