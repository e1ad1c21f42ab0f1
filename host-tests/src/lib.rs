//! Running Larder's module: [`host`] is a proxy-wasm host on wasmtime that behaves like Envoy, [`envoy`] starts the real one,
//! [`cluster`] a real node beside the former, [`sim`] a whole world of them on one clock.
//!
//! Holds nothing of the cache itself; the module under test comes as bytes.

pub mod cluster;
pub mod envoy;
pub mod host;
pub mod scenario;
pub mod sim;
