//! What libFuzzer prints, as numbers, and how a run's outcome is shown.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

/// How far a target has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Inputs tried.
    pub executions: u64,
    /// In the last second.
    pub per_second: u64,
    /// Edges of the code reached, by all inputs together.
    pub coverage: u64,
    /// Edges with how often each was taken.
    pub features: u64,
    /// Inputs that are needed to reach all that.
    pub corpus: u64,
}

impl Stats {
    /// The last line that says so: `#4194304 pulse  cov: 512 ft: 1390 corp: 210/9841b lim: 512 exec/s: 95325 rss: 85Mb`.
    pub fn of(log: &str) -> Self {
        let mut stats = Self::default();
        for line in log.lines().filter(|line| line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(number) = words.first().and_then(|word| word.trim_start_matches('#').parse().ok()) else {
                continue;
            };
            let after = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1)?.split('/').next()?.parse::<u64>().ok()
            };
            stats.executions = number;
            stats.per_second = after("exec/s:").unwrap_or(stats.per_second);
            stats.coverage = after("cov:").unwrap_or(stats.coverage);
            stats.features = after("ft:").unwrap_or(stats.features);
            stats.corpus = after("corp:").unwrap_or(stats.corpus);
        }
        let last = log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        stats.executions = last.and_then(|number| number.trim().parse().ok()).unwrap_or(stats.executions);
        stats
    }

    /// As part of a line.
    pub fn line(&self) -> String {
        let Self { executions, per_second, coverage, features, corpus } = self;
        format!(
            "{executions:>11} runs {per_second:>7}/s  {coverage:>6} edges {features:>7} features {corpus:>5} inputs"
        )
    }
}

/// An input that breaks a property.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The input, where there is one.
    pub input: Option<PathBuf>,
    /// What went wrong.
    pub message: String,
    /// The command that does it again.
    pub replay: Option<String>,
    /// The command after which a plain test does it, too.
    pub keep: Option<String>,
}

/// Of an input that took libFuzzer's limit of 10 s, and broke nothing.
const SLOW: &str = "it took more than 10 s; where the machine was busy, its replay says how long it takes alone";

impl Finding {
    /// A file that libFuzzer wrote; the log says why.
    pub fn of(target: &str, input: &Path, log: &str) -> Self {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let (file, keep) = (input.display(), format!("fuzz/regressions/{target}/{name}"));
        let slow = name.starts_with("slow-unit-");
        Self {
            message: if slow { SLOW.to_owned() } else { message(log) },
            replay: Some(format!("cargo xtask fuzz --target {target} --replay {file}")),
            keep: Some(format!("mkdir -p fuzz/regressions/{target} && cp {file} {keep}")),
            input: Some(input.to_owned()),
        }
    }

    /// The process ended, and left no input.
    pub fn without_input(log: &str) -> Self {
        Self { input: None, message: log.to_owned(), replay: None, keep: None }
    }
}

/// A panic's message, or libFuzzer's summary.
fn message(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at "));
    if let Some(at) = panic {
        let told =
            lines.iter().skip(at).take_while(|line| !line.starts_with("note:") && !line.starts_with("==")).take(12);
        return told.copied().collect::<Vec<_>>().join("\n");
    }
    let summary = lines.iter().rev().find(|line| line.starts_with("SUMMARY:") || line.contains("ERROR: libFuzzer"));
    summary.map_or_else(|| "it ended early".to_owned(), |line| (*line).to_owned())
}

/// How a target came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub target: String,
    /// How long it ran.
    pub seconds: f64,
    /// How far it came.
    #[serde(flatten)]
    pub stats: Stats,
    /// What broke a property.
    pub found: Vec<Finding>,
}

impl Outcome {
    /// Whether something was found.
    pub fn is_bad(&self) -> bool {
        !self.found.is_empty()
    }

    /// One line.
    pub fn line(&self) -> String {
        let verdict = if self.is_bad() { "FOUND" } else { "ok" };
        format!("{:<15}{verdict:<7}{:>5.0} s  {}", self.target, self.seconds, self.stats.line())
    }
}

/// The processes of one target as one: they share the corpus, so the best of them has it all.
pub fn together(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut targets: Vec<Outcome> = Vec::new();
    for outcome in outcomes {
        match targets.iter_mut().find(|known| known.target == outcome.target) {
            None => targets.push(outcome),
            Some(known) => {
                let (sum, more) = (&mut known.stats, outcome.stats);
                sum.executions += more.executions;
                sum.per_second += more.per_second;
                sum.coverage = sum.coverage.max(more.coverage);
                sum.features = sum.features.max(more.features);
                sum.corpus = sum.corpus.max(more.corpus);
                known.seconds = known.seconds.max(outcome.seconds);
                known.found.extend(outcome.found);
            }
        }
    }
    targets.sort_by(|left, right| left.target.cmp(&right.target));
    targets
}

/// Everything, at the end.
pub fn print(outcomes: &[Outcome], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(outcomes).context("cannot print JSON")?);
        return Ok(());
    }
    println!();
    outcomes.iter().for_each(|outcome| println!("{}", outcome.line()));
    for (outcome, finding) in
        outcomes.iter().flat_map(|outcome| outcome.found.iter().map(move |found| (outcome, found)))
    {
        println!("\n{} breaks a property:\n{}", outcome.target, finding.message);
        for (what, command) in [("again", &finding.replay), ("as a test", &finding.keep)] {
            if let Some(command) = command {
                println!("{what}: {command}");
            }
        }
    }
    let (runs, found) = (
        outcomes.iter().map(|outcome| outcome.stats.executions).sum::<u64>(),
        outcomes.iter().map(|outcome| outcome.found.len()).sum::<usize>(),
    );
    println!("\n{runs} inputs, {found} break a property");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb\n\
        #524288\tpulse  cov: 512 ft: 1390 corp: 210/9841b lim: 512 exec/s: 95325 rss: 85Mb\n\
        thread '<unnamed>' (7) panicked at fuzz/src/targets/date.rs:31:5:\nnot the latest\nnote: run with `RUST_BACKTRACE=1`\n\
        == ERROR: libFuzzer: deadly signal\nstat::number_of_executed_units: 600000\n";

    #[test]
    fn the_last_line_of_numbers_counts() {
        let stats = Stats { executions: 600_000, per_second: 95_325, coverage: 512, features: 1390, corpus: 210 };
        assert_eq!(Stats::of(LOG), stats);
        assert_eq!(Stats::of("no numbers"), Stats::default());
    }

    #[test]
    fn a_finding_says_what_and_how_to_do_it_again() {
        let finding = Finding::of("date", Path::new("found/crash-1"), LOG);
        assert_eq!(
            finding.message,
            "thread '<unnamed>' (7) panicked at fuzz/src/targets/date.rs:31:5:\nnot the latest"
        );
        assert_eq!(Finding::of("date", Path::new("found/slow-unit-1"), "Done").message, SLOW);
        assert_eq!(finding.replay.as_deref(), Some("cargo xtask fuzz --target date --replay found/crash-1"));
        assert!(finding.keep.is_some_and(|keep| keep.ends_with("fuzz/regressions/date/crash-1")));
        let slow = Finding::of("date", Path::new("x"), "== ERROR: libFuzzer: timeout after 120 seconds\n");
        assert_eq!(slow.message, "== ERROR: libFuzzer: timeout after 120 seconds");
    }

    #[test]
    fn processes_of_one_target_are_added_up() {
        let one = |target: &str, executions, coverage| Outcome {
            target: target.to_owned(),
            seconds: 1.0,
            stats: Stats { executions, coverage, ..Stats::default() },
            found: Vec::new(),
        };
        let all = together(vec![one("b", 1, 5), one("a", 2, 9), one("b", 10, 4)]);
        let seen: Vec<_> = all.iter().map(|o| (o.target.as_str(), o.stats.executions, o.stats.coverage)).collect();
        assert_eq!(seen, [("a", 2, 9), ("b", 11, 5)]);
    }
}
