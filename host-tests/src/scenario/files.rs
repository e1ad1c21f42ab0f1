//! All scenarios below a folder, and a run through them.

use std::path::{Path, PathBuf};

use super::executor::{Executor, Setting};
use super::model::Scenario;
use super::parse::{SyntaxError, read};
use super::report::Report;
use super::run::{host, policies, run};

/// The `.scn` files below a folder, in order of their names.
pub fn in_folder(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "scn") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Carries out many scenarios in one executor, which is told beforehand which ones.
pub fn run_all(files: &[PathBuf], executor: &mut dyn Executor) -> Result<Vec<Report>, Vec<SyntaxError>> {
    let (mut scenarios, mut errors): (Vec<Scenario>, Vec<SyntaxError>) = (Vec::new(), Vec::new());
    for file in files {
        match read(file) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let runs_here = |scenario: &&Scenario| {
        scenario.only.as_ref().is_none_or(|only| only.executors.iter().any(|n| n == executor.name()))
    };
    let told: Vec<(String, String, Vec<String>)> = scenarios
        .iter()
        .filter(runs_here)
        .map(|scenario| (scenario.name.clone(), host(scenario), policies(scenario)))
        .collect();
    let settings: Vec<Setting<'_>> =
        told.iter().map(|(name, host, policies)| Setting { name, host, policies }).collect();
    if let Err(message) = executor.prepare(&settings) {
        return Err(vec![SyntaxError { path: PathBuf::from(executor.name()), line: 0, message }]);
    }
    Ok(scenarios.iter().map(|scenario| run(scenario, executor)).collect())
}
