//! `cargo xtask tidy`: the project's own rules, those that neither compiler nor clippy knows. Collects and prints;
//! each rule has its place: `edges` for dependencies between crates, `light` for those that features must not bring, `sources`
//! for Rust and other text, `links` for Markdown, `schema`.
//!
//! All findings come at once, and each says what to do.

mod edges;
mod light;
mod links;
mod schema;
mod sources;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{Verdict, paths, process};

/// Check the project's own rules: dependency arrows, file headers, links, schema and more
///
/// Rules: dependencies between our crates only along the arrows of the design; core stays free of I/O crates; larder-origin
/// compiles no client, server or TLS that its features do not ask for; every Rust file begins with a `//!` header and has at
/// most 600 lines without its tests; tests never sleep and are never ignored; no unfinished code; no paths of one machine;
/// relative links in Markdown resolve; the schemas in policies/ are current.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Write the schemas in policies/ anew instead of complaining
    #[arg(long)]
    fix: bool,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, from the workspace's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

pub fn main(args: &Args) -> Result<Verdict> {
    if args.fix {
        schema::write()?;
    }
    let findings = findings()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings).context("cannot print JSON")?);
    } else {
        for finding in &findings {
            println!("{finding}");
        }
        match findings.len() {
            0 => println!("tidy"),
            number => println!("{number} to tidy up"),
        }
    }
    Ok(if findings.is_empty() { Verdict::Good } else { Verdict::Bad })
}

/// Everything that breaks a rule, in the order of files and lines.
pub fn findings() -> Result<Vec<Finding>> {
    let files = text_files()?;
    let mut findings = edges::check(&crate::cargo::metadata()?);
    findings.extend(light::check());
    findings.extend(files.iter().flat_map(sources::check));
    findings.extend(links::check(&files));
    findings.extend(schema::check()?);
    findings.sort();
    Ok(findings)
}

/// A file of the project that is text.
pub struct Source {
    /// From the workspace's root.
    pub path: PathBuf,
    /// Everything in it.
    pub text: String,
}

impl Source {
    /// A finding in this file.
    pub fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, message: message.into() }
    }

    /// Whether the file's name ends so.
    pub fn is(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|found| found == ending)
    }
}

/// What git has or would add: neither what is ignored nor what is gone.
fn text_files() -> Result<Vec<Source>> {
    let root = paths::root();
    let mut git = Command::new("git");
    git.current_dir(&root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = process::stdout(&mut git).context("tidy asks git for the project's files")?;
    let read = |path: &str| {
        let text = fs::read(root.join(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
        Some(Source { path: PathBuf::from(path), text })
    };
    Ok(list.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect())
}

/// Whether a path lies in a folder of integration tests.
fn is_in_tests(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
}
