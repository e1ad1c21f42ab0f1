//! `larder check`: everything that is wrong with policies, and everything that is odd about them.
//!
//! What is wrong is core's to find; here is how it is shown and what it counts for.

mod finding;
mod json;
mod levels;
mod show;

use clap::Args;
#[cfg(feature = "test")]
use larder_core::policy::PolicyErrors;
use larder_core::policy::lint::{self, LINTS};

pub use self::finding::Finding;
use self::levels::{Level, Levels, Named};
use crate::End;
use crate::input::{self, Source};
use crate::paint::{Paint, say};

/// Options of `larder check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing that counts as an error, 1 errors, 2 not understood or a file that cannot be read."
)]
pub struct Options {
    /// Policies; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "lints")]
    files: Vec<Source>,

    /// What counts as an error: `warnings`, `notes`, or a lint by its id
    #[arg(long, value_name = "ID", value_parser = levels::named)]
    deny: Vec<Named>,

    /// What is not looked for: `warnings`, `notes`, or a lint by its id
    #[arg(long, value_name = "ID", value_parser = levels::named)]
    allow: Vec<Named>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// List all lints, and end
    #[arg(long)]
    lints: bool,
}

/// What was found in a file.
pub struct Checked {
    /// The file's name.
    name: String,
    /// Its text; empty where it could not be read.
    text: String,
    /// In order of the file.
    findings: Vec<Finding>,
    /// Errors past those that are reported.
    left_out: usize,
    /// Why the file could not be read.
    unread: Option<String>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    errors: usize,
    warnings: usize,
    notes: usize,
    unread: usize,
}

/// Errors in the text of another file that core reads, shown as a policy's are.
#[cfg(feature = "test")]
pub fn shown(name: &str, text: &str, errors: &PolicyErrors, paint: Paint) -> String {
    let findings = Finding::of_errors(text, errors);
    let (name, text) = (name.to_owned(), text.to_owned());
    show::findings(&Checked { name, text, findings, left_out: errors.left_out(), unread: None }, paint)
}

/// The same for programs.
#[cfg(feature = "test")]
pub fn findings_json(text: &str, errors: &PolicyErrors) -> Vec<serde_json::Value> {
    Finding::of_errors(text, errors).iter().map(json::finding).collect()
}

/// Checks.
pub fn run(options: &Options) -> anyhow::Result<End> {
    if options.lints {
        say(&lints(options.json)?)?;
        return Ok(End::Done);
    }
    let levels = Levels { deny: &options.deny, allow: &options.allow };
    let checked: Vec<Checked> = options.files.iter().map(|file| check(file, &levels)).collect();
    let totals = Totals::of(&checked);
    if options.json {
        say(&json::text(&checked, totals)?)?;
    } else {
        say(&show::text(&checked, totals, Paint::of_stdout()))?;
    }
    Ok(match totals {
        Totals { unread: 1.., .. } => End::NotUnderstood,
        Totals { errors: 0, .. } => End::Done,
        _ => End::Failed,
    })
}

fn check(file: &Source, levels: &Levels<'_>) -> Checked {
    let name = file.to_string();
    let text = match input::read(file) {
        Ok(text) => text,
        Err(error) => {
            let unread = Some(format!("{error:#}"));
            return Checked { name, text: String::new(), findings: Vec::new(), left_out: 0, unread };
        }
    };
    let (findings, left_out) = findings(&text, levels);
    Checked { name, text, findings, left_out, unread: None }
}

fn findings(text: &str, levels: &Levels<'_>) -> (Vec<Finding>, usize) {
    match lint::check(text) {
        Err(errors) => (Finding::of_errors(text, &errors), errors.left_out()),
        Ok(checked) => {
            let lints = checked.lints.into_iter();
            (lints.filter_map(|lint| Some(Finding::of_lint(levels.of(lint.rule)?, lint))).collect(), 0)
        }
    }
}

impl Totals {
    fn of(checked: &[Checked]) -> Self {
        let mut totals = Self::default();
        for file in checked {
            totals.errors += file.left_out;
            totals.unread += usize::from(file.unread.is_some());
            for finding in &file.findings {
                match finding.level {
                    Level::Error => totals.errors += 1,
                    Level::Warning => totals.warnings += 1,
                    Level::Note => totals.notes += 1,
                }
            }
        }
        totals
    }
}

fn lints(as_json: bool) -> anyhow::Result<String> {
    if as_json {
        let list = LINTS
            .iter()
            .map(|lint| serde_json::json!({ "id": lint.id, "severity": lint.severity.word(), "about": lint.about }));
        return Ok(serde_json::to_string_pretty(&list.collect::<Vec<_>>())? + "\n");
    }
    Ok(LINTS.iter().map(|lint| format!("{:<30} {:<8} {}\n", lint.id, lint.severity.word(), lint.about)).collect())
}
