//! `cargo xtask bench`: one file a bench. Uses `process::Service` for the servers, `setup::envoy` for the binary, `build` for the module.
