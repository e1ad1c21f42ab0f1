//! `larder completions` and `larder man`: what shells and `man` need to know of the command, made from its own declarations.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::End;
use crate::paint::say;

/// Options of `larder completions`.
#[derive(Debug, Args)]
#[command(after_help = "For bash: larder completions bash > /usr/share/bash-completion/completions/larder")]
pub struct CompletionOptions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Options of `larder man`.
#[derive(Debug, Args)]
#[command(after_help = "To read one at once: larder man | man -l -")]
pub struct ManOptions {
    /// The folder to write a page for each command to; without one, the command's own page is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints a script for a shell.
pub fn completions(options: &CompletionOptions, mut command: Command) -> anyhow::Result<End> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "larder", &mut script);
    say(&String::from_utf8_lossy(&script))?;
    Ok(End::Done)
}

/// Writes manual pages.
pub fn man(options: &ManOptions, command: Command) -> anyhow::Result<End> {
    let Some(folder) = &options.folder else {
        say(&String::from_utf8_lossy(&page(command)?))?;
        return Ok(End::Done);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    say(&format!("pages in {}\n", folder.display()))?;
    Ok(End::Done)
}

fn page(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
    Ok(page)
}
