//! Pure decisions, a file per RFC section. No state, no clock; each is table-tested.

pub mod admit;
pub mod age;
pub mod ahead;
pub mod client;
pub mod conditional;
pub mod disguise;
pub mod freshen;
pub mod freshness;
pub mod head;
pub mod identity;
pub mod invalidation;
pub mod lifetime;
pub mod preconditions;
pub mod range;
pub mod reuse;
pub mod store;
pub mod unkeyed;
pub mod vary;
