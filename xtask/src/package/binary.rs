//! The command, as packages carry it: without symbols, and with what it needs of the system, which is nothing where it was linked
//! statically.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Profile, progress, read};
use crate::build::remapped;
use crate::cargo::{NATIVE, cargo};
use crate::{paths, process};

/// The command.
pub struct Binary {
    /// The file, ready to be packed.
    pub content: Vec<u8>,
    /// Where it can be run.
    pub path: PathBuf,
    /// Shared libraries that it loads, the loader among them, by their paths; none where it is static.
    pub libraries: Vec<PathBuf>,
}

/// Compiles the command, or takes the one given, and strips it.
pub fn obtain(given: Option<&Path>, profile: Profile) -> Result<Binary> {
    let built = match (given, profile) {
        (Some(file), _) => file.to_owned(),
        (None, Profile::Release) => release()?,
        (None, Profile::Dev) => dev()?,
    };
    let path = paths::scratch("package").join("larder");
    fs::create_dir_all(paths::scratch("package")).context("cannot create a folder")?;
    let mut strip = Command::new("strip");
    process::run_ok("stripping the command", strip.arg("-o").arg(&path).arg(&built))?;
    let libraries = libraries(&path)?;
    Ok(Binary { content: read(&path)?, path, libraries })
}

/// This machine's target.
pub fn target() -> Result<String> {
    let text = process::stdout(Command::new("rustc").current_dir(paths::root()).arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}

/// Static, by naming the target: flags are then for the command only and not for what compiles it.
fn release() -> Result<PathBuf> {
    progress("compiling the command; the first time takes some minutes");
    let target = target()?;
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut command = cargo();
    command.args(["build", "--locked", "--release", "--package", "larder", "--target", &target]);
    command.env(variable, format!("-C target-feature=+crt-static {}", remapped()));
    process::run_ok("compiling the command", &mut command)?;
    Ok(paths::target().join(target).join("release/larder"))
}

/// What tests use, with the packages and features that they are compiled with.
fn dev() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    progress("compiling the command as tests do");
    let mut command = cargo();
    command.arg("build").args(NATIVE).args(["--bin", "larder", "--message-format", "json"]);
    let messages = process::stdout(&mut command)?;
    let mut made = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    made.next_back().context("cargo made no command")
}

/// What `ldd` says the file loads.
fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(file).output().context("ldd is missing")?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if said.contains("statically linked") || errors.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    ensure!(output.status.success(), "ldd {}: {}", file.display(), errors.trim());
    parse_ldd(&said)
}

fn parse_ldd(said: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in said.lines().map(str::trim) {
        let (name, found) = line.split_once(" => ").unwrap_or((line, line));
        if found.starts_with("not found") {
            bail!("the command needs {name}, which is not here");
        }
        let path = found.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let said =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let expected = ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse_ldd(said).unwrap(), expected);
        assert!(parse_ldd("\tlibx.so => not found\n").unwrap_err().to_string().contains("libx.so"));
    }
}
