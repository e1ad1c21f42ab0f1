//! How every bench measures: the subjects of a case take turns, round by round, so that a change of the machine's mood meets all of
//! them alike; one unmeasured turn each comes first; every turn is checked to have done what it says.
//! Knows subjects by port and process ids. What they are and what is asked of them is the bench's business.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::cpu::{self, Cores};
use super::load::{Load, Run};
use super::row::{Figures, Goal, Row};
use crate::envoy::Envoy;
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
    /// The subject that the others are compared with comes first.
    pub shots: Vec<Shot<'a>>,
}

/// The question as one subject is asked it.
#[derive(Debug)]
pub struct Shot<'a> {
    /// The subject's name.
    pub subject: &'static str,
    /// The Envoy that is asked, and whose processor time is counted.
    pub envoy: &'a Envoy,
    /// The process behind it, whose time is counted apart.
    pub origin: u32,
    /// Whether answering takes the origin.
    pub origin_use: OriginUse,
    /// What is sent.
    pub request: Request,
    /// What must come back.
    pub answer: Answer,
}

/// Whether answers come from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginUse {
    /// The origin must not be asked.
    Never,
    /// Each request must be passed on.
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
                figures.add(turn.cpu_us, turn.cpu_with_origin_us, turn.rate);
            }
            eprintln!();
        }
        rows.extend(Row::of_case(bench, case.name, &figures, goals));
    }
    Ok(rows)
}

/// Asks until the answer is the one wanted: the first one of a cache is a miss.
fn warm(shot: &Shot<'_>) -> Result<()> {
    let deadline = Instant::now() + WARM_WITHIN;
    loop {
        let before = shot.origin_requests()?;
        let checked = http::send(shot.envoy.port, &shot.request).and_then(|response| shot.answer.check(&response));
        let checked = checked.and_then(|()| shot.check_origin(shot.origin_requests()? - before, 1));
        if checked.is_ok() || Instant::now() >= deadline {
            return checked;
        }
        thread::sleep(POLL);
    }
}

struct Turn {
    cpu_us: f64,
    cpu_with_origin_us: f64,
    rate: f64,
}

impl Shot<'_> {
    fn turn(&self, seconds: u32, cores: Cores, log: &Path) -> Result<Turn> {
        let request = &self.request;
        if request.method != "GET" || !request.body.is_empty() {
            bail!("the load generator sends GET without a body only");
        }
        let load = Load { port: self.envoy.port, target: &request.target, fields: &request.fields, core: cores.client };
        let asked = self.origin_requests()?;
        let (envoy, origin) = (cpu::time(self.envoy.pid())?, cpu::time(self.origin)?);
        let Run { requests, rate } = load.run(seconds, log)?;
        let envoy = cpu::time(self.envoy.pid())?.saturating_sub(envoy);
        let origin = cpu::time(self.origin)?.saturating_sub(origin);
        self.check_origin(self.origin_requests()? - asked, requests)?;
        self.answer.check(&http::send(self.envoy.port, request)?)?;
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Ok(Turn { cpu_us: per_request(envoy), cpu_with_origin_us: per_request(envoy + origin), rate })
    }

    fn origin_requests(&self) -> Result<u64> {
        self.envoy.stat("cluster.origin.upstream_rq_total")
    }

    fn check_origin(&self, asked: u64, requests: u64) -> Result<()> {
        match self.origin_use {
            OriginUse::Never => ensure!(asked == 0, "the origin was asked {asked} times in {requests} requests"),
            // wrk does not count what is under way at its end.
            OriginUse::Always => {
                ensure!(asked >= requests, "the origin was asked {asked} times in {requests} requests")
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
