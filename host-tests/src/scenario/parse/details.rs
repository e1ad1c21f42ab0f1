//! The indented lines below a step.

use super::step::span;
use super::{Block, Row, Wrong};
use crate::scenario::model::{Answer, Asked, Body, Check, Expected, Hold, Line, Request, Test};

pub(super) fn request(block: &Block<'_>, asked: Asked) -> Result<Request, Wrong> {
    let mut request = Request { asked, fields: Vec::new(), body: None, chunked: false };
    for row in &block.details {
        match row.text {
            "chunked" => request.chunked = true,
            _ => match body(row)? {
                Some(body) => request.body = Some(body),
                None => request.fields.push(line(row, row.text)?),
            },
        }
    }
    Ok(request)
}

pub(super) fn answer(block: &Block<'_>, mut answer: Answer) -> Result<Answer, Wrong> {
    for row in &block.details {
        let words: Vec<&str> = row.text.split_whitespace().collect();
        match words.as_slice() {
            ["chunked"] => answer.chunked = true,
            ["held"] => answer.hold = Hold::All,
            ["body", "held"] => answer.hold = Hold::Body,
            ["cut", "after", count, "bytes"] => {
                let count = count.parse().map_err(|_| (row.line, "expected `cut after N bytes`".to_owned()))?;
                answer.cut_after = Some(count);
            }
            ["after", text] => {
                let wrong = || (row.line, "expected a span such as `after 3s`".to_owned());
                answer.after = span(text).ok_or_else(wrong)?;
            }
            ["trailer", ..] => answer.trailers.push(line(row, row.text.trim_start_matches("trailer").trim())?),
            ["interim", status, ..] => {
                let (status, rest) = interim(row, status)?;
                answer.interim.push((status, line(row, rest)?));
            }
            _ => match body(row)? {
                Some(body) => answer.body = body,
                None => answer.fields.push(line(row, row.text)?),
            },
        }
    }
    Ok(answer)
}

pub(super) fn expected(block: &Block<'_>, status: Option<u16>) -> Result<Expected, Wrong> {
    let mut expected = Expected {
        status: Some(status),
        checks: Vec::new(),
        body: None,
        trailers: Vec::new(),
        interim: Vec::new(),
        cut: false,
        origin: None,
    };
    for row in &block.details {
        let words: Vec<&str> = row.text.split_whitespace().collect();
        match words.as_slice() {
            ["cut", "short"] => expected.cut = true,
            ["trailer", ..] => {
                expected.trailers.push(check(row, row.text.trim_start_matches("trailer").trim())?);
            }
            ["interim", status, ..] => {
                let (status, rest) = interim(row, status)?;
                expected.interim.push((status, check(row, rest)?));
            }
            _ => match body(row)? {
                Some(body) => expected.body = Some(body),
                None => expected.checks.push(check(row, row.text)?),
            },
        }
    }
    Ok(expected)
}

/// What a request at the origin must be like.
pub(super) fn seen(block: &Block<'_>) -> Result<(Vec<Check>, Option<Body>), Wrong> {
    let mut checks = Vec::new();
    let mut found = None;
    for row in &block.details {
        match body(row)? {
            Some(body) => found = Some(body),
            None => checks.push(check(row, row.text)?),
        }
    }
    Ok((checks, found))
}

fn interim<'a>(row: &Row<'a>, status: &str) -> Result<(u16, &'a str), Wrong> {
    let usage = || (row.line, "expected `interim 103 name: value`".to_owned());
    let code: u16 = status.parse().ok().filter(|code| (100..200).contains(code)).ok_or_else(usage)?;
    let (_, rest) = row.text.split_once(status).ok_or_else(usage)?;
    Ok((code, rest.trim()))
}

/// `body: TEXT`, `body N bytes`, `no body`.
fn body(row: &Row<'_>) -> Result<Option<Body>, Wrong> {
    if row.text == "no body" {
        return Ok(Some(Body::None));
    }
    if let Some(text) = row.text.strip_prefix("body:") {
        return Ok(Some(Body::Text(unescaped(text.trim()).map_err(|message| (row.line, message))?)));
    }
    let Some(rest) = row.text.strip_prefix("body ") else { return Ok(None) };
    let count = rest.strip_suffix(" bytes").and_then(|count| count.trim().parse().ok());
    match count {
        Some(count) => Ok(Some(Body::Bytes(count))),
        None => Err((row.line, "expected `body: TEXT`, `body 3000 bytes` or `no body`".to_owned())),
    }
}

/// `name: value`.
fn line(row: &Row<'_>, text: &str) -> Result<Line, Wrong> {
    let usage = || (row.line, format!("expected `name: value`, found `{text}`"));
    let (name, value) = text.split_once(':').ok_or_else(usage)?;
    if !is_name(name) {
        return Err(usage());
    }
    let value = unescaped(value.trim()).map_err(|message| (row.line, message))?;
    Ok(Line { name: name.to_ascii_lowercase(), value })
}

/// `name: value`, `name ~ part`, `name !~ part`, `name absent`, `name present`, `name => memory`.
fn check(row: &Row<'_>, text: &str) -> Result<Check, Wrong> {
    let usage = || {
        let forms = "`name: value`, `name ~ part`, `name !~ part`, `name absent`, `name present` or `name => memory`";
        (row.line, format!("expected {forms}, found `{text}`"))
    };
    let end = text.find(|c: char| c == ':' || c.is_whitespace()).ok_or_else(usage)?;
    let (name, rest) = text.split_at(end);
    let rest = rest.trim();
    if !is_name(name) {
        return Err(usage());
    }
    let part = |text: &str| unescaped(text.trim()).map_err(|message| (row.line, message));
    let test = match rest {
        "absent" => Test::Absent,
        "present" => Test::Present,
        _ => {
            if let Some(value) = rest.strip_prefix(':') {
                Test::Is(part(value)?)
            } else if let Some(value) = rest.strip_prefix("!~") {
                Test::HasNot(part(value)?)
            } else if let Some(value) = rest.strip_prefix('~') {
                Test::Has(part(value)?)
            } else if let Some(memory) = rest.strip_prefix("=>") {
                Test::Remember(memory.trim().to_owned())
            } else {
                return Err(usage());
            }
        }
    };
    Ok(Check { line: row.line, name: name.to_ascii_lowercase(), test })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `\r`, `\n`, `\t`, `\0`, `\xHH` below 80 and `\\`.
fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('\\') => out.push('\\'),
            Some('"') => out.push_str("\\\""),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let code = u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii);
                out.push(char::from(code.ok_or(format!("`\\x{digits}` is no ASCII character"))?));
            }
            other => return Err(format!("`\\{}` means nothing; `\\\\` is a backslash", other.unwrap_or(' '))),
        }
    }
    Ok(out)
}
