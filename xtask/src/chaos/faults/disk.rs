//! A disk without room for a byte more.

use anyhow::{Context, Result};

use crate::chaos::span::Span;
use crate::chaos::stage::Stage;

/// Fills the disk under the node's store, its purge log and its policies; after a while there is room again.
pub fn full(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let disk = stage.disk.as_ref().context("there is no disk that could be full")?;
    let pid = stage.nodes.first().and_then(|node| node.pid()).context("there is no node")?;
    span.begin();
    let bytes = disk.fill(pid)?;
    span.hold();
    disk.free(pid)?;
    span.end();
    span.note(format!("{:.1} MB were left", bytes as f64 / 1e6));
    Ok(())
}
