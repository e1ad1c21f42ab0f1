//! Gives targets what is kept for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use larder_fuzz::targets;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Runs all targets that need the module, or all others, and names every input that breaks a property.
pub fn all(needs_module: bool) {
    let mut broken = Vec::new();
    for target in targets::ALL.iter().filter(|target| target.needs_module == needs_module) {
        let own = ["corpus", "regressions"].map(|kind| root().join("fuzz").join(kind).join(target.name));
        let folders = own.into_iter().chain(target.seeds.iter().map(|folder| root().join(folder)));
        let files: Vec<PathBuf> = folders.flat_map(|folder| files(&folder)).collect();
        for file in &files {
            let mut input = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            input.truncate(target.bytes_max);
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                broken.push(format!("{}: {}", target.name, file.display()));
            }
        }
        println!("{}: {} inputs", target.name, files.len());
    }
    assert!(broken.is_empty(), "properties are broken by:\n{}", broken.join("\n"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
