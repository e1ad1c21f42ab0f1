//! Where the module is that cases run in.

use std::path::{Path, PathBuf};

use anyhow::bail;

const NAME: &str = "larder.wasm";
/// Where a package puts it.
const SHARED: &str = "/usr/share/larder";

/// The module's file: the one that was asked for, else the first that is there.
pub fn find(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(asked) = asked.filter(|path| !path.as_os_str().is_empty()) {
        if asked.is_file() {
            return Ok(asked.to_owned());
        }
        bail!("no module at {}, where --wasm or LARDER_WASM says it is; {HOW}", asked.display());
    }
    let places = places(std::env::current_exe().ok().as_deref().and_then(Path::parent));
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    bail!("no module to run the cases in: none at {}; {HOW}", looked.join(", "))
}

const HOW: &str = "`cargo xtask build` makes target/larder.wasm, a release has it, and --wasm FILE names one";

/// Where it is looked for, in order. `beside` is the program's folder.
fn places(beside: Option<&Path>) -> Vec<PathBuf> {
    let near = beside.into_iter().flat_map(|folder| [folder.join(NAME), folder.join("../share/larder").join(NAME)]);
    near.chain([Path::new(SHARED).join(NAME), Path::new("target").join(NAME)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_must_be_there_and_the_program_is_looked_beside_first() {
        let error = find(Some(Path::new("nowhere/larder.wasm"))).expect_err("no such file").to_string();
        assert!(error.contains("nowhere/larder.wasm") && error.contains("cargo xtask build"), "{error}");
        let places: Vec<String> =
            places(Some(Path::new("/opt/bin"))).iter().map(|place| place.display().to_string()).collect();
        assert_eq!(
            places,
            [
                "/opt/bin/larder.wasm",
                "/opt/bin/../share/larder/larder.wasm",
                "/usr/share/larder/larder.wasm",
                "target/larder.wasm"
            ]
        );
    }
}
