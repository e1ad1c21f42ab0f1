//! Fuzz targets: functions that take any bytes, hand them to what reads bytes from outside, and panic where a property does not hold.
//!
//! libFuzzer calls them (`src/bin/larder-fuzz.rs`, `cargo xtask fuzz`), and so do plain tests with everything in `corpus/` and `regressions/`
//! (`tests/`). Properties are written from the RFCs and from the documentation, not from the code that they are about.

pub mod input;
pub mod targets;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its folders in `corpus/` and `regressions/`.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The longest input that is worth trying, in bytes.
    pub bytes_max: usize,
    /// Whether it runs the module that `LARDER_WASM` names.
    pub needs_module: bool,
    /// Folders of the repository, below its root, with files that are inputs as they are.
    pub seeds: &'static [&'static str],
    /// Takes an input; panics where a property does not hold.
    pub run: fn(&[u8]),
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    targets::ALL.iter().find(|target| target.name == name)
}
