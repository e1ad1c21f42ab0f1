//! `larder policy show`: the history under a name, or the text of a version.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::list::workers;
use super::words::{self, ago, size, table, text};
use crate::End;
use crate::ask::{Asker, Nodes, at};
use crate::paint::{Paint, say};

/// Options of `larder policy show`.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub struct Options {
    /// The policy's name
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    /// Print the text of a version: its number, `active` or `shadow`
    #[arg(long, value_name = "VERSION")]
    version: Option<Which>,

    #[command(flatten)]
    nodes: Nodes,

    /// Print the history as JSON
    #[arg(long, conflicts_with = "version")]
    json: bool,
}

/// A version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Active,
    Shadow,
    Number(u64),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "active" => Ok(Self::Active),
            "shadow" => Ok(Self::Shadow),
            _ => {
                text.parse().map(Self::Number).map_err(|_| format!("{text:?} is no version: write 3, active or shadow"))
            }
        }
    }
}

impl Which {
    /// Its number.
    pub fn number(self, policy: &Value) -> anyhow::Result<u64> {
        let (place, what) = match self {
            Self::Number(number) => return Ok(number),
            Self::Active => ("/active/version", "in force: workers run what they were configured with"),
            Self::Shadow => ("/shadow/version", "in the shadow"),
        };
        at(policy, place).as_u64().ok_or_else(|| anyhow::anyhow!("{}: nothing is {what}", text(at(policy, "/name"))))
    }
}

/// What a node has under a name.
pub fn policy(asker: &Asker, name: &str) -> anyhow::Result<Value> {
    asker.read(&format!("/v1/policies/{name}"), Duration::ZERO)
}

/// The text of a version.
pub fn version_text(asker: &Asker, name: &str, version: u64) -> anyhow::Result<String> {
    asker.read_text(&format!("/v1/policies/{name}/versions/{version}"))
}

/// Shows.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let asker = options.nodes.first()?;
    let known = policy(&asker, &options.name)?;
    if let Some(which) = options.version {
        say(&version_text(&asker, &options.name, which.number(&known)?)?)?;
        return Ok(End::Done);
    }
    if options.json {
        say(&format!("{known}\n"))?;
        return Ok(End::Done);
    }
    let paint = Paint::of_stdout();
    let mut lines = vec![paint.strong(&format!("{}: workers: {}", options.name, workers(&known)))];
    let (changed, by) = (at(&known, "/changed"), text(at(&known, "/changed/by")));
    lines.push(format!(
        "last change: {} by {by}, {}",
        text(at(changed, "/kind")).replace('_', " "),
        ago(at(changed, "/at_ms"))
    ));
    let mut rows = vec![["version", "state", "pushed", "by", "size", "comment"].map(str::to_owned).to_vec()];
    for version in at(&known, "/versions").as_array().into_iter().flatten() {
        let number = at(version, "/version");
        let state = match number {
            number if number == at(&known, "/active/version") => "in force",
            number if number == at(&known, "/shadow/version") => "shadow",
            _ => "",
        };
        rows.push(vec![
            number.to_string(),
            state.to_owned(),
            ago(at(version, "/pushed_ms")),
            text(at(version, "/by")).to_owned(),
            size(at(version, "/bytes").as_u64().unwrap_or_default()),
            text(at(version, "/comment")).to_owned(),
        ]);
    }
    lines.extend(table(&rows));
    say(&(lines.join("\n") + "\n"))?;
    Ok(End::Done)
}
