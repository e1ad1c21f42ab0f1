//! Files that commands read: by name, or `-` for standard input.

use std::convert::Infallible;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;

/// What a command reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Reads all of it as text.
pub fn read(source: &Source) -> anyhow::Result<String> {
    let bytes = read_bytes(source)?;
    String::from_utf8(bytes)
        .map_err(|error| anyhow::anyhow!("{source} is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to()))
}

/// Reads all of it.
pub fn read_bytes(source: &Source) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match source {
        Source::Stdin => {
            std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        }
        Source::File(path) => bytes = std::fs::read(path).with_context(|| format!("cannot read {source}"))?,
    }
    Ok(bytes)
}
