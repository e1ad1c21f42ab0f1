//! What a client gets is what the origin once said, as one response, whole: RFC 9110 8.6 (length), 14.4 (ranges), 15.4.5 (304).

use super::super::books::{Books, Seen};
use super::super::catalog::Kind;
use super::super::origin::Representation;
use super::super::plan::What;
use crate::host::Outcome;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    let kind = books.origin.kind(seen.ask.object);
    let whole = |of: &Representation| of.body(kind.body_bytes());
    if seen.ask.what == What::Head || seen.outcome != Outcome::Complete {
        // A cut body must still begin as one body does.
        return match Representation::of_body(&seen.body) {
            Some(of) if seen.status == 200 && !whole(&of).starts_with(&seen.body) => {
                Err("the beginning of a body is not one that the origin has made".to_owned())
            }
            _ => Ok(()),
        };
    }
    match seen.status {
        200 => {
            let of = Representation::of_body(&seen.body).ok_or("the origin has not made this body")?;
            if of.version > books.origin.version(of.object) || whole(&of) != seen.body {
                return Err(format!("{} bytes that the origin has not made so", seen.body.len()));
            }
            match seen.headers.text("etag") {
                Some(etag) if kind.has_etag() && etag != of.etag() => {
                    Err(format!("the body is {}, the ETag {etag}", of.etag()))
                }
                _ => Ok(()),
            }
        }
        206 => part(seen, &whole),
        404 | 503 if kind == Kind::Erring => match Representation::of_body(&seen.body) {
            Some(of) if whole(&of) != seen.body => Err("an error that the origin has not made so".to_owned()),
            _ => Ok(()),
        },
        304 if seen.known.is_none() => Err("304, and the client has asked no condition".to_owned()),
        304 if seen.headers.text("etag").is_some_and(|etag| Some(etag) != seen.known) => {
            Err(format!("304 about another ETag than {:?}", seen.known))
        }
        _ => Ok(()),
    }
}

fn part(seen: &Seen, whole: &dyn Fn(&Representation) -> Vec<u8>) -> Result<(), String> {
    let range = seen.headers.text("content-range").unwrap_or_default();
    let read = || -> Option<(usize, usize, usize)> {
        let (span, length) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (from, to) = span.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?, length.parse().ok()?))
    };
    let (from, to, length) = read().ok_or_else(|| format!("206 with Content-Range {range:?}"))?;
    let etag = seen.headers.text("etag").unwrap_or_default();
    // Where the ETag is made at the edge, the part itself must say which version it is of.
    let Some(of) = Representation::of_etag(&etag).or_else(|| Representation::of_body(&seen.body)) else {
        return Ok(());
    };
    let body = whole(&of);
    if length != body.len() || body.get(from..=to) != Some(&seen.body[..]) {
        return Err(format!("{range} of {} is not what the origin has", of.etag()));
    }
    Ok(())
}
