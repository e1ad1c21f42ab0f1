//! `cargo xtask package`: what people install. Says what there is to make and in which order; `binary` brings the command, `tree` holds
//! files on their way into archives, `oci` and `images` make images, `deb` the Debian package, `sbom` the bills of materials, `verify` asks the
//! tools of those who will read them.
//!
//! The same sources give the same bytes: times are those of the last commit (or `SOURCE_DATE_EPOCH`), owners and orders are ours, and
//! nothing of this machine's folders is in what is made.

mod binary;
mod deb;
mod images;
mod oci;
mod sbom;
mod tree;
mod verify;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::build::digest;
use crate::setup::{schemas, wasm};
use crate::{Verdict, build, paths, process};

/// Make what people install: images of module and node, a Debian package, checksums, bills of materials
///
/// Writes to target/package: larder.wasm; the OCI image layouts larder-wasm (for Istio and Envoy Gateway), larder-wasm-artifact (the
/// same as an artifact of two layers) and larder-node; larder_VERSION_ARCH.deb; a CycloneDX file for the command and one for the module;
/// SHA256SUMS. All of it is checked by the tools that will read it (skopeo, dpkg, CycloneDX's schema), the command is run from
/// where it would be installed, and --twice compares two runs byte by byte.
///
/// Copy an image to a registry with: skopeo copy oci:target/package/larder-node:VERSION docker://REGISTRY/larder/node:VERSION
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Make these only
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Where to
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// How the command is compiled: release is static and takes some minutes, dev is what the tests have compiled anyway
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Take this command instead of compiling one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Take this module instead of compiling one
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Certificates of those whom the node trusts (for rediss:// and https://), as PEM, to be in its image
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Make everything twice, and fail where the two differ
    #[arg(long)]
    twice: bool,
    /// Print what was made as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A thing to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The module, as a file and as images
    Wasm,
    /// The node's image
    Node,
    /// The Debian package
    Deb,
    /// Bills of materials
    Sbom,
}

/// How the command is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Optimised, with everything in one file
    Release,
    /// Quick to make: for tests of the packages themselves
    Dev,
}

/// Everything that goes into packages.
struct Inputs {
    version: String,
    /// Seconds since 1970 that stand for "now".
    epoch: u64,
    binary: Option<binary::Binary>,
    module: Option<Vec<u8>>,
    ca_bundle: Option<Vec<u8>>,
    profile: Profile,
}

/// Something that was made.
#[derive(Debug, Serialize)]
struct Made {
    path: PathBuf,
    what: &'static str,
    /// Of a file, or of an image's manifest.
    digest: String,
    bytes: u64,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let parts = if args.only.is_empty() { Part::value_variants() } else { &args.only };
    let wants = |part: Part| parts.contains(&part);
    let inputs = Inputs {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: epoch()?,
        binary: (wants(Part::Node) || wants(Part::Deb))
            .then(|| binary::obtain(args.binary.as_deref(), args.profile))
            .transpose()?,
        module: (wants(Part::Wasm) || wants(Part::Deb)).then(|| module(args.wasm.as_deref())).transpose()?,
        ca_bundle: args.ca_bundle.as_deref().map(read).transpose()?,
        profile: args.profile,
    };
    let out = args.out.clone().unwrap_or_else(|| paths::target().join("package"));
    let out = std::path::absolute(&out).with_context(|| format!("no path to {}", out.display()))?;
    let made = make(&inputs, parts, &out)?;
    if args.twice {
        progress("the same once more, elsewhere, and comparing");
        let again = paths::scratch("package").join("twice");
        make(&inputs, parts, &again)?;
        same(&out, &again)?;
        fs::remove_dir_all(&again).with_context(|| format!("cannot remove {}", again.display()))?;
    }
    progress("having skopeo, dpkg and CycloneDX's schema read what was made");
    verify::all(&inputs, parts, &out, &schemas::ensure().context("no schemas")?.0)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&made).context("cannot print JSON")?);
    } else {
        for Made { path, what, digest, bytes } in &made {
            println!("{}  {bytes} bytes  {digest}  {what}", path.display());
        }
    }
    Ok(Verdict::Good)
}

/// Writes everything to an empty folder.
fn make(inputs: &Inputs, parts: &[Part], out: &Path) -> Result<Vec<Made>> {
    prepare(out)?;
    let mut made = Vec::new();
    for part in parts {
        match part {
            Part::Wasm => {
                progress("the module and its images");
                let module = inputs.module.as_deref().context("there is no module")?;
                let file = out.join("larder.wasm");
                write(&file, module)?;
                made.push(file_made(&file, "the module, for Envoy's own files")?);
                made.push(images::module(inputs, module, &out.join("larder-wasm"))?);
                made.push(images::artifact(inputs, module, &out.join("larder-wasm-artifact"))?);
            }
            Part::Node => {
                progress("the node's image");
                made.push(images::node(inputs, &out.join("larder-node"))?);
            }
            Part::Deb => {
                progress("the Debian package");
                made.push(file_made(&deb::make(inputs, out)?, "Debian package of command and module")?);
            }
            Part::Sbom => {
                progress("bills of materials");
                for file in sbom::make(inputs, out)? {
                    made.push(file_made(&file, "bill of materials (CycloneDX)")?);
                }
            }
        }
    }
    let sums = out.join("SHA256SUMS");
    write(&sums, sums_of(out)?.as_bytes())?;
    made.push(file_made(&sums, "check with: sha256sum -c SHA256SUMS")?);
    Ok(made)
}

/// Empties the folder, if it is one of ours.
fn prepare(out: &Path) -> Result<()> {
    if out.exists() {
        let empty = out.read_dir().with_context(|| format!("{} is no folder", out.display()))?.next().is_none();
        ensure!(
            empty || out.join("SHA256SUMS").exists() || out.starts_with(paths::target()),
            "{} has files that are not packages; name another folder with --out",
            out.display()
        );
        fs::remove_dir_all(out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))
}

fn epoch() -> Result<u64> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        let text = given.to_string_lossy().into_owned();
        return text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?} and not seconds since 1970"));
    }
    let text = process::stdout(Command::new("git").current_dir(paths::root()).args(["log", "-1", "--format=%ct"]))
        .context("without git's last commit set SOURCE_DATE_EPOCH to the time that packages are to have")?;
    text.trim().parse().with_context(|| format!("git says {text:?}"))
}

fn module(given: Option<&Path>) -> Result<Vec<u8>> {
    let path = match given {
        Some(file) => file.to_owned(),
        None => {
            progress("compiling the module");
            build::release(&wasm::ensure().context("no compiler for wasm")?.0)?.path
        }
    };
    let module = read(&path)?;
    ensure!(module.starts_with(b"\0asm"), "{} is no wasm module", path.display());
    Ok(module)
}

/// Every file below the folder with its digest, as `sha256sum` writes it.
fn sums_of(out: &Path) -> Result<String> {
    let mut sums = String::new();
    for file in files_below(out)? {
        let name = file.strip_prefix(out).unwrap_or(&file).display().to_string();
        sums += &format!("{}  {name}\n", digest(&read(&file)?));
    }
    Ok(sums)
}

/// All files below a folder, in the order of their paths.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn same(one: &Path, other: &Path) -> Result<()> {
    let sums = |folder: &Path| -> Result<String> {
        Ok(String::from_utf8_lossy(&read(&folder.join("SHA256SUMS"))?).into_owned())
    };
    let (first, second) = (sums(one)?, sums(other)?);
    let differ: Vec<&str> = first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    if first.lines().count() != second.lines().count() || !differ.is_empty() {
        bail!("two runs differ; in the first only:\n{}", differ.join("\n"));
    }
    Ok(())
}

fn file_made(path: &Path, what: &'static str) -> Result<Made> {
    let content = read(path)?;
    let digest = format!("sha256:{}", digest(&content));
    Ok(Made { path: path.to_owned(), what, digest, bytes: content.len() as u64 })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn progress(message: &str) {
    eprintln!("... {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = paths::scratch("unit").join(name);
        let _ = fs::remove_dir_all(&folder);
        for (file, content) in files {
            write(&folder.join(file), content.as_bytes()).unwrap();
        }
        folder
    }

    #[test]
    fn checksums_are_of_every_file_in_order() {
        let folder = folder("package-sums", &[("b", "x"), ("a/c", ""), ("a/b", "x")]);
        let sums = sums_of(&folder).unwrap();
        let names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(names, ["a/b", "a/c", "b"]);
        assert!(sums.contains("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a/c"), "{sums}");
    }

    #[test]
    fn folders_that_differ_are_told_apart() {
        let one = folder("package-one", &[("SHA256SUMS", "1  a\n2  b\n")]);
        let other = folder("package-other", &[("SHA256SUMS", "1  a\n3  b\n")]);
        assert!(same(&one, &one).is_ok());
        assert!(same(&one, &other).unwrap_err().to_string().ends_with("2  b"));
    }

    #[test]
    fn a_folder_of_something_else_is_not_emptied() {
        let outside = env::temp_dir().join(format!("larder-package-{}", std::process::id()));
        write(&outside.join("precious"), b"x").unwrap();
        let error = prepare(&outside).unwrap_err().to_string();
        assert!(error.contains("--out") && outside.join("precious").exists(), "{error}");
        fs::remove_dir_all(outside).unwrap();
    }
}
