//! How every bench measures: the subjects of a case take turns, round by round, so that a change of the machine's mood meets all of
//! them alike; one unmeasured turn each comes first; every turn is checked to have done what it says.
//! Knows subjects by port and process ids. What they are and what is asked of them is the bench's business.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::cpu::{self, Cores};
use super::load::{Load, Run, Script};
use super::row::{Figures, Goal, Row};
use crate::envoy;
use crate::http::{self, Request, Response};

/// How long a cache may take until it answers from what it stored.
const WARM_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
const WARM_UP_SECONDS: u32 = 1;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Measured turns of each subject.
    pub rounds: u32,
    /// How long each turn is.
    pub seconds: u32,
}

/// One question, asked of several subjects.
#[derive(Debug)]
pub struct Case<'a> {
    /// Its name in tables and JSON.
    pub name: &'static str,
    /// So many subjects at the front are compared with all that come after them.
    pub compared: usize,
    /// The subjects.
    pub shots: Vec<Shot<'a>>,
}

/// The question as one subject is asked it.
#[derive(Debug)]
pub struct Shot<'a> {
    /// The subject's name.
    pub subject: &'static str,
    /// What is asked, and whose processor time is counted.
    pub server: Server,
    /// The processes behind it, whose time is counted apart.
    pub behind: Vec<u32>,
    /// Whom answering takes.
    pub asked: Vec<Asked>,
    /// What is sent, or the pattern of it where there is a script.
    pub request: Request,
    /// What makes the requests of a load differ.
    pub script: Option<&'a Script>,
    /// What must come back.
    pub answer: Answer,
}

/// A server under test.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its process.
    pub pid: u32,
}

/// Whether somebody is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Who, and where it is counted.
    pub counter: Counter,
    /// How often it is asked.
    pub of_it: Use,
}

/// Where it is counted how often somebody is asked.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    /// By an Envoy, of one of its clusters.
    Cluster {
        /// The Envoy's admin port.
        admin: u16,
        /// The cluster.
        name: &'static str,
    },
    /// By a handler of itself: the number is what `/` of that port says.
    Handler(u16),
}

impl Counter {
    fn read(self) -> Result<u64> {
        match self {
            Self::Cluster { admin, name } => envoy::stat(admin, &format!("cluster.{name}.upstream_rq_total")),
            Self::Handler(port) => http::text(port, "/")?.trim().parse().context("not a number"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cluster { name, .. } => name,
            Self::Handler(_) => "handler",
        }
    }
}

/// How often answers take somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It must not be asked.
    Never,
    /// Each request must ask it.
    Always,
}

/// What must come back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body's length.
    pub bytes: usize,
    /// A field, and what must be part of its value.
    pub field: Option<(&'static str, &'static str)>,
}

impl Answer {
    fn check(&self, response: &Response) -> Result<()> {
        let (status, bytes) = (response.status, response.body.len());
        ensure!(status == self.status, "status {status} instead of {}", self.status);
        ensure!(bytes == self.bytes, "a body of {bytes} bytes instead of {}", self.bytes);
        if let Some((name, part)) = self.field {
            let value = response.field(name).unwrap_or("(missing)");
            ensure!(value.contains(part), "{name} is {value:?}, without {part:?}");
        }
        Ok(())
    }
}

/// Measures all cases of a bench and says how they came out.
pub fn measure(
    bench: &'static str,
    cases: &[Case<'_>],
    goals: &[Goal],
    effort: Effort,
    cores: Cores,
    log: &Path,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in cases {
        let mut figures: Vec<Figures> = Vec::new();
        for shot in &case.shots {
            let context = || format!("{}: {} does not answer as it should", case.name, shot.subject);
            warm(shot).with_context(context)?;
            shot.turn(WARM_UP_SECONDS, cores, log).with_context(context)?;
            figures.push(Figures::new(shot.subject));
        }
        for round in 1..=effort.rounds {
            eprint!("... {}: round {round} of {}:", case.name, effort.rounds);
            for (shot, figures) in case.shots.iter().zip(&mut figures) {
                let turn = shot.turn(effort.seconds, cores, log);
                let turn = turn.with_context(|| format!("{}: {} in round {round}", case.name, shot.subject))?;
                eprint!("  {} {:.1} us", shot.subject, turn.cpu_us);
                figures.add(turn.cpu_us, turn.cpu_behind_us, turn.rate, turn.p99_us);
            }
            eprintln!();
        }
        rows.extend(Row::of_case(bench, case.name, case.compared, &figures, goals));
    }
    Ok(rows)
}

/// Asks until the answer is the one wanted: the first one of a cache is a miss.
fn warm(shot: &Shot<'_>) -> Result<()> {
    let deadline = Instant::now() + WARM_WITHIN;
    loop {
        let checked = warm_once(shot);
        if checked.is_ok() || Instant::now() >= deadline {
            return checked;
        }
        thread::sleep(POLL);
    }
}

/// One answer of each request that a load repeats.
fn warm_once(shot: &Shot<'_>) -> Result<()> {
    let repeated = shot.script.map_or(1, Script::repeated);
    let before = shot.counts()?;
    for number in 0..repeated {
        shot.ask(number)?;
    }
    shot.check_counts(&before, repeated)
}

struct Turn {
    cpu_us: f64,
    cpu_behind_us: f64,
    rate: f64,
    p99_us: f64,
}

impl Shot<'_> {
    fn turn(&self, seconds: u32, cores: Cores, log: &Path) -> Result<Turn> {
        let Self { server, request, script, .. } = self;
        if script.is_none() && (request.method != "GET" || !request.body.is_empty()) {
            bail!("without a script the load generator sends GET without a body only");
        }
        let (target, fields) = (&request.target, &request.fields);
        let load = Load { port: server.port, target, fields, script: *script, core: cores.client };
        let before = self.counts()?;
        let (cpu, cpu_behind) = (cpu::time(server.pid)?, self.cpu_behind()?);
        let Run { requests, rate, p99_us } = load.run(seconds, log)?;
        let cpu = cpu::time(server.pid)?.saturating_sub(cpu);
        let cpu_behind = self.cpu_behind()?.saturating_sub(cpu_behind);
        self.check_counts(&before, requests)?;
        self.ask(0)?;
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Ok(Turn { cpu_us: per_request(cpu), cpu_behind_us: per_request(cpu_behind), rate, p99_us })
    }

    /// Asks for what is repeated, by its number, and looks at the answer.
    fn ask(&self, number: u64) -> Result<()> {
        let mut request = self.request.clone();
        if let Some(script) = self.script {
            request.target = script.target(&request.target, number);
        }
        self.answer.check(&http::send(self.server.port, &request)?)
    }

    fn cpu_behind(&self) -> Result<Duration> {
        self.behind.iter().map(|&pid| cpu::time(pid)).sum()
    }

    fn counts(&self) -> Result<Vec<u64>> {
        self.asked.iter().map(|asked| asked.counter.read()).collect()
    }

    fn check_counts(&self, before: &[u64], requests: u64) -> Result<()> {
        for ((asked, after), before) in self.asked.iter().zip(self.counts()?).zip(before) {
            let (count, who) = (after.saturating_sub(*before), asked.counter.name());
            match asked.of_it {
                Use::Never => ensure!(count == 0, "the {who} was asked {count} times in {requests} requests"),
                // wrk does not count what is under way at its end.
                Use::Always => {
                    ensure!(count >= requests, "the {who} was asked only {count} times in {requests} requests")
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_checked_for_status_length_and_field() {
        let answer = Answer { status: 200, bytes: 3, field: Some(("cache-status", "; hit")) };
        let response = |status, body: &str, value: &str| Response {
            status,
            fields: vec![("cache-status".to_owned(), value.to_owned())],
            body: body.as_bytes().to_vec(),
            took: Duration::ZERO,
        };
        assert!(answer.check(&response(200, "abc", "Larder; hit; ttl=3")).is_ok());
        for (bad, part) in [
            (response(503, "abc", "Larder; hit"), "status 503"),
            (response(200, "ab", "Larder; hit"), "2 bytes"),
            (response(200, "abc", "Larder; fwd=miss"), "fwd=miss"),
        ] {
            let error = answer.check(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
