//! Finding and reading files of test cases and the policies that they are about.

use std::path::{Path, PathBuf};

use anyhow::Context;
use larder_core::Policy;
use larder_core::policy::PolicyErrors;
use larder_core::policy::cases::Cases;

use crate::input::{self, Source};

/// What the names of files of test cases end in.
const ENDING: &str = ".test.json";
/// Folders in which nobody keeps tests of policies.
const LEFT_OUT: [&str; 2] = ["node_modules", "target"];

/// A file of test cases, ready to run.
pub struct Loaded {
    /// As it was found.
    pub name: String,
    pub path: PathBuf,
    pub cases: Cases,
    pub policy_name: String,
    pub policy_text: String,
    /// The cases to run, by their place in the file.
    pub chosen: Vec<usize>,
}

/// A file that cannot be used, and why.
pub struct Unusable {
    /// The file that has errors: one of test cases, or a policy.
    pub name: String,
    pub why: Why,
}

pub enum Why {
    Unread(String),
    /// Errors in its text.
    Errors(String, PolicyErrors),
}

impl Loaded {
    /// The names of the chosen cases, with their places.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.chosen.iter().map(|index| (*index, name(&self.cases, *index)))
    }

    /// Keeps the cases that have this in their name or their file's.
    pub fn retain(&mut self, filter: &str) {
        if !self.name.contains(filter) {
            let cases = &self.cases;
            self.chosen.retain(|index| name(cases, *index).contains(filter));
        }
    }
}

fn name(cases: &Cases, index: usize) -> &str {
    let case = cases.file.cases.as_ref().and_then(|cases| cases.get(index));
    case.and_then(|case| case.name.as_ref()).map_or("", |name| name.0.as_str())
}

/// The files that are named, and those below folders that are named; each once, in the order of the paths, then of names.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let mut found = Vec::new();
        if path.is_dir() {
            below(path, &mut found)?;
            anyhow::ensure!(
                !found.is_empty(),
                "no test cases in {}: files whose names end in {ENDING} have them",
                path.display()
            );
            found.sort();
        } else {
            found.push(path.clone());
        }
        found.retain(|file| !files.contains(file));
        files.extend(found);
    }
    Ok(files)
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Not through links: they may go round.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !name.starts_with('.') && !LEFT_OUT.contains(&name.as_str()) {
                below(&entry.path(), found)?;
            }
        } else if name.ends_with(ENDING) {
            // `.` is where one is: it is no part of a name.
            let path = entry.path();
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    Ok(())
}

/// Reads files and their policies.
pub fn load(files: &[PathBuf]) -> (Vec<Loaded>, Vec<Unusable>) {
    let (mut loaded, mut unusable) = (Vec::new(), Vec::<Unusable>::new());
    for file in files {
        match load_one(file) {
            Ok(file) => loaded.push(file),
            // A policy that several files are about is reported once.
            Err(error) if unusable.iter().any(|known| known.name == error.name) => {}
            Err(error) => unusable.push(error),
        }
    }
    (loaded, unusable)
}

fn load_one(path: &Path) -> Result<Loaded, Unusable> {
    let name = path.display().to_string();
    let text = read(path, &name)?;
    let cases = Cases::parse(&text)
        .map_err(|errors| Unusable { name: name.clone(), why: Why::Errors(text.clone(), errors) })?;
    let policy = cases.file.policy.as_ref().map(|policy| policy.0.clone()).unwrap_or_default();
    let policy = path.parent().unwrap_or(Path::new("")).join(policy);
    let policy_name = policy.display().to_string();
    let policy_text = read(&policy, &policy_name).map_err(|error| Unusable {
        name: name.clone(),
        why: match error.why {
            Why::Unread(why) => Why::Unread(format!("its policy: {why}")),
            why => why,
        },
    })?;
    if let Err(errors) = Policy::parse(&policy_text) {
        return Err(Unusable { name: policy_name, why: Why::Errors(policy_text, errors) });
    }
    let count = cases.file.cases.as_ref().map_or(0, Vec::len);
    Ok(Loaded { name, path: path.to_owned(), cases, policy_name, policy_text, chosen: (0..count).collect() })
}

fn read(path: &Path, name: &str) -> Result<String, Unusable> {
    input::read(&Source::File(path.to_owned()))
        .map_err(|error| Unusable { name: name.to_owned(), why: Why::Unread(format!("{error:#}")) })
}
