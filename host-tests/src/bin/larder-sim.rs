//! Runs the simulated world for many seeds, and shows what the first one that fails needs to fail.
//!
//! Exit codes: 0 no violation, 1 a violation, 2 not understood.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use larder_host_tests::envoy::module_path;
use larder_host_tests::host::Plugin;
use larder_host_tests::scenario::{Wasmtime, run_file};
use larder_host_tests::sim::{Plan, Report, Violation, run, scenario, shrink};

/// Run Envoys, nodes, an origin and clients on one simulated clock, and hold what clients see against the RFCs
#[derive(Debug, Parser)]
#[command(name = "larder-sim")]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// This one seed, with everything that happens
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// A plan that an earlier run has written, with everything that happens
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    plan: Option<PathBuf>,
    /// Stop after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// At the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Write the smallest plan of a failure here
    #[arg(long, default_value = "target/sim")]
    keep: PathBuf,
    /// Do not look for a smaller plan that fails, too
    #[arg(long)]
    no_shrink: bool,
    /// Write the plan that a seed draws, and run nothing
    #[arg(long, requires = "seed")]
    write: Option<PathBuf>,
    /// One line of JSON at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default)]
struct Sums {
    seeds: AtomicU64,
    answered: AtomicU64,
    hits: AtomicU64,
    origin: AtomicU64,
    messages: AtomicU64,
    rerouted: AtomicU64,
    policed: AtomicU64,
    vms: AtomicU64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match go(&options) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("larder-sim: {why}");
            ExitCode::from(2)
        }
    }
}

fn go(options: &Options) -> Result<ExitCode, String> {
    let plugin = Plugin::from_file(module_path()).map_err(|error| error.to_string())?;
    if let Some(plan) = one(options)? {
        if let Some(file) = &options.write {
            let text = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
            std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        return show(options, &plugin, &plan);
    }
    let (next, stop) = (AtomicU64::new(options.first), AtomicBool::new(false));
    let (sums, failed) = (Sums::default(), Mutex::new(None::<Plan>));
    let began = Instant::now();
    let over = || options.seconds.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit));
    let told = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && !over() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.first.saturating_add(options.seeds) {
                        return;
                    }
                    let plan = Plan::draw(seed);
                    let report =
                        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&plugin, &plan, false))) {
                            Ok(Ok(report)) => report,
                            Ok(Err(error)) => {
                                eprintln!("seed {seed}: {error}");
                                stop.store(true, Ordering::Relaxed);
                                return;
                            }
                            Err(_) => {
                                eprintln!("seed {seed}: the simulation itself has panicked");
                                stop.store(true, Ordering::Relaxed);
                                let _ = failed.lock().map(|mut failed| failed.replace(plan));
                                return;
                            }
                        };
                    sums.add(&report);
                    if report.violation.is_some() {
                        stop.store(true, Ordering::Relaxed);
                        let _ = failed.lock().map(|mut failed| failed.get_or_insert(plan).seed);
                        return;
                    }
                    let due = began.elapsed().as_secs() / 10;
                    if told.fetch_max(due, Ordering::Relaxed) < due {
                        let done = sums.seeds.load(Ordering::Relaxed);
                        eprintln!(
                            "{done} of {} seeds, {:.0} a second",
                            options.seeds,
                            done as f64 / began.elapsed().as_secs_f64()
                        );
                    }
                }
            });
        }
    });
    sums.tell(options, began.elapsed());
    match failed.into_inner() {
        Ok(Some(plan)) => show(options, &plugin, &plan),
        _ => Ok(if stop.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
    }
}

fn one(options: &Options) -> Result<Option<Plan>, String> {
    if let Some(seed) = options.seed {
        return Ok(Some(Plan::draw(seed)));
    }
    let Some(file) = &options.plan else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", file.display()))
}

fn show(options: &Options, plugin: &Plugin, plan: &Plan) -> Result<ExitCode, String> {
    let text = |error: larder_host_tests::host::HostError| error.to_string();
    println!("seed {}", plan.seed);
    println!("{}", serde_json::to_string(&plan.options).unwrap_or_default());
    let first = run(plugin, plan, true).map_err(text)?;
    let Some(violation) = first.violation.clone() else {
        tell(&first);
        return Ok(ExitCode::SUCCESS);
    };
    let (plan, report) = if options.no_shrink {
        (plan.clone(), first)
    } else {
        eprintln!("{}: {}\nlooking for less that fails, too ...", violation.oracle, violation.why);
        let smallest = shrink(plugin, plan, &violation, 600).map_err(text)?;
        let report = run(plugin, &smallest, true).map_err(text)?;
        (smallest, report)
    };
    tell(&report);
    let file = options.keep.join(format!("{}-{}.json", violation.oracle, plan.seed));
    let written = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&options.keep).map_err(|error| error.to_string())?;
    std::fs::write(&file, written).map_err(|error| error.to_string())?;
    match as_scenario(options, plugin, &plan, &violation)? {
        Ok(file) => println!("as a scenario: {}", file.display()),
        Err(why) => println!("{why}"),
    }
    println!("{} steps are left; again: larder-sim --plan {}", plan.steps.len(), file.display());
    Ok(ExitCode::FAILURE)
}

/// Writes a failing plan as a scenario, where it is one and fails in this module as it should; else says why not.
fn as_scenario(
    options: &Options,
    plugin: &Plugin,
    plan: &Plan,
    violation: &Violation,
) -> Result<Result<PathBuf, String>, String> {
    let text = match scenario(plugin, plan, violation).map_err(|error| error.to_string())? {
        Ok(text) => text,
        Err(why) => return Ok(Err(why)),
    };
    let file = options.keep.join(format!("{}-{}.scn", violation.oracle, plan.seed));
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut wasmtime = Wasmtime::new(&module_path()).map_err(|error| error.to_string())?;
    let report = run_file(&file, &mut wasmtime).map_err(|error| error.to_string())?;
    if report.is_good() {
        let why = "no scenario: written as one it holds, so it needs the times that messages take in the simulation";
        return Ok(Err(format!("{why} ({})", file.display())));
    }
    Ok(Ok(file))
}

fn tell(report: &Report) {
    for line in &report.trace {
        println!("{line}");
    }
    match &report.violation {
        Some(violation) => println!("{} at {} ms: {}", violation.oracle, violation.at_ms, violation.why),
        None => println!(
            "no violation: {} answered, {} of them without the origin, {} requests at the origin, {} messages to nodes",
            report.answered, report.hits, report.origin_requests, report.messages
        ),
    }
}

impl Sums {
    fn add(&self, report: &Report) {
        self.seeds.fetch_add(1, Ordering::Relaxed);
        self.answered.fetch_add(report.answered as u64, Ordering::Relaxed);
        self.hits.fetch_add(report.hits as u64, Ordering::Relaxed);
        self.origin.fetch_add(report.origin_requests as u64, Ordering::Relaxed);
        self.messages.fetch_add(report.messages as u64, Ordering::Relaxed);
        self.rerouted.fetch_add(report.rerouted as u64, Ordering::Relaxed);
        self.policed.fetch_add(report.policed as u64, Ordering::Relaxed);
        self.vms.fetch_add(report.vms as u64, Ordering::Relaxed);
    }

    fn tell(&self, options: &Options, took: Duration) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let [seeds, answered, hits, origin, messages] =
            [&self.seeds, &self.answered, &self.hits, &self.origin, &self.messages].map(read);
        let [rerouted, policed, vms] = [&self.rerouted, &self.policed, &self.vms].map(read);
        if options.json {
            println!(
                "{}",
                serde_json::json!({
                    "seeds": seeds, "first": options.first, "answered": answered, "hits": hits,
                    "origin_requests": origin, "messages": messages, "rerouted": rerouted,
                    "under_pushed_policies": policed, "fresh_vms": vms, "seconds": took.as_secs_f64()
                })
            );
        } else {
            println!(
                "{seeds} seeds from {} in {:.1} s: {answered} requests answered, {hits} of them without the origin, \
                 {origin} requests at the origin, {messages} messages to nodes, {rerouted} requests to be served by nodes, {policed} requests \
                 under policies that were pushed, {vms} VMs in the place of others",
                options.first,
                took.as_secs_f64()
            );
        }
    }
}
