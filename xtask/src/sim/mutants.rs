//! Modules broken on purpose, one at a time: each must be found by the simulation or by a scenario, or the proof proves nothing.
//!
//! `host-tests/mutants.json` lists them: a file, what is replaced in it by what. The source tree is copied, nothing here is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::cargo::{NATIVE, cargo};
use crate::setup::wasm::{self, Toolchain};
use crate::{Verdict, paths};

/// Break core on purpose, bug by bug, and see whether the simulation or a scenario finds each
#[derive(Debug, Parser)]
pub struct Args {
    /// Only those whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Seeds for each
    #[arg(long, default_value_t = 3000)]
    seeds: u64,
    /// Names only
    #[arg(long)]
    list: bool,
    /// A line of JSON for each
    #[arg(long)]
    json: bool,
}

/// One bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: PathBuf,
    find: String,
    replace: String,
    /// Changed as well: one of the others.
    #[serde(default)]
    needs: Option<String>,
    /// Why this changes nothing that anybody sees: a control, which must not be found.
    #[serde(default)]
    harmless: Option<String>,
}

/// What came of one.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// By what: an oracle, `scenarios`, or nothing.
    found_by: Option<String>,
    seconds: f64,
}

/// Tries them all.
pub fn main(args: &Args) -> Result<Verdict> {
    let all = read(&paths::root().join("host-tests/mutants.json"))?;
    let wanted = |mutant: &&Mutant| args.filter.as_ref().is_none_or(|filter| mutant.name.contains(filter));
    let chosen: Vec<&Mutant> = all.values().filter(wanted).collect();
    ensure!(!chosen.is_empty(), "no mutant has such a name; --list shows them");
    if args.list {
        chosen.iter().for_each(|mutant| println!("{}", mutant.name));
        return Ok(Verdict::Good);
    }
    let (toolchain, _) = wasm::ensure()?;
    // Thousands of seeds for each: compiling it for speed is soon made good.
    let simulation = super::command(true)?.get_program().to_owned();
    let scenarios = scenarios()?;
    let tree = paths::scratch("mutants").join("tree");
    let mut bad = 0;
    for mutant in chosen {
        let began = Instant::now();
        copy(&tree)?;
        let needed = mutant.needs.as_ref().map(|name| all.get(name).with_context(|| format!("there is no {name}")));
        if let Some(needed) = needed.transpose()? {
            change(&tree, needed)?;
        }
        change(&tree, mutant)?;
        let module = build(&toolchain, &tree).with_context(|| mutant.name.clone())?;
        let mut found_by = simulate(Path::new(&simulation), &module, args.seeds)?;
        if found_by.is_none() {
            found_by = run_scenarios(&scenarios, &module)?.then(|| "scenarios".to_owned());
        }
        let row = Row { name: mutant.name.clone(), found_by, seconds: began.elapsed().as_secs_f64() };
        let is_good = row.found_by.is_some() != mutant.harmless.is_some();
        bad += usize::from(!is_good);
        if args.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            let by = row.found_by.as_deref().unwrap_or("nothing");
            println!("{:5} {:60} found by {by} ({:.0} s)", if is_good { "ok" } else { "NOT" }, row.name, row.seconds);
        }
    }
    Ok(if bad == 0 { Verdict::Good } else { Verdict::Bad })
}

fn read(file: &Path) -> Result<BTreeMap<String, Mutant>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let list: Vec<Mutant> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let count = list.len();
    let all: BTreeMap<_, _> = list.into_iter().map(|mutant| (mutant.name.clone(), mutant)).collect();
    ensure!(all.len() == count, "{}: two mutants have one name", file.display());
    Ok(all)
}

/// What the module is made of, as it is now. Files that are the same keep their time, so that cargo compiles only what changes.
fn copy(tree: &Path) -> Result<()> {
    fs::create_dir_all(tree)?;
    for part in ["core", "plugin", "Cargo.lock", "rust-toolchain.toml", ".cargo"] {
        let from = paths::root().join(part);
        let _ = fs::remove_dir_all(tree.join(part));
        let status = Command::new("cp").arg("-a").arg(from).arg(tree).status()?;
        ensure!(status.success(), "cannot copy {part}");
    }
    // A workspace of these two alone: the others' sources are not there.
    let manifest = fs::read_to_string(paths::root().join("Cargo.toml"))?;
    let kept = manifest.lines().filter_map(|line| match line.split_once(" = ") {
        Some(("members", _)) => Some("members = [\"core\", \"plugin\"]"),
        Some(("default-members" | "larder-node" | "larder-origin", _)) => None,
        _ => Some(line),
    });
    fs::write(tree.join("Cargo.toml"), kept.collect::<Vec<_>>().join("\n"))?;
    Ok(())
}

fn change(tree: &Path, mutant: &Mutant) -> Result<()> {
    let file = tree.join(&mutant.file);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    match text.matches(&mutant.find).count() {
        1 => {}
        count => bail!("{}: what is to be replaced in {} is there {count} times", mutant.name, mutant.file.display()),
    }
    fs::write(&file, text.replace(&mutant.find, &mutant.replace))?;
    Ok(())
}

fn build(toolchain: &Toolchain, tree: &Path) -> Result<PathBuf> {
    let target = paths::scratch("mutants").join("target");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(tree)
        .args(["build", "--offline", "--package", "larder-plugin", "--profile", "release-wasm"])
        // Mutants are built by the dozen: link-time optimisation is most of the time of a build.
        .args(["--config", "profile.release-wasm.lto=false", "--config", "profile.release-wasm.opt-level=1"])
        .args(["--config", "profile.release-wasm.codegen-units=16"])
        .args(toolchain.flags())
        .env("CARGO_TARGET_DIR", &target)
        .stderr(Stdio::piped());
    let output = cargo.output()?;
    ensure!(output.status.success(), "it does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join(wasm::TARGET).join("release-wasm/larder_plugin.wasm"))
}

/// The oracle that says so: of plans that failed once, which are tests, then of so many seeds.
fn simulate(program: &Path, module: &Path, seeds: u64) -> Result<Option<String>> {
    let folder = paths::root().join("host-tests/plans");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut plans: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    plans.sort_unstable();
    for plan in plans {
        let found = simulate_one(program, module, "--plan", &plan.display().to_string())?;
        if let Some(found) = found {
            let name = plan.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Some(format!("{found}, plan {name}")));
        }
    }
    simulate_one(program, module, "--seeds", &seeds.to_string())
}

fn simulate_one(program: &Path, module: &Path, option: &str, value: &str) -> Result<Option<String>> {
    let mut command = Command::new(program);
    command.args(["--no-shrink", option, value]).env("LARDER_WASM", module).current_dir(paths::root());
    let output = command.stderr(Stdio::null()).output().context("larder-sim does not start")?;
    match output.status.code() {
        Some(0) => return Ok(None),
        Some(1) => {}
        other => bail!("larder-sim ended with {other:?}"),
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.split_once("VIOLATION ")?.1.split_once(": "));
    let seed = text.lines().find_map(|line| line.strip_prefix("seed ")).unwrap_or("?").to_owned();
    Ok(Some(said.map_or_else(|| format!("a panic, seed {seed}"), |(oracle, _)| format!("{oracle}, seed {seed}"))))
}

/// The scenarios' test program for the wasmtime host, built.
fn scenarios() -> Result<PathBuf> {
    let mut build = cargo();
    build.arg("test").args(NATIVE).args(["--test", "scenarios_wasmtime", "--no-run", "--message-format", "json"]);
    let output = build.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the scenarios do not compile");
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = built
        .filter(|line| line["target"]["name"] == "scenarios_wasmtime")
        .find_map(|line| line["executable"].as_str().map(PathBuf::from));
    program.context("cargo names no program of the scenarios")
}

/// Whether any fails.
fn run_scenarios(program: &Path, module: &Path) -> Result<bool> {
    let mut command = Command::new(program);
    command
        .env("LARDER_WASM", module)
        .current_dir(paths::root().join("host-tests"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(!command.status()?.success())
}
