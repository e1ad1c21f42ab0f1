//! What each step of `cargo xtask test` runs. Test programs are found by where they lie, so that a new file is a new test:
//! `tests/envoy_*` of any crate needs a real Envoy, `tests/module_*` and the rest of host-tests/tests the modules; all others are unit
//! tests.
//!
//! All native steps compile the same packages with the same features in one profile, so that nothing is compiled twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Kind, Run, StepName};
use crate::cargo::{NATIVE, cargo, metadata};
use crate::setup::wasm::Toolchain;
use crate::setup::{deny, envoy, runner, wasm};
use crate::{build, page, paths};

const HOST_TESTS: &str = "larder-host-tests";
const ENVOY: &str = "envoy_";
const MODULE: &str = "module_";

/// Takes one step. Whatever goes wrong is one of its failures.
pub fn take(run: &mut Run<'_>, name: StepName, versions: &[Option<String>]) {
    let taken = match name {
        StepName::Fmt => {
            run.command("fmt", Kind::Check, cargo().args(["fmt", "--all", "--check", "--", "--color", "never"]));
            Ok(())
        }
        StepName::Clippy => clippy(run),
        StepName::Tidy => {
            run.tidy();
            Ok(())
        }
        StepName::Deny => deny(run),
        StepName::Unit => unit(run),
        StepName::Wasm => in_wasm(run),
        StepName::Host => host(run),
        StepName::Sim => simulated(run),
        StepName::Fuzz => {
            fuzzed(run);
            Ok(())
        }
        StepName::Dashboard => dashboard(run),
        StepName::Deploy => of_xtask(run, "deploy", &["deploy"]),
        StepName::Package => {
            of_xtask(run, "package", &["package", "--profile", "dev", "--twice", "--out", "target/xtask/packages"])
        }
        StepName::Envoy => in_envoy(run, versions),
        StepName::Conformance => conformance(run),
        // The rest takes minutes, or rights that a machine may not give; times are for machines that do nothing else.
        StepName::Chaos => of_xtask(
            run,
            "chaos",
            &[
                "chaos",
                "--only",
                "node-kill,master-kill,ecds,hot-restart",
                "--seconds",
                "4",
                "--rate",
                "60",
                "--lenient",
            ],
        ),
    };
    if let Err(error) = taken {
        run.step(&format!("{name:?}").to_lowercase(), |_| Err(error));
    }
}

fn clippy(run: &mut Run<'_>) -> Result<()> {
    const DENY_WARNINGS: &[&str] = &["--", "-D", "warnings"];
    run.command("clippy", Kind::Check, cargo().arg("clippy").args(NATIVE).arg("--all-targets").args(DENY_WARNINGS));
    // Debian's toolchain has a compiler of another version than our clippy; its types are checked by the build.
    if let (toolchain @ Toolchain::Own, _) = wasm::ensure()? {
        // As it is shipped, and as `cargo xtask chaos` makes it crash.
        for (step, features) in [("clippy wasm", ""), ("clippy trap", "larder-plugin/trap")] {
            let mut command = toolchain.cargo();
            command
                .args(["clippy", "--locked", "--package", "larder-plugin", "--package", "larder-probe"])
                .args(["--features", features])
                .args(toolchain.flags())
                .args(DENY_WARNINGS);
            run.command(step, Kind::Check, &mut command);
        }
    }
    Ok(())
}

fn deny(run: &mut Run<'_>) -> Result<()> {
    let (program, _) = deny::ensure()?;
    // Duplicate versions are warnings, and the list of those is long: errors only.
    let mut command = Command::new(program);
    command
        .args(["--offline", "--log-level", "error", "check", "licenses", "bans", "sources"])
        .current_dir(paths::root());
    run.command("deny", Kind::Check, &mut command);
    Ok(())
}

fn unit(run: &mut Run<'_>) -> Result<()> {
    let mut command = test_command();
    command.args(["--lib", "--bins"]);
    for program in programs()?.iter().filter(|program| !program.needs_modules() && !program.needs_envoy()) {
        command.arg("--test").arg(&program.name);
    }
    filtered(run, &mut command);
    run.command("unit", Kind::Tests, &mut command);
    if !run.stopped() {
        let mut command = test_command();
        command.arg("--doc");
        filtered(run, &mut command);
        run.command("doc", Kind::Tests, &mut command);
    }
    Ok(())
}

fn in_wasm(run: &mut Run<'_>) -> Result<()> {
    let (Some(runner), _) = runner::ensure()? else {
        return Ok(());
    };
    let (toolchain, _) = wasm::ensure()?;
    let mut command = toolchain.cargo();
    command
        .args(["test", "--locked", "--no-fail-fast", "--package", "larder-core", "--lib"])
        .args(toolchain.test_flags())
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner);
    filtered(run, &mut command);
    run.command("wasm", Kind::Tests, &mut command);
    Ok(())
}

fn host(run: &mut Run<'_>) -> Result<()> {
    let modules = modules(run)?;
    let mut command = test_command();
    for program in programs()?.iter().filter(|program| program.needs_modules() && !program.needs_envoy()) {
        command.arg("--test").arg(&program.name);
    }
    // The guides in docs/ run it.
    let mut shop = cargo();
    run.command("build shop", Kind::Check, shop.arg("build").args(NATIVE).args(["--bin", "shop-api"]));
    modules.tell(&mut command).env("LARDER_SHOP_API", paths::target().join("debug/shop-api"));
    filtered(run, &mut command);
    run.command("host", Kind::Tests, &mut command);
    Ok(())
}

fn dashboard(run: &mut Run<'_>) -> Result<()> {
    let mut command = cargo();
    command.arg("build").args(NATIVE).args(["--bin", "larder"]);
    if run.command("larder", Kind::Check, &mut command)
        && run.command("npm", Kind::Check, &mut page::install())
        && run.command("page", Kind::Check, &mut page::npm(&["run", "check"]))
    {
        let mut command = page::tests(run.args.filter.as_deref())?;
        command.env("LARDER_BIN", paths::target().join("debug/larder"));
        run.command("dashboard", Kind::NodeTests, &mut command);
    }
    Ok(())
}

/// The first seeds are a test's (host-tests/tests/simulation.rs); this goes on from there.
fn simulated(run: &mut Run<'_>) -> Result<()> {
    let modules = modules(run)?;
    let mut command = crate::sim::command(false)?;
    command.args(["--first", "61", "--seeds", "1000000", "--seconds", "120", "--keep"]);
    command.arg(paths::scratch("sim"));
    modules.tell(&mut command);
    run.command("sim", Kind::Check, &mut command);
    Ok(())
}

/// What is kept was given to all targets by tests (fuzz/tests); this looks for more, and for the same each time: what fails here fails
/// again, and not on a machine that has nothing to do with it.
fn fuzzed(run: &mut Run<'_>) {
    // This very program, by the one name that holds after earlier steps have built it anew.
    let mut command = Command::new("/proc/self/exe");
    command.args(["fuzz", "--seed", "1", "--seconds", &run.args.fuzz_seconds.to_string()]).current_dir(paths::root());
    run.command("fuzz", Kind::Check, &mut command);
}

fn in_envoy(run: &mut Run<'_>, versions: &[Option<String>]) -> Result<()> {
    let modules = modules(run)?;
    for version in versions {
        if run.stopped() {
            break;
        }
        match envoy_of(version.as_deref()) {
            Ok((envoy, version)) => {
                let mut command = test_command();
                modules.tell(command.args(["--test", "envoy_*"])).env("LARDER_ENVOY", &envoy);
                filtered(run, &mut command);
                run.command(&format!("envoy {version}"), Kind::Tests, &mut command);
            }
            Err(error) => {
                run.step(&format!("envoy {}", version.as_deref().unwrap_or_default()), |_| Err(error));
            }
        }
    }
    Ok(())
}

/// A command of our own, with the module that was built.
fn of_xtask(run: &mut Run<'_>, step: &str, words: &[&str]) -> Result<()> {
    let modules = modules(run)?;
    // This very program, by the one name that holds after earlier steps have built it anew.
    let mut command = Command::new("/proc/self/exe");
    command.args(words).arg("--wasm").arg(&modules.plugin).current_dir(paths::root());
    run.command(step, Kind::Check, &mut command);
    Ok(())
}

fn conformance(run: &mut Run<'_>) -> Result<()> {
    let modules = modules(run)?;
    // This very program, by the one name that holds after earlier steps have built it anew.
    let mut command = Command::new("/proc/self/exe");
    command.arg("conformance").arg("--wasm").arg(&modules.plugin).current_dir(paths::root());
    run.command("conformance", Kind::Check, &mut command);
    let mut command = Command::new("/proc/self/exe");
    command.args(["conformance", "--target", "proxy"]).current_dir(paths::root());
    run.command("proxy suite", Kind::Check, &mut command);
    Ok(())
}

fn envoy_of(wanted: Option<&str>) -> Result<(PathBuf, String)> {
    let envoy = match wanted {
        Some(version) => envoy::binary(version)?,
        None => envoy::ensure()?.0,
    };
    let version = envoy::version(&envoy)?;
    Ok((envoy, version))
}

fn test_command() -> Command {
    let mut command = cargo();
    // A server that setup has not brought is a failure, and not a test left out.
    command.arg("test").args(NATIVE).arg("--no-fail-fast").env("LARDER_REQUIRE_SERVICES", "1");
    command
}

fn filtered(run: &Run<'_>, command: &mut Command) {
    if let Some(filter) = &run.args.filter {
        command.args(["--", filter]);
    }
}

/// The release module and the probe plugin that host and Envoy tests load. Their builds are steps of their own, once.
#[derive(Clone)]
pub struct Modules {
    plugin: PathBuf,
    probe: PathBuf,
}

fn modules(run: &mut Run<'_>) -> Result<Modules> {
    if run.modules.is_none() {
        run.modules = Some(build_modules(run)?);
    }
    run.modules.clone().flatten().context("a module did not build: see the steps build and build probe")
}

fn build_modules(run: &mut Run<'_>) -> Result<Option<Modules>> {
    let (toolchain, _) = wasm::ensure()?;
    let plugin = run.command("build", Kind::Check, &mut build::command(&toolchain, "larder-plugin"));
    let probe = run.command("build probe", Kind::Check, &mut build::command(&toolchain, "larder-probe"));
    if !(plugin && probe) {
        return Ok(None);
    }
    let plugin = build::collect(&toolchain)?.path;
    Ok(Some(Modules { plugin, probe: build::output(&toolchain, "larder_probe") }))
}

impl Modules {
    fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LARDER_WASM", &self.plugin).env("LARDER_PROBE_WASM", &self.probe)
    }
}

/// A test program: a file or folder in a package's `tests/`.
struct Program {
    package: String,
    name: String,
}

impl Program {
    fn needs_envoy(&self) -> bool {
        self.name.starts_with(ENVOY)
    }

    fn needs_modules(&self) -> bool {
        self.package == HOST_TESTS || self.name.starts_with(MODULE)
    }
}

/// All test programs of all packages.
fn programs() -> Result<Vec<Program>> {
    let metadata = metadata()?;
    let mut programs = Vec::new();
    for package in metadata.members() {
        let folder = package.manifest_path.with_file_name("tests");
        if folder.is_dir() {
            let names = names_in(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
            programs.extend(names.into_iter().map(|name| Program { package: package.name.clone(), name }));
        }
    }
    Ok(programs)
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_program = path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists();
        if let Some(stem) = path.file_stem().filter(|_| is_program) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
