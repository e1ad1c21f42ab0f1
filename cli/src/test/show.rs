//! Results for people: a line for each case, and below one that failed what was expected beside what came.

use std::fmt::Write as _;

use larder_host_tests::scenario::{Difference, Failure};

use super::files::{Loaded, Unusable, Why};
use super::{RanCase, Results};
use crate::check;
use crate::paint::Paint;

/// Widest column of a difference; what is longer goes on below.
const COLUMN_MAX: usize = 56;

/// `file:line: name`, line by line.
pub fn list(files: &[Loaded]) -> String {
    let mut text = String::new();
    for file in files {
        for (index, name) in file.names() {
            let _ = writeln!(text, "{}:{}: {name}", file.name, file.cases.line_of_case(index));
        }
    }
    text
}

/// What is above a file's cases.
pub fn heading(file: &Loaded, paint: Paint) -> String {
    format!("{} ({})\n", paint.strong(&file.name), file.policy_name)
}

/// What came of a case.
pub fn case(file: &str, case: &RanCase, paint: Paint) -> String {
    match &case.failure {
        None => format!("  {}      {}\n", paint.good("ok"), case.name),
        Some(failure) => format!("  {}  {}\n{}", paint.bad("failed"), case.name, failed(file, failure, paint)),
    }
}

fn failed(file: &str, failure: &Failure, paint: Paint) -> String {
    let mut text = format!("          {file}:{}: {}\n", failure.line, failure.step);
    let column = |of: fn(&Difference) -> &str| {
        let widths = failure.differences.iter().map(|difference| of(difference).chars().count());
        widths.max().unwrap_or_default().min(COLUMN_MAX)
    };
    let line = |difference: &Difference| difference.line.unwrap_or(failure.line);
    let digits = failure.differences.iter().map(|difference| line(difference).to_string().len()).max();
    let digits = digits.unwrap_or_default().max("line".len());
    let expected_width = column(|difference| &difference.expected).max("expected".len());
    let got_width = column(|difference| &difference.found).max("got".len());
    let _ = writeln!(
        text,
        "          {:digits$}  {}{}  {}",
        "line",
        paint.good("expected"),
        " ".repeat(expected_width - "expected".len()),
        paint.bad("got")
    );
    for difference in &failure.differences {
        let expected = wrapped(&difference.expected, expected_width);
        let got = wrapped(&difference.found, got_width);
        for row in 0..expected.len().max(got.len()) {
            let number = if row == 0 { line(difference).to_string() } else { String::new() };
            let of = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
            let row = format!("          {number:digits$}  {:expected_width$}  {}", of(&expected), of(&got));
            let _ = writeln!(text, "{}", row.trim_end());
        }
        if let Some(hint) = &difference.hint {
            let _ = writeln!(text, "          {:digits$}  ({hint})", "");
        }
    }
    for line in &failure.context {
        let _ = writeln!(text, "          | {line}");
    }
    text
}

/// A text in lines of at most so many characters, broken at a blank where there is one. Control characters are shown as such.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let clean: Vec<char> = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let mut lines = Vec::new();
    let mut rest = clean.as_slice();
    while rest.len() > width {
        let (line, _) = rest.split_at(width);
        let cut = line.iter().rposition(|c| *c == ' ').filter(|at| *at > width / 2).map_or(width, |at| at + 1);
        let (line, after) = rest.split_at(cut);
        lines.push(line.iter().collect::<String>().trim_end().to_owned());
        rest = after;
    }
    lines.push(rest.iter().collect());
    lines
}

/// Files that cannot be used, with what is wrong in them.
pub fn unusable(files: &[Unusable], paint: Paint) -> String {
    let mut text = String::new();
    for file in files {
        match &file.why {
            Why::Unread(why) => {
                let _ = writeln!(text, "{}: {}: {why}\n", paint.bad("error"), file.name);
            }
            Why::Errors(source, errors) => text.push_str(&check::shown(&file.name, source, errors, paint)),
        }
    }
    text
}

/// What it comes to.
pub fn summary(results: &Results, paint: Paint) -> String {
    let some = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let (failed, all) = (results.failed(), results.cases().count());
    let mut parts = vec![some(results.ran.len() + results.unusable.len(), "file"), some(all, "case")];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if !results.unusable.is_empty() {
        parts.push(format!("{} with errors", some(results.unusable.len(), "file")));
    }
    let verdict = if failed == 0 && results.unusable.is_empty() { paint.good("ok") } else { paint.bad("failed") };
    format!("{verdict}: {}\n", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_texts_go_on_below() {
        assert_eq!(wrapped("short", 10), ["short"]);
        assert_eq!(wrapped("public, max-age=60, must-revalidate", 20), ["public, max-age=60,", "must-revalidate"]);
        assert_eq!(wrapped("aaaaaaaaaaaa", 5), ["aaaaa", "aaaaa", "aa"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("a\x1bb", 5), ["a\u{fffd}b"]);
    }
}
