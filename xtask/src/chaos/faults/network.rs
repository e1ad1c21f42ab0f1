//! A node that is there and cannot be reached: neither by Envoys nor by Redis.

use anyhow::{Context, Result};

use crate::chaos::span::Span;
use crate::chaos::stage::Stage;

/// Packets are dropped; after a while they pass again.
pub fn cut(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let net = stage.net.as_ref().context("there is no network that could be cut")?;
    span.begin();
    net.cut()?;
    span.hold();
    net.mend()?;
    span.end();
    Ok(())
}
