//! The core by itself under callgrind: instructions of a request, which a busy machine does not change, and the functions that have them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{cargo, paths, process};

const WAYS: [&str; 4] = ["hit", "not-modified", "miss", "pass"];
/// What starts and ends costs the same for both: the difference is the requests'.
const FEW: u64 = 1000;
const MANY: u64 = 3000;
const WITHIN: Duration = Duration::from_secs(300);

/// Prints instructions for each way of requests, then the functions of each.
pub fn run(folder: &Path, top: usize) -> Result<()> {
    let mut build = cargo::cargo();
    build.args(["build", "--locked", "--release", "--package", "larder-core", "--example", "work"]);
    process::run_ok("building the core's example", &mut build)?;
    let work = paths::target().join("release/examples/work");
    let mut functions = String::new();
    for way in WAYS {
        let few = count(&work, way, FEW, folder)?;
        let many = count(&work, way, MANY, folder)?;
        println!("{way:<14}{:>8} instructions a request", many.saturating_sub(few) / (MANY - FEW));
        functions += &format!("\n{way}\n{}", annotated(way, folder, top)?);
    }
    print!("{functions}");
    Ok(())
}

fn count(work: &Path, way: &str, count: u64, folder: &Path) -> Result<u64> {
    let log = folder.join("callgrind.log");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", data(way, folder)));
    command.arg(work).args([way, &count.to_string()]);
    let (status, _) = process::capture_within(&mut command, &log, WITHIN)?;
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(status.success(), "callgrind failed ({status}). {}", process::tail(&log));
    collected(&said).with_context(|| format!("callgrind says something else than expected: {said}"))
}

fn data(way: &str, folder: &Path) -> String {
    folder.join(format!("{way}.callgrind")).display().to_string()
}

/// `==1== Collected : 123`
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// Functions by themselves, as `callgrind_annotate` has them.
fn annotated(way: &str, folder: &Path, top: usize) -> Result<String> {
    let mut command = Command::new("callgrind_annotate");
    let text = process::stdout(command.args(["--threshold=100", "--show-percs=yes", &data(way, folder)]))?;
    let lines = text.lines().filter(|line| line.contains("%)") && !line.contains("PROGRAM TOTALS"));
    Ok(lines.take(top).map(|line| format!("{}\n", shortened(line))).collect())
}

/// Without the file of the program, which is the same on each line.
fn shortened(line: &str) -> String {
    let line = line.split(" [").next().unwrap_or(line).replace("???:", "");
    line.chars().take(150).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_callgrind_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 1234\n"), Some(1234));
        assert_eq!(collected("==7== \n"), None);
    }

    #[test]
    fn lines_are_shortened() {
        assert_eq!(shortened(" 12 ( 1.00%)  ???:malloc [/x/y]"), " 12 ( 1.00%)  malloc");
    }
}
