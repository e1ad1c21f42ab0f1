//! What the host's tests share: the probe plugin, built once, and short ways to say things.
//!
//! The probe comes from `$LARDER_PROBE_WASM`, else it is built here with cargo.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod pins;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use larder_host_tests::host::{Config, Host, Plugin, Request, StreamId};

/// The file of the probe plugin.
pub fn probe_file() -> PathBuf {
    if let Some(file) = std::env::var_os("LARDER_PROBE_WASM") {
        return file.into();
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("probe");
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--quiet", "--package", "larder-probe", "--target", "wasm32-unknown-unknown"]);
            cargo.arg("--target-dir").arg(&target).current_dir(env!("CARGO_MANIFEST_DIR"));
            let built = cargo.status().expect("cargo runs").success();
            assert!(
                built,
                "the probe plugin must build; `rustup target add wasm32-unknown-unknown` if the target is missing"
            );
            target.join("wasm32-unknown-unknown/debug/larder_probe.wasm")
        })
        .clone()
}

/// The probe plugin, compiled once for a test binary.
pub fn probe() -> Plugin {
    static COMPILED: OnceLock<Plugin> = OnceLock::new();
    COMPILED.get_or_init(|| Plugin::from_file(probe_file()).expect("the probe loads")).clone()
}

/// A host with the probe and the cluster `l2`.
pub fn host() -> Host {
    host_with(Config::default())
}

/// A host with the probe, these settings and the cluster `l2`.
pub fn host_with(mut config: Config) -> Host {
    config.clusters.push("l2".to_owned());
    Host::start(&probe(), config).expect("the probe starts")
}

/// A GET in a probe mode.
pub fn probing(mode: &str) -> Request {
    Request::get("/").header("x-probe", mode)
}

/// Runs a probe script in a worker; its answers, line by line.
pub fn script(host: &mut Host, worker: usize, script: &str) -> Vec<String> {
    let stream = host.request(worker, probing("script").header("x-script", script));
    let view = host.client(stream);
    assert!(view.complete(), "the script was answered: {view:?}, traps {:?}", host.traps());
    view.text().lines().map(str::to_owned).collect()
}

/// The notes of the stream that called itself `id`.
pub fn events(host: &mut Host, id: &str) -> Vec<String> {
    let stream = host.request(0, probing("events").header("x-of", id));
    host.client(stream).text().lines().map(str::to_owned).collect()
}

/// Status and body that the client of a stream saw, and whether it was all.
pub fn seen(host: &Host, stream: StreamId) -> (Option<u16>, String, bool) {
    let view = host.client(stream);
    (view.status(), view.text(), view.complete())
}
