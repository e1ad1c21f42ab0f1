//! The load: wrk with one thread and sixteen connections on a core of its own, and what it says about a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::envoy::pinned;
use crate::{paths, process};

const CONNECTIONS: u32 = 16;
/// What wrk may take beyond the time it was told.
const SLACK: Duration = Duration::from_secs(30);

/// What one run did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Requests answered.
    pub requests: u64,
    /// Requests a second.
    pub rate: f64,
    /// Microseconds that 99 of 100 answers took at most.
    pub p99_us: f64,
}

/// What makes the requests of a load differ: a script that wrk runs for each of them.
#[derive(Debug)]
pub struct Script {
    file: PathBuf,
    kind: Kind,
    /// So that no two loads ask for the same thing.
    loads: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    /// So many targets, one after the other.
    Cycle(u64),
    /// A target of its own for each request.
    Distinct,
    /// POST with this body.
    Post(PathBuf),
}

const CYCLE: &str = "local n = 0\nlocal count, path\nfunction init(args) path = wrk.path; count = tonumber(args[1]) end\n\
    function request() n = n + 1; return wrk.format(nil, path .. (n % count)) end\n";
const DISTINCT: &str = "local n = 0\nlocal path\nfunction init(args) path = wrk.path .. args[1] .. \"-\" end\n\
    function request() n = n + 1; return wrk.format(nil, path .. n) end\n";
const POST: &str = "local whole\nfunction init(args) local file = assert(io.open(args[1], \"rb\")); \
    wrk.method = \"POST\"; wrk.body = file:read(\"*a\"); file:close(); whole = wrk.format() end\n\
    function request() return whole end\n";

impl Script {
    /// The number of the request, below `count`, is put behind the target.
    pub fn cycle(folder: &Path, count: u64) -> Result<Self> {
        Self::write(folder, "cycle", CYCLE, Kind::Cycle(count))
    }

    /// A number that never comes again is put behind the target.
    pub fn distinct(folder: &Path) -> Result<Self> {
        Self::write(folder, "distinct", DISTINCT, Kind::Distinct)
    }

    /// POST with a body.
    pub fn post(folder: &Path, body: &[u8]) -> Result<Self> {
        let file = folder.join("post.body");
        fs::write(&file, body).with_context(|| format!("cannot write {}", file.display()))?;
        Self::write(folder, "post", POST, Kind::Post(file))
    }

    fn write(folder: &Path, name: &str, text: &str, kind: Kind) -> Result<Self> {
        let file = folder.join(format!("{name}.lua"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { file, kind, loads: AtomicU64::new(0) })
    }

    /// How many different requests are sent again and again.
    pub fn repeated(&self) -> u64 {
        match self.kind {
            Kind::Cycle(count) => count,
            Kind::Distinct | Kind::Post(_) => 1,
        }
    }

    /// The target of a single request, outside of a load.
    pub fn target(&self, target: &str, number: u64) -> String {
        match self.kind {
            Kind::Cycle(_) => format!("{target}{number}"),
            Kind::Distinct => format!("{target}{}", self.next()),
            Kind::Post(_) => target.to_owned(),
        }
    }

    fn argument(&self) -> String {
        match &self.kind {
            Kind::Cycle(count) => count.to_string(),
            Kind::Distinct => self.next().to_string(),
            Kind::Post(file) => file.display().to_string(),
        }
    }

    fn next(&self) -> u64 {
        self.loads.fetch_add(1, Ordering::Relaxed)
    }
}

/// A request to repeat.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Path and query.
    pub target: &'a str,
    /// The fields beside `Host`.
    pub fields: &'a [(&'static str, String)],
    /// What makes the requests differ.
    pub script: Option<&'a Script>,
    /// The core to stay on.
    pub core: usize,
}

impl Load<'_> {
    /// Sends for so long, as fast as answers come. An error if any answer was missing or an error.
    pub fn run(&self, seconds: u32, log: &Path) -> Result<Run> {
        let wrk = paths::find_program("wrk").context("wrk is missing: cargo xtask setup --only packages")?;
        let mut command = pinned(&wrk, Some(self.core));
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency"]);
        for (name, value) in self.fields {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        if let Some(script) = self.script {
            command.arg("-s").arg(&script.file);
        }
        command.arg(format!("http://127.0.0.1:{}{}", self.port, self.target));
        if let Some(script) = self.script {
            command.args(["--", &script.argument()]);
        }
        let within = Duration::from_secs(seconds.into()) + SLACK;
        let (status, text) = process::capture_within(&mut command, log, within)?;
        ensure!(status.success(), "wrk failed ({status}). {}", process::tail(log));
        parse(&text)
    }
}

fn parse(text: &str) -> Result<Run> {
    let line = |prefix: &str| text.lines().map(str::trim).find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    if let Some(errors) = line("Socket errors:") {
        bail!("connections broke under load: {errors}");
    }
    if let Some(count) = line("Non-2xx or 3xx responses:") {
        bail!("{count} answers under load were errors");
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let rate = line("Requests/sec:").and_then(|rate| rate.parse().ok());
    let p99_us = line("99%").and_then(microseconds);
    let (Some(requests), Some(rate), Some(p99_us)) = (requests, rate, p99_us) else {
        bail!("wrk prints something else than expected: {text}")
    };
    ensure!(requests > 0, "not one request was answered under load");
    Ok(Run { requests, rate, p99_us })
}

/// `1.05ms` and the like.
fn microseconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)? {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    digits.parse().ok().map(|number: f64| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/x\n  1 threads and 16 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.05ms    1.29ms  22.32ms   93.01%\n    Req/Sec    20.23k     3.31k   26.05k    65.00%\n  Latency Distribution\n     50%  700.00us\n     75%    1.20ms\n     90%    2.11ms\n     99%    6.51ms\n  40319 requests in 2.00s, 35.49MB read\nRequests/sec:  20139.33\nTransfer/sec:     17.73MB\n";

    #[test]
    fn counts_and_rates_are_read_from_what_wrk_prints() {
        assert_eq!(parse(GOOD).unwrap(), Run { requests: 40_319, rate: 20_139.33, p99_us: 6510.0 });
    }

    #[test]
    fn latencies_have_a_unit() {
        for (text, us) in [("512.00us", Some(512.0)), ("1.50ms", Some(1500.0)), ("2.00s", Some(2e6)), ("7", None)] {
            assert_eq!(microseconds(text), us, "{text}");
        }
    }

    #[test]
    fn runs_with_errors_are_no_measurements() {
        for bad in [
            format!("{GOOD}  Non-2xx or 3xx responses: 12\n"),
            format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n"),
            GOOD.replace("40319", "0"),
            GOOD.replace("99%", "98%"),
            String::new(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
