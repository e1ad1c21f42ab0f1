//! YAML files as JSON values. PyYAML reads them: the schema tools bring it, and xtask needs no reader of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process;
use crate::setup::schemas::Schemas;

const SCRIPT: &str = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1], 'rb'))), sys.stdout)";

/// All documents of a file.
pub fn documents(tools: &Schemas, file: &Path) -> Result<Vec<Value>> {
    let text = process::stdout(tools.python().args(["-c", SCRIPT]).arg(file))
        .with_context(|| format!("{} is no YAML", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} has something that JSON has not", file.display()))
}

/// The document of a file that has one of this kind.
pub fn of_kind(tools: &Schemas, file: &Path, kind: &str) -> Result<Value> {
    let mut found = documents(tools, file)?.into_iter().filter(|document| document["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(document), None) => Ok(document),
        _ => bail!("{} has not one {kind}", file.display()),
    }
}

/// The files of a folder that end so, by name.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    let mut files = paths.with_context(|| format!("cannot list {}", folder.display()))?;
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    ensure!(!files.is_empty(), "{} has no file that ends in .{ending}", folder.display());
    Ok(files)
}
