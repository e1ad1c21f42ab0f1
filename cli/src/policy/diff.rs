//! `larder policy diff`: what differs between two texts of a policy, line by line, and in a few words what that means.

use clap::Args;
use serde_json::{Value, json};
use similar::TextDiff;

use super::show::{Which, policy, version_text};
use super::summary::Summary;
use super::words;
use crate::End;
use crate::ask::{Asker, Nodes, at};
use crate::input::{self, Source};
use crate::paint::{Paint, say};

/// Lines around what differs.
const CONTEXT: usize = 3;

/// Options of `larder policy diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without FILE, --from and --to: what is in force against what is in the shadow, or else against the version before it."
)]
pub struct Options {
    /// The policy's name
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    /// A file that would be pushed; - is standard input
    #[arg(value_name = "FILE", conflicts_with = "to")]
    file: Option<Source>,

    /// The version on the left: its number, `active` or `shadow` [default: active]
    #[arg(long, value_name = "VERSION")]
    from: Option<Which>,

    /// The version on the right
    #[arg(long, value_name = "VERSION")]
    to: Option<Which>,

    #[command(flatten)]
    nodes: Nodes,

    /// End with 1 where they differ
    #[arg(long)]
    exit_code: bool,

    /// Print JSON: {"from", "to", "same", "routes": {"added", "removed", "changed"}, "diff"}
    #[arg(long)]
    json: bool,
}

/// A text, and what it is called.
struct Side {
    called: String,
    text: String,
}

/// Compares.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let asker = options.nodes.first()?;
    let known = policy(&asker, &options.name)?;
    let [from, to] = sides(options, &asker, &known)?;
    let diff = TextDiff::from_lines(&from.text, &to.text);
    let unified = diff.unified_diff().context_radius(CONTEXT).header(&from.called, &to.called).to_string();
    let is_same = from.text == to.text;
    let summary = Summary::of(&from.text, &to.text);
    if options.json {
        let routes = summary.as_ref().map(Summary::json);
        let said = json!({ "from": from.called, "to": to.called, "same": is_same, "routes": routes, "diff": unified });
        say(&format!("{said}\n"))?;
    } else if is_same {
        say(&format!("{} and {} are the same\n", from.called, to.called))?;
    } else {
        let paint = Paint::of_stdout();
        let painted = unified.lines().map(|line| painted(line, paint) + "\n");
        let summary = summary.iter().flat_map(Summary::lines).map(|line| line + "\n");
        say(&painted.chain(["\n".to_owned()]).chain(summary).collect::<String>())?;
    }
    Ok(if options.exit_code && !is_same { End::Failed } else { End::Done })
}

fn painted(line: &str, paint: Paint) -> String {
    match line.as_bytes().first() {
        Some(b'+') => paint.good(line),
        Some(b'-') => paint.bad(line),
        Some(b'@') => paint.strong(line),
        _ => line.to_owned(),
    }
}

fn sides(options: &Options, asker: &Asker, known: &Value) -> anyhow::Result<[Side; 2]> {
    let name = options.name.as_str();
    let version = |number: u64| {
        let text = version_text(asker, name, number)?;
        anyhow::Ok(Side { called: format!("{name} version {number}"), text })
    };
    let from = options.from.unwrap_or(Which::Active);
    if let Some(file) = &options.file {
        let to = Side { called: file.to_string(), text: input::read(file)? };
        return Ok([version(from.number(known)?)?, to]);
    }
    let (from, to) = match options.to {
        Some(to) => (from.number(known)?, to.number(known)?),
        None if !at(known, "/shadow").is_null() && options.from != Some(Which::Shadow) => {
            (from.number(known)?, Which::Shadow.number(known)?)
        }
        None if options.from.is_some() => (from.number(known)?, Which::Active.number(known)?),
        None => {
            let to = Which::Active.number(known)?;
            let versions = at(known, "/versions").as_array().into_iter().flatten();
            let mut numbers = versions.filter_map(|version| at(version, "/version").as_u64());
            let before = numbers.find(|number| *number < to);
            let nothing =
                || anyhow::anyhow!("{name}: there is no version before {to}: name a file, or --from and --to");
            (before.ok_or_else(nothing)?, to)
        }
    };
    Ok([version(from)?, version(to)?])
}
