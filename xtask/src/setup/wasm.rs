//! Which compiler makes wasm32-unknown-unknown here. Says what a build has to pass to cargo; builds nothing itself.
//!
//! Three ways, the first that works: the target is installed with the compiler in use; rustup adds it; Debian's web
//! toolchain (which ships the standard library's source) builds the standard library along. The last one is for machines that
//! reach Debian but not rustup's server. `LARDER_WASM_TOOLCHAIN=rustup` or `=debian` takes that one without looking.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Report, packages};
use crate::{cargo, paths, process};

/// The one target the plugin is built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];
const RUSTUP_WITHIN: Duration = Duration::from_secs(180);

/// A compiler for [`TARGET`].
#[derive(Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that runs us has the target's standard library.
    Own,
    /// Debian's `/usr/bin/cargo` builds the standard library from source.
    Debian {
        /// A linker for wasm: Debian's own `rust-lld` may be a dangling link.
        linker: PathBuf,
    },
}

/// Sees to it that there is a compiler, and says which.
pub fn ensure() -> Result<(Toolchain, Report)> {
    let forced = env::var("LARDER_WASM_TOOLCHAIN").ok().filter(|value| !value.is_empty());
    match forced.as_deref() {
        None => own().or_else(|first| {
            let detail = format!("{first:#}");
            super::progress(&format!("{detail}: trying Debian's"));
            debian().with_context(|| format!("{detail}, and Debian's toolchain does not work either"))
        }),
        Some("rustup") => own(),
        Some("debian") => debian(),
        Some(other) => bail!("LARDER_WASM_TOOLCHAIN={other}: must be rustup or debian, or not set"),
    }
}

impl Toolchain {
    /// `cargo` of this toolchain in the workspace's root, with all the variables it needs and its own target folder.
    /// A subcommand follows, with [`Self::flags`] among its arguments.
    pub fn cargo(&self) -> Command {
        match self {
            Self::Own => cargo::cargo(),
            Self::Debian { linker } => {
                let mut command = Command::new("/usr/bin/cargo");
                cargo::clean(&mut command);
                let path = env::var_os("PATH").unwrap_or_default();
                let path = env::join_paths(std::iter::once(PathBuf::from("/usr/bin")).chain(env::split_paths(&path)));
                command
                    .current_dir(paths::root())
                    .env("PATH", path.unwrap_or_else(|_| "/usr/bin:/bin".into()))
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env("CARGO_TARGET_DIR", self.target())
                    .env_remove("CARGO")
                    .env_remove("RUSTC")
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        }
    }

    /// The flags that a build for wasm with this toolchain needs.
    pub fn flags(&self) -> &'static [&'static str] {
        match self {
            Self::Own => &["--target", TARGET],
            Self::Debian { .. } => &["--target", TARGET, "-Zbuild-std=std,panic_abort"],
        }
    }

    /// The flags that `cargo test` for wasm needs: a test program links the crate `test`, too.
    pub fn test_flags(&self) -> &'static [&'static str] {
        match self {
            Self::Own => self.flags(),
            Self::Debian { .. } => &["--target", TARGET, "-Zbuild-std=std,panic_abort,test"],
        }
    }

    /// Where its output goes: two compilers must not share a folder, each would throw away the other's work.
    pub fn target(&self) -> PathBuf {
        match self {
            Self::Own => paths::target(),
            Self::Debian { .. } => paths::target().join("debian"),
        }
    }
}

fn own() -> Result<(Toolchain, Report)> {
    let version = process::stdout(rustc().arg("--version"))?;
    if has_target() {
        return Ok((Toolchain::Own, Report::found(format!("{TARGET} for {}", version.trim()))));
    }
    if paths::find_program("rustup").is_none() {
        bail!("{} has no {TARGET} and there is no rustup to add it", version.trim());
    }
    super::progress(&format!("rustup target add {TARGET}"));
    let log = paths::scratch("rustup.log");
    let mut add = Command::new("rustup");
    let (status, _) =
        process::capture_within(add.args(["target", "add", TARGET]).current_dir(paths::root()), &log, RUSTUP_WITHIN)?;
    if !status.success() || !has_target() {
        bail!("rustup cannot add {TARGET} (see {})", log.display());
    }
    Ok((Toolchain::Own, Report::installed(format!("{TARGET} by rustup, for {}", version.trim()))))
}

fn debian() -> Result<(Toolchain, Report)> {
    let complete = || {
        ["/usr/bin/cargo", "/usr/bin/rustc"].iter().all(|file| paths::is_executable(Path::new(file)))
            && Path::new("/usr/lib/rustlib/src/rust/library/std/src/lib.rs").exists()
    };
    let found = complete();
    if !found {
        packages::install(DEBIAN_PACKAGES)?;
        if !complete() {
            bail!("/usr/bin/rustc has no standard library source in /usr/lib/rustlib/src/rust");
        }
    }
    let linker = match linker() {
        Some(linker) => linker,
        None => {
            install_linker()?;
            linker().context("no linker for wasm: neither rustup's nor Debian's rust-lld is there")?
        }
    };
    let version = process::stdout(Command::new("/usr/bin/rustc").arg("--version"))?;
    let detail = format!("Debian's {}, standard library from source, linker {}", version.trim(), linker.display());
    let report = if found { Report::found(detail) } else { Report::installed(detail) };
    Ok((Toolchain::Debian { linker }, report))
}

/// rustup's `rust-lld` (part of every toolchain), else Debian's.
fn linker() -> Option<PathBuf> {
    let sysroot = process::stdout(rustc().args(["--print", "sysroot"])).ok()?;
    let version = process::stdout(rustc().args(["--version", "--verbose"])).ok()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let own = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    [own, PathBuf::from("/usr/bin/rust-lld")].into_iter().find(|file| paths::is_executable(file))
}

/// The package that `/usr/bin/rust-lld` points into: the link's target is called `lld-VERSION`, as its package is.
fn install_linker() -> Result<()> {
    let link = std::fs::read_link("/usr/bin/rust-lld").context("Debian's rust-web-llvm brought no rust-lld")?;
    let package = link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    packages::install(&[&package])
}

fn rustc() -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(paths::root());
    rustc
}

fn has_target() -> bool {
    let folder = process::stdout(rustc().args(["--print", "target-libdir", "--target", TARGET]));
    let Ok(entries) = folder.map_err(drop).and_then(|folder| Path::new(folder.trim()).read_dir().map_err(drop)) else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}
