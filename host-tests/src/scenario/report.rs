//! What came of a scenario, and how a reader is told.

use std::fmt;
use std::path::PathBuf;

use super::check::Difference;

/// The report of one scenario in one executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// `topic/file`.
    pub name: String,
    /// The scenario's title.
    pub title: String,
    /// The executor.
    pub executor: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as expected.
    Passed,
    /// The scenario does not run here; why.
    Skipped(String),
    /// A step went otherwise.
    Failed(Box<Failure>),
}

/// The first step that went otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line of the step.
    pub line: usize,
    /// The step.
    pub step: String,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What else a reader may want to see: the whole answer, the requests at the origin.
    pub context: Vec<String>,
}

impl Report {
    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed(_))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Passed => write!(f, "ok       {} [{}]", self.name, self.executor),
            Outcome::Skipped(reason) => write!(f, "skipped  {} [{}]: {reason}", self.name, self.executor),
            Outcome::Failed(failure) => {
                writeln!(f, "FAILED   {} [{}]", self.name, self.executor)?;
                writeln!(f, "  {}", self.title)?;
                writeln!(f, "  {}:{}: {}", self.path.display(), failure.line, failure.step)?;
                for difference in &failure.differences {
                    let line = difference.line.unwrap_or(failure.line);
                    writeln!(f, "    line {line}")?;
                    writeln!(f, "      expected  {}", difference.expected)?;
                    if !difference.found.is_empty() {
                        writeln!(f, "      found     {}", difference.found)?;
                    }
                    if let Some(hint) = &difference.hint {
                        writeln!(f, "      hint      {hint}")?;
                    }
                }
                for line in &failure.context {
                    writeln!(f, "    | {line}")?;
                }
                Ok(())
            }
        }
    }
}

/// Reports of a run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many do not run there.
    pub skipped: usize,
}

impl Summary {
    /// Counts.
    pub fn of(reports: &[Report]) -> Self {
        let mut summary = Self::default();
        for report in reports {
            match report.outcome {
                Outcome::Passed => summary.passed += 1,
                Outcome::Failed(_) => summary.failed += 1,
                Outcome::Skipped(_) => summary.skipped += 1,
            }
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} scenarios passed, {} failed, {} do not run here", self.passed, self.failed, self.skipped)
    }
}
