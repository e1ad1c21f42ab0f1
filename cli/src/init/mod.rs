//! `larder init`: a first policy, from an OpenAPI document or an access log, that says what it guessed.

mod guess;
mod log;
pub mod openapi;
mod write;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use larder_core::policy::lint;

use crate::End;
use crate::input::{self, Source};
use crate::paint::say;

/// Options of `larder init`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("from").required(true).args(["openapi", "log"]),
    after_help = "Read what it wrote, then: larder check FILE, larder explain GET URL --policy FILE"
)]
pub struct Options {
    /// An OpenAPI document, 3.0 or 3.1, JSON or YAML; - is standard input
    #[arg(long, value_name = "FILE")]
    openapi: Option<Source>,

    /// An access log: common, combined, Envoy's default or JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    log: Option<Source>,

    /// The policy's name
    #[arg(long, value_name = "NAME", default_value = "first", value_parser = name)]
    name: String,

    /// Where to write to, a file that is not there yet; standard output, if left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let draft = match (&options.openapi, &options.log) {
        (Some(source), _) => openapi::draft(&input::read(source)?).with_context(|| format!("cannot use {source}"))?,
        (None, Some(source)) => log::draft(source)?,
        (None, None) => bail!("--openapi or --log says what to begin with"),
    };
    let text = draft.text(&options.name)?;
    if let Err(errors) = lint::check(&text) {
        bail!("the policy would have errors; please report this as an error of Larder:\n{}", errors.in_file("policy"));
    }
    match &options.output {
        None => say(&text)?,
        Some(path) => {
            let mut file =
                std::fs::File::create_new(path).with_context(|| format!("cannot write {}", path.display()))?;
            std::io::Write::write_all(&mut file, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("{}: {} routes\n", path.display(), draft.routes.len()))?;
        }
    }
    draft.notes.iter().for_each(|note| eprintln!("larder: {note}"));
    Ok(End::Done)
}

fn name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fits { Ok(text.to_owned()) } else { Err("letters, digits, - and _, 64 at most".to_owned()) }
}
