//! Redis masters that die, and masters that say nothing: the one that has the purge log.

use anyhow::{Context, Result};

use crate::chaos::span::Span;
use crate::chaos::stage::Stage;

/// SIGKILL: its replica takes over. After a while it is started again and becomes a replica.
pub fn kill(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let redis = stage.redis.as_mut().context("there is no Redis")?;
    let (index, master) = redis.log_master()?;
    span.begin();
    master.kill();
    span.hold();
    redis.start_again(index)?;
    span.end();
    redis.await_whole()
}

/// SIGSTOP: its replica takes over. After a while it goes on, and thinks for a moment that it still is the master.
pub fn halt(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let redis = stage.redis.as_mut().context("there is no Redis")?;
    let (index, master) = redis.log_master()?;
    span.begin();
    master.halt();
    span.hold();
    redis.server(index)?.go_on();
    span.end();
    redis.await_whole()
}
