//! Running Larder's module: [`host`] is a proxy-wasm host on wasmtime that behaves like Envoy, [`envoy`] starts the real one.
//!
//! Holds nothing of the cache itself; the module under test comes as bytes.

pub mod envoy;
pub mod host;
pub mod scenario;
