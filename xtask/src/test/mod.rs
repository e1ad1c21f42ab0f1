//! `cargo xtask test`: every check of the project, one step after the other. Runs them, counts and reports;
//! what a step consists of is in `steps`, how cargo's output is counted in `count`.

mod count;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::setup::{self, Tool, envoy};
use crate::{Verdict, paths, process, tidy};

pub use count::Count;

/// No step may hang a run for ever. The longest, compiling everything on a slow machine, takes a few minutes.
const STEP_WITHIN: Duration = Duration::from_secs(25 * 60);

/// Run every check: fmt, clippy, tidy, deny, unit, wasm, host, sim, fuzz, dashboard, deploy, package, envoy, conformance, chaos
///
/// Installs first what the chosen steps need (see `cargo xtask setup`). A failing step shows its output; the steps after
/// it still run. The last line counts the tests of all steps, and one for each check that has no tests of its own.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Run these steps only
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<StepName>,
    /// Envoy versions for the envoy step [default: the newest; with CI=true the oldest and the newest]
    #[arg(long, value_delimiter = ',', value_name = "VERSION")]
    envoy: Vec<String>,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,
    /// How long each target of the fuzz step runs
    #[arg(long, default_value_t = 12, value_name = "N")]
    fuzz_seconds: u64,
    /// Show the output of steps that pass, too
    #[arg(long)]
    verbose: bool,
    /// Print the result as JSON on standard output, and everything else on standard error
    #[arg(long)]
    json: bool,
}

/// The steps, in the order in which they run: cheap ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StepName {
    /// rustfmt finds nothing to change
    Fmt,
    /// clippy finds nothing, in any target of any crate
    Clippy,
    /// The project's own rules (`cargo xtask tidy`)
    Tidy,
    /// Licences, bans and sources of all dependencies, offline
    Deny,
    /// Tests inside the crates
    Unit,
    /// Core's tests in wasm under Node
    Wasm,
    /// The plugin in the wasmtime host
    Host,
    /// The simulated world, for as many seeds as two minutes give (`cargo xtask sim`)
    Sim,
    /// The fuzz targets, each for a few seconds, two at a time (`cargo xtask fuzz`)
    Fuzz,
    /// The dashboard is what its sources make, and shows in a real browser what a node says
    Dashboard,
    /// What is under deploy/, against what will read it (`cargo xtask deploy`)
    Deploy,
    /// Packages of what the tests have compiled, twice (`cargo xtask package`)
    Package,
    /// The plugin in real Envoy, once for each version
    Envoy,
    /// The public HTTP cache test suite in real Envoy (`cargo xtask conformance`)
    Conformance,
    /// Some of the faults of `cargo xtask chaos`: nothing fails, nothing is stale, no byte is wrong
    Chaos,
}

/// How one step came out.
#[derive(Debug, Serialize)]
struct Outcome {
    step: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
    log: PathBuf,
}

/// The whole run, as `--json` prints it.
#[derive(Serialize)]
struct Summary<'a> {
    passed: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
    steps: &'a [Outcome],
}

pub fn main(args: &Args) -> Result<Verdict> {
    let started = Instant::now();
    let names = if args.only.is_empty() { StepName::value_variants() } else { &args.only };
    let versions = versions(&args.envoy)?;
    let mut run = Run { args, outcomes: Vec::new(), modules: None };
    run.heading("setup");
    run.setup(names)?;
    for &name in names {
        if run.stopped() {
            break;
        }
        steps::take(&mut run, name, &versions);
    }
    let count: Count = run.outcomes.iter().map(Outcome::count).sum();
    let seconds = started.elapsed().as_secs_f64();
    run.say("");
    run.say("summary");
    for outcome in &run.outcomes {
        run.say(&format!("  {}", outcome.line()));
    }
    run.say(&format!("  all together {:.0} s", seconds));
    run.say("");
    run.say(&count.line());
    if args.json {
        let summary = Summary {
            passed: count.passed,
            failed: count.failed,
            skipped: count.skipped,
            seconds,
            steps: &run.outcomes,
        };
        println!("{}", serde_json::to_string_pretty(&summary).context("cannot print JSON")?);
    }
    Ok(if count.failed == 0 { Verdict::Good } else { Verdict::Bad })
}

/// The Envoys to test with: those asked for; else in CI both ends of what we support; else whichever the machine has.
fn versions(asked: &[String]) -> Result<Vec<Option<String>>> {
    if let Some(wrong) = asked.iter().find(|version| version.is_empty()) {
        bail!("--envoy takes versions like {},{}, not '{wrong}'", envoy::OLDEST, envoy::NEWEST);
    }
    if !asked.is_empty() {
        return Ok(asked.iter().cloned().map(Some).collect());
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    Ok(if ci { vec![Some(envoy::OLDEST.to_owned()), Some(envoy::NEWEST.to_owned())] } else { vec![None] })
}

/// A run in progress.
struct Run<'a> {
    args: &'a Args,
    outcomes: Vec<Outcome>,
    /// The modules, once they have been built or failed to build.
    modules: Option<Option<steps::Modules>>,
}

impl Run<'_> {
    /// Installs what the steps need, and nothing else. A tool that cannot be had fails the run: its step could not.
    fn setup(&self, names: &[StepName]) -> Result<()> {
        use StepName::{Chaos, Clippy, Conformance, Dashboard, Deploy, Envoy, Fuzz, Host, Package, Sim, Unit, Wasm};
        const ALL_THAT_RUN: &[StepName] =
            &[Unit, Wasm, Host, Sim, Fuzz, Dashboard, Deploy, Package, Envoy, Conformance, Chaos];
        const WITH_MODULES: &[StepName] = &[Clippy, Wasm, Host, Sim, Fuzz, Deploy, Package, Envoy, Conformance, Chaos];
        let needs: &[(Tool, &[StepName])] = &[
            (Tool::Packages, ALL_THAT_RUN),
            (Tool::Crates, &[StepName::Tidy, StepName::Deny]),
            (Tool::Wasm, WITH_MODULES),
            (Tool::Runner, &[StepName::Wasm]),
            (Tool::Deny, &[StepName::Deny]),
            (Tool::Schemas, &[Deploy, Package]),
        ];
        for (tool, users) in needs {
            if users.iter().any(|user| names.contains(user)) {
                let step = setup::take(*tool);
                self.say(&step.line());
                if step.failed() {
                    bail!("setup failed; the line above says what to do");
                }
            }
        }
        Ok(())
    }

    fn heading(&self, name: &str) {
        self.say("");
        self.say(&format!("== {name}"));
    }

    fn say(&self, line: &str) {
        if self.args.json { eprintln!("{line}") } else { println!("{line}") }
    }

    fn stopped(&self) -> bool {
        self.args.fail_fast && self.outcomes.iter().any(|outcome| outcome.failed > 0)
    }

    /// A step that is one command: a check counts as one test, tests count as many as cargo says ran. Says whether all is well.
    fn command(&mut self, step: &str, kind: Kind, command: &mut Command) -> bool {
        self.step(step, |log| {
            let started = Instant::now();
            let (status, mut output) = process::capture_within(command, log, STEP_WITHIN)
                .with_context(|| format!("step {step}: {}", process::line(command)))?;
            let tests = match kind {
                Kind::Check | Kind::Tests => Count::of_cargo(&output),
                Kind::NodeTests => Count::of_node(&output),
            };
            let mut count = match kind {
                Kind::Check => Count { passed: 1, ..Count::default() },
                Kind::Tests | Kind::NodeTests => tests,
            };
            if !status.success() && count.failed == 0 {
                // It did not compile, crashed or was killed when its time was up.
                count = Count { passed: tests.passed, failed: 1, skipped: tests.skipped };
                if started.elapsed() >= STEP_WITHIN {
                    output += &format!("\nkilled: the step took longer than {} s\n", STEP_WITHIN.as_secs());
                }
            }
            Ok((count, format!("$ {}\n{output}", process::line(command))))
        })
    }

    /// Our own rules, in this process.
    fn tidy(&mut self) {
        self.step("tidy", |_| {
            let findings = tidy::findings()?;
            let good = findings.is_empty();
            let count = Count { passed: usize::from(good), failed: usize::from(!good), ..Count::default() };
            let output = findings.iter().map(|finding| format!("{finding}\n")).collect();
            Ok((count, output))
        });
    }

    /// Takes one step: heading, work, the line that says how it came out, and the output if it is wanted.
    fn step(&mut self, step: &str, work: impl FnOnce(&Path) -> Result<(Count, String)>) -> bool {
        self.heading(step);
        let started = Instant::now();
        let log = paths::scratch("test").join(format!("{}.log", step.replace(' ', "-")));
        let (count, output) =
            work(&log).unwrap_or_else(|error| (Count { failed: 1, ..Count::default() }, format!("{error:#}\n")));
        if count.failed > 0 || self.args.verbose {
            self.say(output.trim_end());
        }
        let seconds = started.elapsed().as_secs_f64();
        let outcome = Outcome {
            step: step.to_owned(),
            passed: count.passed,
            failed: count.failed,
            skipped: count.skipped,
            seconds,
            log,
        };
        self.say(&outcome.line());
        self.outcomes.push(outcome);
        count.failed == 0
    }
}

/// What a step's exit code stands for.
#[derive(Clone, Copy)]
enum Kind {
    /// One check.
    Check,
    /// As many tests as its output says.
    Tests,
    /// The same, where Node runs them.
    NodeTests,
}

impl Outcome {
    fn count(&self) -> Count {
        Count { passed: self.passed, failed: self.failed, skipped: self.skipped }
    }

    fn line(&self) -> String {
        let verdict = if self.failed == 0 { "ok" } else { "FAILED" };
        let Self { step, passed, failed, seconds, .. } = self;
        format!("{step:<14}{verdict:<8}{passed:>5} passed {failed:>3} failed {seconds:>7.1} s")
    }
}
