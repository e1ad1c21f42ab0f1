//! One step: its first line by its first word, its details by `details`.

use std::path::Path;
use std::time::Duration;

use super::{Block, Wrong, details};
use crate::scenario::model::{Action, Answer, Asked, Expected, Reaction, Request, Step};

/// The words that steps begin with, for hints.
const WORDS: [&str; 9] =
    ["policy", "origin", "origin saw", "release", "wait", "counted", "GET /path", "NAME: GET /path", "-> 200"];

/// Whether a line could be a step.
pub(super) fn looks_like_one(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    asked(text).is_some() || matches!(first, "policy" | "origin" | "release" | "wait" | "counted" | "->" | "only")
}

pub(super) fn step(path: &Path, block: &Block<'_>) -> Result<Step, Wrong> {
    let text = block.head.text;
    let action = action(path, block)?;
    let keeps_details =
        matches!(action, Action::Policy(_) | Action::Origin(_) | Action::Request { .. } | Action::Expect { .. });
    let keeps_details = keeps_details || matches!(action, Action::Saw { .. });
    if let Some(detail) = block.details.first().filter(|_| !keeps_details) {
        return Err((detail.line, format!("`{text}` takes no details")));
    }
    Ok(Step { line: block.head.line, text: text.to_owned(), action })
}

fn action(path: &Path, block: &Block<'_>) -> Result<Action, Wrong> {
    let (line, text) = (block.head.line, block.head.text);
    let (word, rest) = text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()));
    match word {
        "policy" => policy(path, block, rest).map(Action::Policy),
        "origin" if rest.starts_with("saw ") => saw(block, rest),
        "origin" => answer(block, rest).map(Action::Origin),
        "release" if rest.is_empty() => Ok(Action::Release(None)),
        "release" => match asked(rest) {
            Some(asked) => Ok(Action::Release(Some(asked))),
            None => Err((line, "expected `release` or `release GET /path`".to_owned())),
        },
        "wait" => span(rest)
            .map(Action::Wait)
            .ok_or_else(|| (line, "expected a span such as `30s`, `1h` or `500ms` after `wait`".to_owned())),
        "counted" => counted(line, rest),
        "->" => expect(block, None, rest),
        _ => named(block, word, rest),
    }
}

/// Steps that begin with a method or with a request's name.
fn named(block: &Block<'_>, word: &str, rest: &str) -> Result<Action, Wrong> {
    let (line, text) = (block.head.line, block.head.text);
    if let Some(asked) = asked(text) {
        return details::request(block, asked).map(|request| Action::Request { label: None, request });
    }
    if let Some(name) = word.strip_suffix(':').filter(|name| is_label(name)) {
        let Some(asked) = asked(rest) else {
            return Err((line, format!("expected a request after `{name}:`, such as `{name}: GET /path`")));
        };
        let request: Request = details::request(block, asked)?;
        return Ok(Action::Request { label: Some(name.to_owned()), request });
    }
    if is_label(word) {
        match rest {
            "waits" => return Ok(Action::Waits(word.to_owned())),
            "leaves" => return Ok(Action::Leaves(word.to_owned())),
            _ => {}
        }
        if let Some(rest) = rest.strip_prefix("->") {
            return expect(block, Some(word.to_owned()), rest.trim());
        }
    }
    let nearest = WORDS.iter().filter(|known| distance(known, word) <= 2).min_by_key(|known| distance(known, word));
    Err((
        line,
        match nearest {
            Some(known) => format!("`{text}` is no step; did you mean `{known}`?"),
            None => format!("`{text}` is no step; a step begins with {}", WORDS.map(|w| format!("`{w}`")).join(", ")),
        },
    ))
}

/// A request's name: capitals and digits, so that it cannot be taken for a keyword.
fn is_label(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// `METHOD TARGET`.
pub(super) fn asked(text: &str) -> Option<Asked> {
    let (method, target) = text.split_once(' ')?;
    let (method, target) = (method.trim(), target.trim());
    let is_method = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    let is_target = target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://");
    let fits = is_method && is_target && !target.contains(' ');
    fits.then(|| Asked { method: method.to_owned(), target: target.to_owned() })
}

fn policy(path: &Path, block: &Block<'_>, name: &str) -> Result<String, Wrong> {
    let line = block.head.line;
    let text = match (name, block.details.as_slice()) {
        ("", [_, ..]) => {
            let rows: Vec<&str> = block.details.iter().map(|row| row.text).collect();
            rows.join("\n")
        }
        ("", []) => {
            return Err((line, "expected `policy NAME`, or the policy's JSON indented below".to_owned()));
        }
        (name, []) => {
            let folder = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
            let file = folder.join("policies").join(format!("{name}.json"));
            std::fs::read_to_string(&file)
                .map_err(|error| (line, format!("{}: {error}; or write the JSON below `policy`", file.display())))?
        }
        _ => return Err((line, "a policy is either named or written out, not both".to_owned())),
    };
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err((line, format!("this policy is no JSON: {error}"))),
    }
}

fn answer(block: &Block<'_>, rest: &str) -> Result<Answer, Wrong> {
    let usage = || {
        let reactions = "`-> refused`, `-> reset`, `-> silence`";
        (block.head.line, format!("expected `origin METHOD TARGET -> STATUS`, or {reactions} instead of a status"))
    };
    let (request, what) = rest.split_once("->").ok_or_else(usage)?;
    let asked = asked(request.trim()).ok_or_else(usage)?;
    let reaction = match what.trim() {
        "refused" => Reaction::Refuse,
        "reset" => Reaction::Reset,
        "silence" => Reaction::Silence,
        status => Reaction::Respond(parse_status(status).ok_or_else(usage)?),
    };
    details::answer(block, Answer::new(asked, reaction))
}

fn parse_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| text.len() == 3 && (100..1000).contains(status))
}

fn expect(block: &Block<'_>, label: Option<String>, status: &str) -> Result<Action, Wrong> {
    let status = match status {
        "closed" => None,
        text => Some(parse_status(text).ok_or_else(|| {
            let message =
                "expected a status such as `-> 200`, or `-> closed` for a connection closed without an answer";
            (block.head.line, message.to_owned())
        })?),
    };
    let expected: Expected = details::expected(block, status)?;
    Ok(Action::Expect { label, expected })
}

fn saw(block: &Block<'_>, rest: &str) -> Result<Action, Wrong> {
    let usage = || (block.head.line, "expected `origin saw COUNT` or `origin saw COUNT GET /path`".to_owned());
    let rest = rest.strip_prefix("saw ").ok_or_else(usage)?.trim();
    let (count, of) = rest.split_once(' ').unwrap_or((rest, ""));
    let count = count.parse().map_err(|_| usage())?;
    let asked = match of.trim() {
        "" => None,
        text => Some(asked(text).ok_or_else(usage)?),
    };
    if let (None, Some(detail)) = (&asked, block.details.first()) {
        return Err((
            detail.line,
            "fields are looked for in the last request of a method and path: name them".to_owned(),
        ));
    }
    let (checks, body) = details::seen(block)?;
    Ok(Action::Saw { count, asked, checks, body })
}

fn counted(line: usize, rest: &str) -> Result<Action, Wrong> {
    const OUTCOMES: [&str; 9] =
        ["hit", "collapsed", "stale", "stale_error", "revalidated", "miss", "not_stored", "bypass", "refused"];
    let usage =
        || (line, format!("expected `counted OUTCOME TIMES`, the outcome being one of {}", OUTCOMES.join(", ")));
    let (outcome, times) = rest.split_once(' ').ok_or_else(usage)?;
    let times = times.trim().parse().map_err(|_| usage())?;
    if !OUTCOMES.contains(&outcome) {
        return Err(usage());
    }
    Ok(Action::Counted { outcome: outcome.to_owned(), times })
}

/// `500ms`, `30s`, `5m`, `1h`, `2d`.
pub(in crate::scenario) fn span(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// Edits between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut previous = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let change = previous + usize::from(l != *r);
            previous = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(previous + 1);
        }
    }
    row[right.len()]
}
