//! Going on the tour step by step: a request or a command, what it must come to, and the row that this makes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::expect::Expect;
use super::stage::Stage;
use super::table::Table;
use crate::http::{self, Request, Response};

const POLL: Duration = Duration::from_millis(50);

/// A row of the tour.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What it shows.
    pub shows: &'static str,
    /// The request or the command, on one line.
    pub request: String,
    /// The status of an answer (0 where none came), the exit code of a command.
    pub status: u16,
    /// The answer's `Cache-Status`, or what a command said, in a line.
    pub said: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// The body's length.
    pub bytes: usize,
    /// The API's database queries so far.
    pub queries: u64,
    /// What is not as it should be.
    pub problems: Vec<String>,
}

impl Row {
    /// Whether it is what it should be.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What has come by so far.
pub struct Tour<'a> {
    /// What is played on.
    pub stage: &'a mut Stage,
    /// Where it is shown.
    pub table: &'a mut Table,
    /// A row for each step.
    pub rows: Vec<Row>,
}

impl Tour<'_> {
    /// Sends a request, makes it a row and prints that. An empty answer stands for none.
    pub fn ask(&mut self, shows: &'static str, request: Request, expected: &Expect) -> Result<Response> {
        self.ask_while(shows, &request, expected, Duration::ZERO, |_| false)
    }

    /// Like `ask`, as often as the answer is of that kind, within a time; the row is the first that is not.
    pub fn ask_while(
        &mut self,
        shows: &'static str,
        request: &Request,
        expected: &Expect,
        within: Duration,
        again: impl Fn(&Response) -> bool,
    ) -> Result<Response> {
        let before = self.stage.queries()?;
        let deadline = Instant::now() + within;
        let mut sent = http::send(self.stage.port(), request);
        while sent.as_ref().is_ok_and(&again) && Instant::now() < deadline {
            thread::sleep(POLL);
            sent = http::send(self.stage.port(), request);
        }
        let queries = self.stage.queries()?;
        let (response, problems) = match sent {
            Ok(response) => {
                let problems = expected.problems(&response, queries - before);
                (response, problems)
            }
            Err(error) => {
                let none = Response { status: 0, fields: Vec::new(), body: Vec::new(), took: Duration::ZERO };
                (none, vec![format!("no answer: {error:#} (Envoy's log: {})", self.stage.envoy_log().display())])
            }
        };
        let said = response.field("cache-status").unwrap_or("(none)").to_owned();
        let (status, took, bytes) = (response.status, response.took, response.body.len());
        self.note(Row { shows, request: shown(request), status, said, ms: ms(took), bytes, queries, problems });
        Ok(response)
    }

    /// Runs the `larder` command and makes it a row, which shows the line that has the last of the parts. It must succeed, and say each
    /// of them. What it said.
    pub fn command(&mut self, shows: &'static str, words: &[&str], parts: &[&str]) -> Result<String> {
        let began = Instant::now();
        let (code, said) = self.stage.larder(words)?;
        let took = began.elapsed();
        let mut problems = Vec::new();
        if code != Some(0) {
            problems.push(format!("it ended with {code:?}"));
        }
        problems
            .extend(parts.iter().filter(|part| !said.contains(**part)).map(|part| format!("it did not say {part:?}")));
        if !problems.is_empty() {
            problems.push(format!("it said: {said}"));
        }
        let line = said.lines().rev().find(|line| parts.last().is_some_and(|part| line.contains(part)));
        let line = line.or(said.lines().last()).unwrap_or_default().trim().to_owned();
        let (queries, request) = (self.stage.queries()?, command_line(words));
        let status = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX);
        self.note(Row { shows, request, status, said: line, ms: ms(took), bytes: 0, queries, problems });
        Ok(said)
    }

    /// Looks at something until it is as it should be, within a time, and makes it a row: what is to be said of it then, or what is wrong.
    pub fn look(
        &mut self,
        shows: &'static str,
        at: &str,
        within: Duration,
        look: impl Fn(&Stage) -> Result<Result<String, String>>,
    ) -> Result<()> {
        let began = Instant::now();
        let mut seen = look(self.stage)?;
        while seen.is_err() && began.elapsed() < within {
            thread::sleep(POLL);
            seen = look(self.stage)?;
        }
        let (said, problems) = match seen {
            Ok(said) => (said, Vec::new()),
            Err(problem) => (String::new(), vec![problem]),
        };
        let (queries, took) = (self.stage.queries()?, began.elapsed());
        let status = if problems.is_empty() { 200 } else { 0 };
        self.note(Row { shows, request: at.to_owned(), status, said, ms: ms(took), bytes: 0, queries, problems });
        Ok(())
    }

    /// One more thing that must hold for the last row.
    pub fn also(&mut self, holds: bool, problem: &str) {
        if let Some(row) = self.rows.last_mut().filter(|_| !holds) {
            row.problems.push(problem.to_owned());
        }
    }

    fn note(&mut self, row: Row) {
        self.table.row(&row);
        self.rows.push(row);
    }
}

/// GET without fields.
pub fn get(target: &str) -> Request {
    Request::get(target)
}

fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e5).round() / 100.0
}

/// The command as one types it, with files by their names.
fn command_line(words: &[&str]) -> String {
    let short = |word: &&str| match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') => name.to_owned(),
        _ => (*word).to_owned(),
    };
    format!("larder {}", words.iter().map(short).collect::<Vec<_>>().join(" "))
}

/// The request on one line, with the fields that matter in its row, shortened where they are long.
fn shown(request: &Request) -> String {
    let mut text = format!("{} {}", request.method, request.target);
    let fields = request.fields.iter().filter(|(name, _)| *name != "content-type");
    let many = fields.clone().count() > 1;
    for (name, value) in fields.filter(|(name, _)| !(many && *name == "accept-language")) {
        if let Some(token) = value.strip_prefix("Bearer ") {
            text.push_str(&format!(" [{token}]"));
            continue;
        }
        let short: String = value.chars().take(12).collect();
        let dots = if short.len() < value.len() { ".." } else { "" };
        text.push_str(&format!(" [{name}: {short}{dots}]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_shown_on_one_short_line() {
        let request = get("/x").field("accept-language", "de-AT,de;q=0.9,en;q=0.5");
        assert_eq!(shown(&request), "GET /x [accept-language: de-AT,de;q=0..]");
        let request = request.field("authorization", "Bearer alice-token").field("content-type", "text/plain");
        assert_eq!(shown(&request), "GET /x [alice-token]");
    }

    #[test]
    fn a_command_is_shown_with_the_names_of_its_files() {
        assert_eq!(command_line(&["policy", "push", "/a/b.json"]), "larder policy push b.json");
        assert_eq!(command_line(&["warm", "--via", "http://h:1"]), "larder warm --via http://h:1");
    }
}
