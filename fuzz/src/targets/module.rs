//! The module that `LARDER_WASM` names, compiled once, and what it has covered so far.

use std::path::PathBuf;
use std::sync::OnceLock;

use larder_host_tests::host::{Host, Plugin};

/// The module.
///
/// # Panics
/// If there is none, or it cannot be loaded.
pub fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let path = std::env::var_os("LARDER_WASM").filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = path.expect("LARDER_WASM names a module: `cargo xtask build` makes one");
        Plugin::from_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

/// Where the engine wants to hear what the module has covered: the number of a counter, and how often.
static COVERED: OnceLock<fn(usize, u8)> = OnceLock::new();

/// Has an engine hear what the module covers, from now on.
pub fn tell_covered(hear: fn(usize, u8)) {
    let _ = COVERED.set(hear);
}

/// Tells the engine what the module has covered in this many workers.
pub(super) fn covered(host: &Host, workers: usize) {
    let Some(hear) = COVERED.get() else { return };
    for worker in 0..workers {
        let counters = host.covered(worker).iter().enumerate().filter(|(_, count)| **count > 0);
        counters.for_each(|(at, count)| hear(at, *count));
    }
}
