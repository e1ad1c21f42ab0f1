//! `cargo xtask demo`: the tour. Uses `process::Service` for the servers, `setup::envoy` for the binary, `build` for the module.
