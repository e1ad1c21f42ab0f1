//! A simulated world around the real module: Envoys with their workers, nodes of the cluster, an origin whose content changes, clients,
//! a purger, and everything that goes wrong between them. One clock, one seed.
//!
//! ```text
//! seed -> Options, Plan -> World::run -> Report: what was seen, and the first thing that no cache may do
//! ```
//! The module is the one that Envoy loads, in the wasmtime host; the nodes are larder-node's. Only clients, origin and wires are
//! simulated. `oracles/` say what must never be seen; they know the RFCs and the promises of ARCHITECTURE.md, not core's functions.
//!
//! Map: `options`, `plan`, `stories` (what a seed draws), `catalog`, `origin` (what is cached), `nodes`, `fleet` (who caches), `world` (the loop, with
//! `wires`, `rerouted`, `upstream` and `clients`), `books` (what oracles may know), `shrink` (the smallest plan that still fails), `export` (a plan as a scenario).

mod books;
mod catalog;
mod clients;
mod dice;
mod export;
mod fleet;
mod nodes;
mod options;
mod oracles;
mod origin;
mod plan;
mod rerouted;
mod shrink;
mod stories;
mod upstream;
mod wires;
mod world;

pub use export::scenario;
pub use options::Options;
pub use plan::{Plan, Step};
pub use shrink::shrink;
pub use world::{Report, Violation, run};
