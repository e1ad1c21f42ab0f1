//! Larder as a proxy-wasm module.
