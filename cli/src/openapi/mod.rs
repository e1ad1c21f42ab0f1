//! `larder openapi`: an OpenAPI document with what the cache does to each operation.
//!
//! The text is edited in place: what is not added stays byte for byte as it was. The result is read again and held against the
//! original and against what OpenAPI asks for before anything is written.

mod annotate;
mod plan;
mod validate;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use self::annotate::Annotated;
use crate::End;
use crate::document::{Api, Tree};
use crate::input::{self, Source};
use crate::paint::say;

/// Options of `larder openapi`.
#[derive(Debug, Args)]
#[command(after_help = "Running it again on its own output changes nothing, unless the policy has changed.")]
pub struct Options {
    /// The policy
    #[arg(value_name = "POLICY")]
    policy: Source,

    /// The OpenAPI document, 3.0 or 3.1, JSON or YAML; - is standard input
    #[arg(value_name = "SPEC")]
    spec: Source,

    /// Where to write to; standard output, if left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write to the document itself
    #[arg(long, conflicts_with_all = ["output", "check"])]
    in_place: bool,

    /// Write nothing, and fail where the document does not say what the policy does
    #[arg(long, conflicts_with = "output")]
    check: bool,

    /// Print what was done as JSON; needs --output, --in-place or --check
    #[arg(long)]
    json: bool,
}

/// Annotates.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let to_stdout = options.output.is_none() && !options.in_place && !options.check;
    if options.json && to_stdout {
        bail!("standard output has the document: --json needs --output, --in-place or --check");
    }
    if options.in_place && options.spec == Source::Stdin {
        bail!("standard input cannot be written to");
    }
    let policy = crate::policy::read(&options.policy)?;
    let text = input::read(&options.spec)?;
    let tree = Tree::parse(&text).with_context(|| format!("cannot read {}", options.spec))?;
    let api = Api::of(&tree).with_context(|| format!("cannot annotate {}", options.spec))?;
    let annotated = annotate::annotate(&policy, &api, &text);
    verify(&tree, &api, &annotated)?;
    let changed = annotated.text != text;
    let target = match (&options.output, options.in_place, &options.spec) {
        (Some(path), ..) => Some(path),
        (None, true, Source::File(path)) if changed => Some(path),
        _ => None,
    };
    if let Some(path) = target {
        std::fs::write(path, &annotated.text).with_context(|| format!("cannot write {}", path.display()))?;
    } else if to_stdout {
        say(&annotated.text)?;
    }
    report(options, &annotated, changed)?;
    Ok(if options.check && changed { End::Failed } else { End::Done })
}

/// Nothing that was there may be lost, and nothing may be wrong that was not wrong before.
fn verify(tree: &Tree, api: &Api<'_>, annotated: &Annotated) -> anyhow::Result<()> {
    const SORRY: &str =
        "the result would not be right, and nothing is written; please report this as an error of Larder";
    let result = Tree::parse(&annotated.text).context(SORRY)?;
    if !validate::keeps(tree, &result) {
        bail!("something of the document would get lost: {SORRY}");
    }
    let before = validate::problems(api);
    let after = validate::problems(&Api::of(&result).context(SORRY)?);
    match after.iter().find(|problem| !before.contains(problem.as_str())) {
        Some(problem) => bail!("{problem}: {SORRY}"),
        None => Ok(()),
    }
}

fn report(options: &Options, annotated: &Annotated, changed: bool) -> anyhow::Result<()> {
    if options.json {
        let document = json!({ "changed": changed, "operations": annotated.operations, "notes": annotated.notes });
        return say(&(serde_json::to_string_pretty(&document)? + "\n"));
    }
    annotated.notes.iter().for_each(|note| eprintln!("larder: {note}"));
    if options.check {
        let verdict = if changed { "does not say what the policy does" } else { "says what the policy does" };
        say(&format!("{} {verdict}\n", options.spec))?;
    } else if options.in_place || options.output.is_some() {
        say(&format!("{} operations described\n", annotated.operations))?;
    }
    Ok(())
}
