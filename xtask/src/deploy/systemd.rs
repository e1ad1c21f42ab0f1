//! The systemd units: systemd-analyze understands them, and finds them hardened.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Checks, file, yaml};
use crate::{paths, process};

/// systemd-analyze's own measure of exposure, from 0 to 100; without any hardening it is above 90.
const EXPOSURE_MAX: &str = "20";

pub fn check(checks: &mut Checks) {
    let Some(analyze) =
        paths::find_program("systemd-analyze").and_then(|path| path.into_os_string().into_string().ok())
    else {
        return checks
            .add("systemd", Err(anyhow::anyhow!("systemd-analyze is missing: cargo xtask setup --only packages")));
    };
    checks.add("systemd: the units", units(&analyze));
}

fn units(analyze: &str) -> Result<()> {
    for unit in yaml::files(&file("systemd"), "service")? {
        let name = unit.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&unit).with_context(|| format!("cannot read {name}"))?;
        // The binary need not be installed here; any other that is does.
        let copy = paths::scratch("deploy").join(&name);
        fs::write(&copy, text.replace("/usr/bin/larder", "/bin/true"))
            .with_context(|| format!("cannot write {}", copy.display()))?;
        let run = |words: &[&str]| -> Result<()> {
            let log = paths::scratch("deploy").join("systemd.log");
            let (status, text) = process::capture(Command::new(analyze).args(words).arg(&copy), &log)?;
            ensure!(status.success(), "{name}: {}", text.trim());
            Ok(())
        };
        run(&["verify", "--man=no"])?;
        run(&["security", "--no-pager", "--offline=yes", "--threshold", EXPOSURE_MAX])?;
    }
    Ok(())
}
