//! `cargo xtask build`: the release module, at one path, checked for what Envoy will ask of it; and the dashboard's page.
//! Which compiler is used is setup's business; what a module file looks like is `module`'s.

mod module;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::setup::wasm::{self, Toolchain};
use crate::{Verdict, page, paths, process};

/// Build the release plugin target/larder.wasm and print its size and SHA-256
///
/// The module is compiled with LTO and without symbols, and refused if it imports anything but the environment and the
/// `proxy_*` functions of proxy-wasm (another WASI import, say, which Envoy could not satisfy). Where npm is there, the
/// dashboard's page (dashboard/dist) is built anew, too; it is checked in, and the node takes it into its binary.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Print path, bytes and SHA-256 as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A module that has been built and checked.
#[derive(Debug, Serialize)]
pub struct Module {
    /// Where it is: always the same path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// The SHA-256 of the file in hexadecimal, as Envoy's `sha256` field wants it.
    pub sha256: String,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let (toolchain, _) = wasm::ensure().context("no compiler for wasm")?;
    let module = release(&toolchain)?;
    if !page::build()? {
        eprintln!("npm is not there: dashboard/dist stays as it is");
    }
    if args.json {
        println!("{}", serde_json::to_string(&module).context("cannot print JSON")?);
    } else {
        println!("{}  {} bytes  sha256 {}", module.path.display(), module.bytes, module.sha256);
    }
    Ok(Verdict::Good)
}

/// Builds the plugin and puts it at [`paths::wasm`].
pub fn release(toolchain: &Toolchain) -> Result<Module> {
    process::run_ok("building the plugin", &mut command(toolchain, "larder-plugin"))?;
    collect(toolchain)
}

/// Builds the same plugin with the names of its functions in it, for profiles, and says where it is.
pub fn named(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--locked", "--package", "larder-plugin", "--profile", NAMED]).args(toolchain.flags());
    process::run_ok("building the plugin with names", &mut cargo)?;
    Ok(toolchain.target().join(wasm::TARGET).join(NAMED).join("larder_plugin.wasm"))
}

const NAMED: &str = "profiled-wasm";

/// The compilation of a module's package, for callers that want cargo's messages elsewhere; [`collect`] comes next.
pub fn command(toolchain: &Toolchain, package: &str) -> Command {
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--locked", "--package", package, "--profile", "release-wasm"]).args(toolchain.flags());
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", remapped());
    cargo
}

/// Checks the module that cargo built and puts it at [`paths::wasm`].
pub fn collect(toolchain: &Toolchain) -> Result<Module> {
    let built = output(toolchain, "larder_plugin");
    let bytes = fs::read(&built).with_context(|| format!("cargo wrote no {}", built.display()))?;
    check(&bytes)?;
    let path = paths::wasm();
    write_whole(&path, &bytes)?;
    let sha256 = digest(&bytes);
    Ok(Module { path, bytes: bytes.len(), sha256 })
}

/// Builds the plugin with its feature `trap` (a crash on demand, for `cargo xtask chaos`) and says where it is. In a target folder of its
/// own, so that no build takes its output for the module that is shipped.
pub fn trapping(toolchain: &Toolchain) -> Result<PathBuf> {
    let folder = toolchain.target().join("trap");
    let mut cargo = command(toolchain, "larder-plugin");
    cargo.args(["--features", "trap", "--target-dir"]).arg(&folder);
    process::run_ok("building the plugin with a trap", &mut cargo)?;
    let built = folder.join(wasm::TARGET).join("release-wasm/larder_plugin.wasm");
    let bytes = fs::read(&built).with_context(|| format!("cargo wrote no {}", built.display()))?;
    ensure!(has_trap(&module::read(&bytes)?), "the module that was built with the feature trap has none");
    let path = paths::target().join("larder-trap.wasm");
    write_whole(&path, &bytes)?;
    Ok(path)
}

/// What plugin/src/trap.rs exports.
const TRAP: &str = "larder_has_a_trap";

fn has_trap(names: &module::Names) -> bool {
    names.exports.iter().any(|name| name == TRAP)
}

/// The SHA-256 of bytes in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where cargo puts the module of a crate.
pub fn output(toolchain: &Toolchain, crate_name: &str) -> PathBuf {
    toolchain.target().join(wasm::TARGET).join("release-wasm").join(crate_name).with_extension("wasm")
}

/// Panic messages name source files. Without the folders of this machine in them, two machines make the same bytes.
/// (`wasm-opt -O3` after this would be the place for more speed; it has to prove itself in `bench l1` first.)
pub fn remapped() -> String {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let registry = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).map(|home| home.join("registry/src"));
    let root = Some(paths::root());
    let remap =
        |from: Option<PathBuf>, to: &str| from.map(|from| format!("--remap-path-prefix={}={to}", from.display()));
    [remap(registry, "crates"), remap(root, "larder")].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Secrets come by the VM's environment.
const ENVIRONMENT: [&str; 2] = ["wasi_snapshot_preview1.environ_get", "wasi_snapshot_preview1.environ_sizes_get"];

fn check(bytes: &[u8]) -> Result<()> {
    let module = module::read(bytes).context("cargo built something that is not a wasm module")?;
    let is_known = |name: &str| name.starts_with("env.proxy_") || ENVIRONMENT.contains(&name);
    let strange: Vec<&str> = module.imports.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
    if !strange.is_empty() {
        bail!(
            "the module imports what Envoy does not offer to a plugin: {}. A dependency asks for a clock, randomness or files",
            strange.join(", ")
        );
    }
    ensure!(!has_trap(&module), "the module was built with the feature trap, which is for tests only");
    if !module.exports.iter().any(|name| name.starts_with("proxy_abi_version_0_2_")) {
        bail!("the module exports no proxy_abi_version_0_2_*: it is not a proxy-wasm plugin");
    }
    Ok(())
}

/// Whoever reads the file sees the old module or the new one, never a part.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension(format!("wasm.partial-{}", std::process::id()));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}
