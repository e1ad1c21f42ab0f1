//! How the tour is shown: a table that grows row by row, what was wrong, and what to try next. Colour on a terminal only.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use super::stage::Urls;
use super::walk::Row;

const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";
const BOLD: &str = "1";

/// Prints rows as they come.
#[derive(Debug)]
pub struct Table {
    shown: bool,
    colour: bool,
    begun: bool,
}

impl Table {
    /// A table, or nothing at all.
    pub fn new(shown: bool, colour: bool) -> Self {
        Self { shown, colour, begun: false }
    }

    /// Prints a row, after the heading if it is the first.
    pub fn row(&mut self, row: &Row) {
        if !self.begun {
            self.begun = true;
            let heading = line(
                "",
                "what it shows",
                "request",
                "answer",
                "time",
                "bytes",
                "queries",
                "Cache-Status, or what was said",
            );
            self.print(&paint(self.colour, BOLD, &heading));
        }
        let (mark, colour) = if row.is_good() { ("ok", GREEN) } else { ("BAD", RED) };
        let text = line(
            mark,
            row.shows,
            &row.request,
            &row.status.to_string(),
            &format!("{:.1} ms", row.ms),
            &row.bytes.to_string(),
            &row.queries.to_string(),
            &row.said,
        );
        let rest = text.strip_prefix(mark).unwrap_or(&text);
        self.print(&format!("{}{rest}", paint(self.colour, colour, mark)));
    }

    /// Prints something that happens between rows.
    pub fn event(&self, text: &str) {
        self.print(&paint(self.colour, DIM, &format!("    --- {text}")));
    }

    fn print(&self, text: &str) {
        if self.shown {
            // A reader that has gone away is no reason to stop.
            let _ = writeln!(stdout(), "{}", text.trim_end());
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one for each column")]
fn line(
    mark: &str,
    shows: &str,
    request: &str,
    status: &str,
    time: &str,
    bytes: &str,
    queries: &str,
    cache: &str,
) -> String {
    format!("{mark:<4}{shows:<47}{request:<69}{status:>6}{time:>10}{bytes:>8}{queries:>8}  {cache}")
}

/// How it went, with the failing rows explained.
pub fn summary(rows: &[Row], colour: bool) -> String {
    let bad: Vec<&Row> = rows.iter().filter(|row| !row.is_good()).collect();
    if bad.is_empty() {
        return paint(colour, GREEN, &format!("\nAll {} rows are as they should be.\n", rows.len()));
    }
    let mut text = format!("\n{} of {} rows are not as they should be:\n", bad.len(), rows.len());
    for row in bad {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}: {}\n    {}", row.shows, row.request, row.said);
        for problem in &row.problems {
            let _ = writeln!(text, "    - {problem}");
        }
    }
    paint(colour, RED, &text)
}

/// What a person can do now.
pub fn invitation(urls: &Urls) -> String {
    let Urls { shop, api, admin, node, dashboard, larder, policy } = urls;
    let (larder, policy) = (larder.display(), policy.display());
    format!(
        "
The dashboard            {dashboard}   (a few visitors stay, so that there is something to see)
The shop through Larder  {shop}/v1/products
The shop API itself      {api}/v1/stats   (the queries it has run)
Envoy's figures          {admin}/stats/prometheus   (those of Larder begin with larder_)
The cluster's node       {node}/v1/stats

Try:
  curl -i '{shop}/v1/products?per_page=3'                          twice: the second is a hit
  curl -i -H 'Accept-Language: fr' '{shop}/v1/products/7'          another language is another entry
  curl -i -X PATCH -H 'Content-Type: application/json' -d '{{\"price_cents\": 4200}}' '{shop}/v1/products/7'
  curl -i '{shop}/v1/products/7'                                   the write is seen at once
  curl -i -H 'Authorization: Bearer carol-token' '{shop}/v1/cart'   personal: private, with an ETag, never shared
  export LARDER_NODE={node}
  {larder} purge --tag product:7
  {larder} warm --via {shop} --policy {policy}
  sed 's/\"60s\"/\"5m\"/' {policy} | {larder} policy push -
  {larder} policy rollback shop-api
  {larder} stats

Ctrl-C stops everything.
"
    )
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(problems: &[&str]) -> Row {
        Row {
            shows: "A hit",
            request: "GET /x".to_owned(),
            status: 200,
            said: "Larder; hit".to_owned(),
            ms: 0.4,
            bytes: 7,
            queries: 2,
            problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
        }
    }

    #[test]
    fn the_summary_explains_failing_rows_only() {
        assert_eq!(summary(&[row(&[]), row(&[])], false), "\nAll 2 rows are as they should be.\n");
        let text = summary(&[row(&[]), row(&["status 503 instead of 200"])], false);
        assert!(text.starts_with("\n1 of 2 rows"), "{text}");
        assert!(text.contains("A hit: GET /x") && text.contains("- status 503 instead of 200"), "{text}");
    }

    #[test]
    fn without_a_terminal_there_is_no_escape_in_the_text() {
        assert!(!summary(&[row(&["x"])], false).contains('\x1b'));
        assert!(summary(&[row(&["x"])], true).contains('\x1b'));
    }
}
