//! Placeholders in values: `{host}`, `{now}`, `{now+1h}`, `{now-10m}`, `{now rfc850}`, `{now asctime}`, `{a*5000}` and what was
//! remembered.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::parse::span;

/// Most that `{a*5000}` stands for.
const REPEATED_BYTES_MAX: usize = 16 << 20;
/// The last second of the year 9999.
const LAST_MILLIS: u64 = 253_402_300_799_000;

/// What placeholders stand for at one moment.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub host: &'a str,
    /// Milliseconds since 1970.
    pub now: u64,
    pub memories: &'a BTreeMap<String, String>,
}

/// Fills in the placeholders of a value.
pub(super) fn expand(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        let Some((name, after)) = from.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&stands_for(name, scope)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn stands_for(name: &str, scope: &Scope<'_>) -> Result<String, String> {
    if name == "host" {
        return Ok(scope.host.to_owned());
    }
    if let Some(offset) = name.strip_prefix("now") {
        let wrong = || format!("`{{{name}}}` is no time; `{{now}}`, `{{now+60s}}` and `{{now-1h}}` are");
        let (offset, form) = offset.split_once(' ').unwrap_or((offset, ""));
        let millis = match offset.split_at_checked(1) {
            None => scope.now,
            Some(("+", by)) => scope.now.saturating_add(millis(span(by).ok_or_else(wrong)?)),
            Some(("-", by)) => scope.now.saturating_sub(millis(span(by).ok_or_else(wrong)?)),
            Some(_) => return Err(wrong()),
        };
        if millis > LAST_MILLIS {
            return Err(format!("`{{{name}}}` is after the year 9999, where dates end"));
        }
        return in_form(&http_date(millis), form)
            .ok_or_else(|| format!("`{form}` is no form of a date; `rfc850` and `asctime` are"));
    }
    if let Some((piece, count)) = name.split_once('*') {
        let count: usize = count.parse().map_err(|_| format!("`{{{name}}}`: `{count}` is no number"))?;
        if piece.len().saturating_mul(count) > REPEATED_BYTES_MAX {
            return Err(format!("`{{{name}}}` is more than {REPEATED_BYTES_MAX} bytes"));
        }
        return Ok(piece.repeat(count));
    }
    scope.memories.get(name).cloned().ok_or_else(|| {
        format!(
            "nothing is remembered as `{name}`; a line `etag => {name}` below an earlier answer remembers it \
             (`\"etag\": {{ \"save\": \"{name}\" }}` in a policy's test)"
        )
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// An HTTP date.
pub(super) fn http_date(millis: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(millis / 1000))
}

/// A date in one of the two obsolete forms (RFC 9110 5.6.7), or as it is.
fn in_form(date: &str, form: &str) -> Option<String> {
    let [weekday, day, month, year, clock, _] = date.split(' ').collect::<Vec<_>>()[..] else { return None };
    let weekday = weekday.trim_end_matches(',');
    match form {
        "" => Some(date.to_owned()),
        "rfc850" => {
            let names = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
            let weekday = names.iter().find(|name| name.starts_with(weekday))?;
            Some(format!("{weekday}, {day}-{month}-{} {clock} GMT", year.get(2..)?))
        }
        "asctime" => Some(format!("{weekday} {month} {:>2} {clock} {year}", day.trim_start_matches('0'))),
        _ => None,
    }
}

/// A value's lines as one, with one blank after each comma: hosts combine lines either way.
pub(super) fn joined<'a>(values: impl Iterator<Item = &'a [u8]>) -> String {
    let lines: Vec<String> = values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    evened(&lines.join(", "))
}

/// One blank after each comma.
pub(super) fn evened(text: &str) -> String {
    text.split(',').map(str::trim).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let memories = BTreeMap::from([("tag".to_owned(), "\"1\"".to_owned())]);
        let scope = Scope { host: "h.test", now: 60_000, memories: &memories };
        for (text, want) in [
            ("plain", "plain"),
            ("http://{host}/a", "http://h.test/a"),
            ("{now}", "Thu, 01 Jan 1970 00:01:00 GMT"),
            ("{now-1m}", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("{now+1h}", "Thu, 01 Jan 1970 01:01:00 GMT"),
            ("{now rfc850}", "Thursday, 01-Jan-70 00:01:00 GMT"),
            ("{now+1d asctime}", "Fri Jan  2 00:01:00 1970"),
            ("{ab*3}", "ababab"),
            ("{tag}", "\"1\""),
            ("{open", "{open"),
        ] {
            assert_eq!(expand(text, &scope).expect(text), want);
        }
        for text in ["{gat}", "{now*1h}", "{now roman}", "{now+99999999d}", "{a*99999999999}"] {
            assert!(expand(text, &scope).is_err(), "{text}");
        }
    }
}
