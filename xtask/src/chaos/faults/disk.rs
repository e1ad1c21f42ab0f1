//! A disk without room for a byte more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::chaos::span::Span;
use crate::chaos::stage::Stage;
use crate::http::{self, Request};

/// Tags that nothing has: some hundred KB in the log, more than what a file system has left in its last page.
const TAGS: u32 = 4000;
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Fills the disk under the node's store, its purge log and its policies; after a while there is room again. A purge that does not fit must
/// be refused, and not acknowledged.
pub fn full(stage: &mut Stage, span: &mut Span) -> Result<()> {
    let disk = stage.disk.as_ref().context("there is no disk that could be full")?;
    let node = stage.nodes.first().context("there is no node")?;
    let pid = node.pid().context("the node does not run")?;
    span.begin();
    let bytes = disk.fill(pid)?;
    let tags: Vec<String> = (0..TAGS).map(|number| format!("nothing-has-this-tag-{number:08}")).collect();
    let body = serde_json::json!({ "tags": tags }).to_string().into_bytes();
    let large = Request { method: "POST", body, ..Request::get("/v1/purge") };
    let large =
        large.field("content-type", "application/json").field("authorization", format!("Bearer {}", stage.token));
    let refused = http::send_to(node.admin, &large, ANSWERED_WITHIN)?;
    span.hold();
    disk.free(pid)?;
    span.end();
    span.note(format!("{:.1} MB were left", bytes as f64 / 1e6));
    span.note(format!("a purge that does not fit was answered by {}: {}", refused.status, refused.text().trim()));
    ensure!(refused.status >= 500, "a purge that does not fit is answered by {}: {}", refused.status, refused.text());
    let taken = http::send_to(node.admin, &large, ANSWERED_WITHIN)?;
    ensure!(taken.status == 200, "with room again, a purge is answered by {}: {}", taken.status, taken.text());
    Ok(())
}
