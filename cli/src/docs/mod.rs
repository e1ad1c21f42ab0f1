//! `larder docs`: what an API's consumers want to know of its caching, as Markdown and as HTML.

mod html;
mod markdown;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::End;
use crate::input::Source;
use crate::paint::say;

/// Options of `larder docs`.
#[derive(Debug, Args)]
pub struct Options {
    /// The policy; - is standard input
    #[arg(value_name = "POLICY")]
    policy: Source,

    /// Where to write to, Markdown (.md), HTML (.html) or JSON (.json) by the file's name; may be given more than once. Standard output, if left out
    #[arg(long, short, value_name = "FILE")]
    output: Vec<PathBuf>,

    /// What to write to standard output
    #[arg(long, value_enum, default_value_t = Format::Markdown, conflicts_with = "output")]
    format: Format,

    /// Scheme and host for examples of routes that name no host
    #[arg(long, value_name = "URL", default_value = "https://api.example.com", value_parser = base)]
    base_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Markdown,
    Html,
    /// The facts themselves
    Json,
}

/// Writes.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let formats = options.output.iter().map(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("md" | "markdown") => Ok((path, Format::Markdown)),
            Some("html" | "htm") => Ok((path, Format::Html)),
            Some("json") => Ok((path, Format::Json)),
            _ => bail!("{} is neither .md nor .html nor .json", path.display()),
        }
    });
    let formats = formats.collect::<anyhow::Result<Vec<_>>>()?;
    let policy = crate::policy::read(&options.policy)?;
    let markdown = markdown::text(&policy, &options.base_url);
    let text = |format| match format {
        Format::Markdown => Ok(markdown.clone()),
        Format::Html => Ok(html::page(&markdown, &policy.name)),
        Format::Json => markdown::json(&policy, &options.base_url),
    };
    if formats.is_empty() {
        say(&text(options.format)?)?;
    }
    for (path, format) in formats {
        std::fs::write(path, text(format)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(End::Done)
}

fn base(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest.map(|rest| rest.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ', '\'']) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("a scheme and a host, such as https://api.example.com".to_owned()),
    }
}
