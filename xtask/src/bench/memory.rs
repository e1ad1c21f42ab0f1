//! What 100,000 objects of 1 KB take in each store: of memory in the node, and in the store's own server where it has one.
//! The node's example `stores` fills the store and says how much it has grown itself; servers are looked at from outside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::row::{Metric, Row};
use super::stats::Summary;
use crate::process::{self, Service};
use crate::usage::resident;
use crate::{cargo, paths, ports};

const OBJECTS: u64 = 100_000;
const BYTES: &str = "1024";
const READY_WITHIN: Duration = Duration::from_secs(20);
const MIB: f64 = (1 << 20) as f64;

/// Fills each store in turn.
pub fn measure(bench: &'static str, folder: &Path) -> Result<Vec<Row>> {
    let row = |case, subject, bytes: u64| {
        let figure = bytes as f64 / MIB;
        let summary = Summary { median: figure, min: figure, max: figure };
        Row::single(bench, case, subject, Metric::MemoryPer100kObjects, &summary, None)
    };
    let disk = folder.join("store");
    let mut rows = vec![
        row("store memory:", "node", fill("memory:", folder)?),
        row("store disk:", "node", fill(&format!("disk:{}", disk.display()), folder)?),
    ];
    let redis = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"];
    let memcached = ["-u", "nobody", "-l", "127.0.0.1", "-m", "1024", "-p"];
    for (case, scheme, program, words) in [
        ("store redis:", "redis", "redis-server", &redis[..]),
        ("store memcached:", "memcached", "memcached", &memcached[..]),
    ] {
        let binary = paths::find_program(program)
            .with_context(|| format!("{program} is missing: cargo xtask setup --only packages"))?;
        let port = ports::free()?;
        let mut command = Command::new(binary);
        command.args(words).arg(port.to_string()).current_dir(folder);
        let mut server = Service::spawn(program, &mut command, &folder.join(format!("{program}.log")))?;
        server.wait_for_port(port, READY_WITHIN)?;
        let before = resident(server.pid())?;
        rows.push(row(case, "node", fill(&format!("{scheme}://127.0.0.1:{port}"), folder)?));
        rows.push(row(case, program, resident(server.pid())?.saturating_sub(before)));
    }
    Ok(rows)
}

/// Fills a store and returns by how much the process that did so has grown.
fn fill(url: &str, folder: &Path) -> Result<u64> {
    eprintln!("... {OBJECTS} objects in {url}");
    let mut command = cargo::cargo();
    command.args(["run", "--quiet", "--locked", "--release", "--package", "larder-node", "--example", "stores", "--"]);
    command.args([url, &OBJECTS.to_string(), BYTES]);
    let log = folder.join("stores.log");
    let (status, text) = process::capture(&mut command, &log)?;
    ensure!(status.success(), "the example stores failed ({status}) with {url}. {}", process::tail(&log));
    ensure!(!text.contains(" misses"), "{url} does not keep {OBJECTS} objects. {}", process::tail(&log));
    let each = bytes_an_object(&text).with_context(|| format!("the example stores prints something else: {text}"))?;
    Ok(each * OBJECTS)
}

/// `resident memory: 1234 bytes an object`
fn bytes_an_object(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.trim().strip_prefix("resident memory: "))?;
    rest.split_once(" bytes an object")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_example_says() {
        let text = "memory:: 10 objects\n  put: 1.00 us\n  resident memory: 1371 bytes an object; Usage { }\n";
        assert_eq!(bytes_an_object(text), Some(1371));
        assert_eq!(bytes_an_object("  put: 1.00 us\n"), None);
    }
}
