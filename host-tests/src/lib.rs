//! Running Larder's module: [`host`] is a proxy-wasm host on wasmtime that behaves like Envoy, `envoy` starts the real one,
//! `cluster` a real node beside the former, `sim` a whole world of them on one clock. Without the feature `surroundings` there are only the host and scenarios in it: that is
//! what `larder test` runs policies' test cases with.
//!
//! Holds nothing of the cache itself; the module under test comes as bytes.

#[cfg(feature = "surroundings")]
pub mod cluster;
#[cfg(feature = "surroundings")]
pub mod envoy;
pub mod host;
pub mod scenario;
#[cfg(feature = "surroundings")]
pub mod sim;
