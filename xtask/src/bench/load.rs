//! The load: wrk with one thread and sixteen connections on a core of its own, and what it says about a run.

use std::path::Path;
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
    /// The core to stay on.
    pub core: usize,
}

impl Load<'_> {
    /// Sends for so long, as fast as answers come. An error if any answer was missing or an error.
    pub fn run(&self, seconds: u32, log: &Path) -> Result<Run> {
        let wrk = paths::find_program("wrk").context("wrk is missing: cargo xtask setup --only packages")?;
        let mut command = pinned(&wrk, Some(self.core));
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
        for (name, value) in self.fields {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        command.arg(format!("http://127.0.0.1:{}{}", self.port, self.target));
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
    let (Some(requests), Some(rate)) = (requests, rate) else {
        bail!("wrk prints something else than expected: {text}")
    };
    ensure!(requests > 0, "not one request was answered under load");
    Ok(Run { requests, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/x\n  1 threads and 16 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.05ms    1.29ms  22.32ms   93.01%\n    Req/Sec    20.23k     3.31k   26.05k    65.00%\n  40319 requests in 2.00s, 35.49MB read\nRequests/sec:  20139.33\nTransfer/sec:     17.73MB\n";

    #[test]
    fn counts_and_rates_are_read_from_what_wrk_prints() {
        assert_eq!(parse(GOOD).unwrap(), Run { requests: 40_319, rate: 20_139.33 });
    }

    #[test]
    fn runs_with_errors_are_no_measurements() {
        for bad in [
            format!("{GOOD}  Non-2xx or 3xx responses: 12\n"),
            format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n"),
            GOOD.replace("40319", "0"),
            String::new(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
