//! New settings under load: by Envoy's configuration, and by the cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::content;
use crate::chaos::span::Span;
use crate::chaos::stage::Stage;
use crate::process;

const EVERY: Duration = Duration::from_millis(500);
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(10);
const LIFETIMES: [&str; 2] = ["50m", "1h"];

/// Replaces the file that Envoy watches, twice a second, with another policy each time.
pub fn ecds(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let module = stage.module.clone();
    let taken_up = |stage: &Stage| stage.larders().map(|edge| edge.taken_up()).collect::<Result<Vec<u64>>>();
    let before = taken_up(stage)?;
    span.begin();
    let until = Instant::now() + span.each();
    let mut count = 0;
    while Instant::now() < until {
        for edge in stage.larders() {
            edge.configure(&module, &content::policy(LIFETIMES[count % LIFETIMES.len()]))?;
        }
        count += 1;
        thread::sleep(EVERY);
    }
    span.end();
    let after = taken_up(stage)?;
    let taken: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    span.note(format!("{count} configurations, {taken:?} taken up"));
    ensure!(taken.iter().all(|taken| *taken > 0), "the Envoys took up none of {count} configurations");
    Ok(())
}

/// Pushes one policy after the other and rolls the last one back; each push waits until all workers have it.
pub fn push(stage: &mut Stage, span: &mut Span) -> Result<()> {
    span.begin();
    let until = Instant::now() + span.each();
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let begun = Instant::now();
        let file = write(&stage.folder, LIFETIMES[count % LIFETIMES.len()])?;
        larder(stage, &["policy", "push", &file.display().to_string()])?;
        slowest = slowest.max(begun.elapsed());
        count += 1;
        thread::sleep(EVERY.saturating_sub(begun.elapsed()));
    }
    larder(stage, &["policy", "rollback", "chaos"])?;
    span.end();
    span.note(format!("{count} pushes and a rollback; the slowest was everywhere after {} ms", slowest.as_millis()));
    Ok(())
}

/// Pushes one policy, as `push` does.
pub fn push_once(stage: &Stage, ttl: &str) -> Result<()> {
    let file = write(&stage.folder, ttl)?;
    larder(stage, &["policy", "push", &file.display().to_string()])
}

fn write(folder: &Path, ttl: &str) -> Result<PathBuf> {
    let file = folder.join("pushed.json");
    fs::write(&file, content::policy(ttl)).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Runs the `larder` command against the nodes.
fn larder(stage: &Stage, words: &[&str]) -> Result<()> {
    let node = stage.nodes.first().context("there is no node")?;
    let mut command = Command::new(&stage.parts.larder);
    command.args(words).env("LARDER_NODE", format!("http://{}", node.admin)).env("LARDER_TOKEN", &stage.token);
    let (status, text) = process::capture_within(&mut command, &stage.folder.join("larder.log"), TAKEN_UP_WITHIN)?;
    ensure!(status.success(), "larder {}: {text}", words.join(" "));
    Ok(())
}
