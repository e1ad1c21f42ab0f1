//! `larder test`: test cases of policies, run in the real module.
//!
//! The cases are core's to read, the module runs in the wasmtime host of host-tests; here is where files are found and how what
//! came of them is shown.

mod files;
mod json;
mod junit;
mod module;
mod show;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use larder_host_tests::scenario::{self, Failure, Outcome, Wasmtime, cases};

use self::files::{Loaded, Unusable};
use crate::End;
use crate::paint::{Paint, say};

/// Options of `larder test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Files of test cases end in .test.json; policies/test-schema.json describes them.

The module is looked for at --wasm or LARDER_WASM; else larder.wasm beside this program, in ../share/larder beside it,
in /usr/share/larder and in ./target.

Exit codes: 0 all as expected, 1 a case came out otherwise, 2 not understood: a file with errors, no case, no module.")]
pub struct Options {
    /// Files of test cases, or folders with such files
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    paths: Vec<PathBuf>,

    /// The module to run
    #[arg(long, value_name = "FILE", env = "LARDER_WASM")]
    wasm: Option<PathBuf>,

    /// Only cases whose name, or file's name, has this in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// List the cases, and end
    #[arg(long)]
    list: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write what came of it as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A file, and what came of its cases.
struct Ran {
    /// As it was found.
    file: String,
    /// The policy's file.
    policy: String,
    cases: Vec<RanCase>,
}

struct RanCase {
    name: String,
    line: usize,
    took: Duration,
    failure: Option<Box<Failure>>,
}

/// Everything.
struct Results {
    ran: Vec<Ran>,
    unusable: Vec<Unusable>,
}

impl Results {
    fn cases(&self) -> impl Iterator<Item = &RanCase> {
        self.ran.iter().flat_map(|file| &file.cases)
    }

    fn failed(&self) -> usize {
        self.cases().filter(|case| case.failure.is_some()).count()
    }
}

/// Runs test cases.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let files = match files::find(&options.paths) {
        Ok(files) => files,
        Err(error) => return not_understood(&error),
    };
    let (mut loaded, unusable) = files::load(&files);
    let paint = Paint::of_stdout();
    if let Some(filter) = &options.filter {
        loaded.iter_mut().for_each(|file| file.retain(filter));
        loaded.retain(|file| !file.chosen.is_empty());
    }
    if options.list {
        say(&if options.json { json::list(&loaded)? } else { show::list(&loaded) })?;
        eprint!("{}", show::unusable(&unusable, Paint::plain()));
        return Ok(if unusable.is_empty() { End::Done } else { End::NotUnderstood });
    }
    if loaded.is_empty() && unusable.is_empty() {
        let filter = options.filter.as_deref().unwrap_or_default();
        return not_understood(&anyhow::anyhow!("no case has \"{filter}\" in its name or its file's"));
    }
    let mut results = Results { ran: Vec::new(), unusable };
    if !options.json {
        say(&show::unusable(&results.unusable, paint))?;
    }
    if !loaded.is_empty() {
        let path = match module::find(options.wasm.as_deref()) {
            Ok(path) => path,
            Err(error) => return not_understood(&error),
        };
        // Compiled once, for all cases.
        let mut module = match Wasmtime::new(&path) {
            Ok(module) => module,
            Err(error) => return not_understood(&anyhow::anyhow!("{}: {error}", path.display())),
        };
        for file in &loaded {
            let ran = run_file(file, &mut module, (!options.json).then_some(paint))?;
            results.ran.push(ran);
        }
    }
    let failed = results.failed();
    if options.json {
        say(&json::text(&results)?)?;
    } else {
        say(&show::summary(&results, paint))?;
    }
    if let Some(file) = &options.junit {
        std::fs::write(file, junit::text(&results)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(match (results.unusable.len(), failed) {
        (1.., _) => End::NotUnderstood,
        (0, 1..) => End::Failed,
        (0, 0) => End::Done,
    })
}

fn not_understood(error: &anyhow::Error) -> anyhow::Result<End> {
    eprintln!("larder: {error:#}");
    Ok(End::NotUnderstood)
}

/// Runs a file's cases, telling of each as it ends where there is somebody to tell.
fn run_file(file: &Loaded, module: &mut Wasmtime, paint: Option<Paint>) -> anyhow::Result<Ran> {
    let mut ran = Ran { file: file.name.clone(), policy: file.policy_name.clone(), cases: Vec::new() };
    if let Some(paint) = paint {
        say(&show::heading(file, paint))?;
    }
    for &index in &file.chosen {
        let Some(scenario) = cases::scenario(&file.cases, index, &file.policy_text, &file.path) else { continue };
        let started = Instant::now();
        let report = scenario::run(&scenario, module);
        let failure = match report.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Passed | Outcome::Skipped(_) => None,
        };
        let line = file.cases.line_of_case(index);
        let case = RanCase { name: report.title, line, took: started.elapsed(), failure };
        if let Some(paint) = paint {
            say(&show::case(&ran.file, &case, paint))?;
        }
        ran.cases.push(case);
    }
    Ok(ran)
}
