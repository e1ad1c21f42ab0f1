//! Nodes that die, and nodes that say nothing.

use anyhow::{Context, Result};

use crate::chaos::span::Span;
use crate::chaos::stage::{Member, Stage};

/// SIGKILL; after a while another one at the same place.
pub fn kill(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let member = first(stage)?;
    span.begin();
    member.node()?.service().kill();
    span.hold();
    let took = member.start_again()?;
    span.end();
    span.note(format!("started again in {} ms", took.as_millis()));
    Ok(())
}

/// SIGSTOP; after a while SIGCONT.
pub fn halt(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let service = first(stage)?.node()?.service();
    span.begin();
    service.halt();
    span.hold();
    service.go_on();
    span.end();
    Ok(())
}

fn first(stage: &mut Stage) -> Result<&mut Member> {
    stage.nodes.first_mut().context("there is no node")
}
