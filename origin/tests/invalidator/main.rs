//! The invalidation client against real nodes: order, outages, crashes, damage, refusals, limits, ends, delivery.

mod damage;
mod delivery;
mod ends;
mod front;
mod killed;
mod limits;
#[cfg(feature = "metrics")]
mod measured;
mod order;
mod outage;
mod refusals;
#[path = "../nodes/mod.rs"]
mod support;
#[cfg(feature = "invalidator-tls")]
mod tls;
