//! Statistics as JSON, and whether the node is ready.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::App;
use super::access::allow;
use super::problem::Problem;
use super::purge::hex;
use crate::shared::Shared;
use crate::tokens::Scope;
use crate::workers::Reported;

/// `GET /v1/stats`
pub(super) async fn stats(State(shared): State<App>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    Ok(Json(everything(&shared)))
}

fn everything(shared: &Shared) -> Value {
    let now = shared.clock.now();
    let store = shared.desk.kept_in();
    let usage = store.usage();
    let here = shared.following.here();
    let (held, waiting) = shared.desk.held_and_waiting();
    let Reported { counts, gauges, not_taken } = shared.workers.reported(now);
    let rows = |rows: Vec<(String, u64)>| rows.into_iter().map(|(name, sum)| (name, sum.into())).collect::<Map<_, _>>();
    let counted: Map<String, Value> = shared
        .counts
        .rows()
        .into_iter()
        .map(|row| {
            let numbers: Map<String, Value> =
                row.numbers.into_iter().map(|(label, number)| (label.to_owned(), number.into())).collect();
            (row.name.to_owned(), numbers.into())
        })
        .collect();
    json!({
        "name": shared.name,
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": now.0,
        "store": {
            "kind": store.kind(),
            "memory_bytes": usage.memory_bytes,
            "memory_bytes_max": usage.memory_bytes_max,
            "disk_bytes": usage.disk_bytes,
            "disk_bytes_max": usage.disk_bytes_max,
            "items": usage.items,
            "evictions": usage.evictions,
        },
        "log": { "kind": shared.following.log().kind(), "id": hex(here.log), "sequence": here.sequence.0 },
        "warms": shared.warming.is_some(),
        "leases": { "held": held, "waiting": waiting },
        "counts": counted,
        "workers": shared.workers.shown(now),
        "reported": { "counts": rows(counts), "gauges": rows(gauges), "not_taken": not_taken },
        "limits": shared.limits,
    })
}

/// `GET /ready`
pub(super) async fn ready(State(shared): State<App>) -> Result<&'static str, Problem> {
    match shared.is_ready().await {
        Ok(()) => Ok("ready\n"),
        Err(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)),
    }
}
