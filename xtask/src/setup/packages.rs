//! Debian packages that tests, demo and benches need. The table below is the whole list; what each is for stands beside it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use super::Report;
use crate::{paths, process};

/// A thing to have, how to tell that it is there, and the Debian package that brings it.
struct Need {
    what: &'static str,
    package: &'static str,
    present: fn() -> bool,
}

const NEEDS: &[Need] = &[
    // SQLite for the shop API, the wall clock of the Envoys under test, and the linker.
    Need { what: "C compiler", package: "gcc", present: || program("cc") },
    // libFuzzer.
    Need { what: "C++ compiler", package: "g++", present: || program("c++") },
    Need { what: "C library headers", package: "libc6-dev", present: || Path::new("/usr/include/stdio.h").exists() },
    // Envoy's wheel.
    Need { what: "pip", package: "python3-pip", present: has_pip },
    // Core's tests in wasm.
    Need { what: "Node", package: "nodejs", present: || program("node") || program("nodejs") },
    // The public cache test suite, and the dashboard, which is tested in a real browser.
    Need { what: "npm", package: "npm", present: || program("npm") },
    Need { what: "Chromium", package: "chromium", present: || program("chromium") },
    // The node's stores and its purge log, in tests. (Debian may start these as services; that is not needed.)
    Need { what: "memcached", package: "memcached", present: || program("memcached") },
    Need { what: "Redis", package: "redis-server", present: || program("redis-server") && program("redis-cli") },
    // Purges when a database changes, in tests, which run a server of their own.
    Need { what: "PostgreSQL", package: "postgresql", present: has_postgres },
    // What guides in docs/ ask with.
    Need { what: "curl", package: "curl", present: || program("curl") },
    // What is under deploy/, and packages.
    Need { what: "promtool", package: "prometheus", present: || program("promtool") },
    Need { what: "systemd-analyze", package: "systemd", present: || program("systemd-analyze") },
    Need { what: "skopeo", package: "skopeo", present: || program("skopeo") },
    Need { what: "strip", package: "binutils", present: || program("strip") },
    // Benches: the servers Envoy is compared with, and the load.
    Need { what: "nginx", package: "nginx-light", present: || program("nginx") },
    // (Debian starts a Varnish of its own; that is not needed.)
    Need { what: "Varnish", package: "varnish", present: || program("varnishd") },
    Need { what: "wrk", package: "wrk", present: || program("wrk") },
];

fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/initdb").exists())
}

/// Sees to it that all packages are there.
pub fn ensure() -> Result<Report> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(Report::found(NEEDS.iter().map(|need| need.what).collect::<Vec<_>>().join(", ")));
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&names)?;
    for need in missing {
        if !(need.present)() {
            bail!("{} is not there although the package {} is installed", need.what, need.package);
        }
    }
    let mut detail = names.join(" ");
    if Path::new("/run/systemd/system").exists() {
        for (package, unit) in [("nginx-light", "nginx"), ("prometheus", "prometheus"), ("varnish", "varnish")] {
            if names.contains(&package) {
                detail += &format!(" (Debian starts {unit}; we do not need that: sudo systemctl disable --now {unit})");
            }
        }
    }
    Ok(Report::installed(detail))
}

/// Sees to it that a program is there that only profiles need.
pub fn ensure_tool(name: &str, package: &str) -> Result<()> {
    if program(name) { Ok(()) } else { install(&[package]) }
}

/// Installs Debian packages, with one `apt-get update` if it does not work without.
pub fn install(names: &[&str]) -> Result<()> {
    let typed = format!("apt-get install -y {}", names.join(" "));
    if !program("apt-get") {
        bail!("this machine has no apt-get; install what Debian calls {}", names.join(", "));
    }
    let Some(administrator) = administrator() else {
        bail!("run this command, then again: sudo {typed}");
    };
    super::progress(&typed);
    let log = paths::scratch("apt.log");
    let apt_get = |words: &[&str]| -> Result<bool> {
        let mut command = administrator.command("apt-get");
        let (status, _) = process::capture(command.args(words), &log)?;
        Ok(status.success())
    };
    // Another apt may be at work: wait for it.
    let install = [&["install", "-y", "-o", "DPkg::Lock::Timeout=300"], names].concat();
    if apt_get(&install)? || (apt_get(&["update"])? && apt_get(&install)?) {
        return Ok(());
    }
    bail!("{typed} failed. {}", process::tail(&log))
}

/// Who may install packages here.
enum Administrator {
    Us,
    Sudo,
}

fn administrator() -> Option<Administrator> {
    if geteuid().is_root() {
        return Some(Administrator::Us);
    }
    let sudo = program("sudo") && process::stdout(Command::new("sudo").args(["-n", "true"])).is_ok();
    sudo.then_some(Administrator::Sudo)
}

impl Administrator {
    fn command(&self, name: &str) -> Command {
        let mut command = match self {
            Self::Us => Command::new("env"),
            Self::Sudo => Command::new("sudo"),
        };
        if matches!(self, Self::Sudo) {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", name]);
        command
    }
}

fn program(name: &str) -> bool {
    paths::find_program(name).is_some()
}

fn has_pip() -> bool {
    process::stdout(Command::new("python3").args(["-m", "pip", "--version"])).is_ok()
}
