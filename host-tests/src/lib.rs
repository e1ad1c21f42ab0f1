//! A proxy-wasm host on wasmtime for testing policies and the plugin.
