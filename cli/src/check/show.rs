//! Findings for people: the line of the file, and a caret under what is meant.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};

use super::levels::Level;
use super::{Checked, Finding, Totals};
use crate::paint::Paint;

/// Of a longer line only what is about the finding is shown.
const LINE_BYTES_MAX: usize = 240;
/// What is shown of it before the finding.
const BEFORE_BYTES: usize = 80;

/// Everything, and what it comes to.
pub fn text(checked: &[Checked], totals: Totals, paint: Paint) -> String {
    let mut text: String = checked.iter().map(|file| findings(file, paint)).collect();
    text.push_str(&summary(checked, totals, paint));
    text
}

/// What was found in a file.
pub fn findings(file: &Checked, paint: Paint) -> String {
    let renderer = if paint.is_on() { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for finding in &file.findings {
        text.push_str(&renderer.render(&[group(file, finding)]));
        text.push_str("\n\n");
    }
    if file.left_out > 0 {
        text.push_str(&format!("{}: {} more errors are not shown\n\n", file.name, file.left_out));
    }
    if let Some(unread) = &file.unread {
        text.push_str(&format!("{}: {unread}\n\n", paint.bad("error")));
    }
    text
}

fn group<'a>(file: &'a Checked, finding: &'a Finding) -> Group<'a> {
    let level = match finding.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
        Level::Note => Title::NOTE,
    };
    let title = level.primary_title(finding.message.as_str());
    let title = match finding.id {
        Some(id) => title.id(id),
        None => title,
    };
    let (source, span, is_whole) = excerpt(&file.text, finding);
    let caret = AnnotationKind::Primary.span(span);
    let caret = if finding.path.is_empty() { caret } else { caret.label(finding.path.as_str()) };
    let snippet = Snippet::source(source).line_start(finding.line).fold(false).annotation(caret);
    let group = if is_whole {
        title.element(snippet.path(file.name.as_str()))
    } else {
        // Columns count from the line's beginning, which is not shown.
        let origin = Origin::path(file.name.as_str()).line(finding.line).char_column(finding.column);
        title.element(origin).element(snippet)
    };
    match &finding.help {
        Some(help) => group.element(Title::HELP.message(help.as_str())),
        None => group,
    }
}

/// The line of the finding, or what of it is near, where in it the finding is, and whether that is the whole line.
fn excerpt<'a>(text: &'a str, finding: &Finding) -> (&'a str, Range<usize>, bool) {
    let at = finding.span.start.min(text.len());
    let from = text.get(..at).unwrap_or_default().rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(from..).unwrap_or_default();
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    let (start, end) = (at - from, (finding.span.end - from).min(line.len()));
    if line.len() <= LINE_BYTES_MAX {
        return (line, start..end.max(start), true);
    }
    let floor = |at: usize| (0..=at).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let cut_from = floor(start.saturating_sub(BEFORE_BYTES));
    let cut_to = floor((cut_from + LINE_BYTES_MAX).min(line.len()));
    (
        line.get(cut_from..cut_to).unwrap_or_default(),
        start - cut_from..end.clamp(start, cut_to.max(start)) - cut_from,
        false,
    )
}

fn summary(checked: &[Checked], totals: Totals, paint: Paint) -> String {
    let Totals { errors, warnings, notes, unread } = totals;
    let some = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let unread = match unread {
        0 => None,
        count => Some(format!("{count} not read")),
    };
    let found: Vec<String> =
        [some(errors, "error"), some(warnings, "warning"), some(notes, "note"), unread].into_iter().flatten().collect();
    let files = some(checked.len(), "file").unwrap_or_default();
    match found.as_slice() {
        [] => format!("{}: {files}, nothing found\n", paint.good("ok")),
        found if errors == 0 && totals.unread == 0 => format!("{}: {files}, {}\n", paint.good("ok"), found.join(", ")),
        found => format!("{}: {files}, {}\n", paint.bad("failed"), found.join(", ")),
    }
}
