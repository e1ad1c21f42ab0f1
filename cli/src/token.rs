//! `larder node token`: a new token, said once.

use clap::{Args, ValueEnum};
use larder_node::tokens::{Scope, new_token};
use serde_json::json;

use crate::End;
use crate::paint::say;

/// Options of `larder node token`.
#[derive(Debug, Args)]
pub struct Options {
    /// Who will use it; shown in the history of purges
    #[arg(long)]
    name: String,

    /// What it allows; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<ScopeName>,

    /// Print both as JSON: {"token": "…", "line": {…}}
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeName {
    /// Statistics, metrics, histories
    Read,
    /// Purging
    Purge,
    /// Policies
    Policy,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Purge => Self::Purge,
            ScopeName::Policy => Self::Policy,
        }
    }
}

/// Makes the token.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let scopes: Vec<Scope> = options.scopes.iter().map(|scope| Scope::from(*scope)).collect();
    let (token, listed) = new_token(&options.name, &scopes)?;
    if options.json {
        say(&format!("{}\n", json!({ "token": token, "line": listed })))?;
    } else {
        let line = serde_json::to_string(&listed)?;
        say(&format!(
            "The token, which is shown only now:\n\n  {token}\n\n\
             Its line for the token file, a JSON list of such lines:\n\n  {line}\n"
        ))?;
    }
    Ok(End::Done)
}
