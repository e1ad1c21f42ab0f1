//! The project's commands, called as `cargo xtask COMMAND`. Parses the command line and hands over; decides nothing else.

mod build;
mod cargo;
mod paths;
#[allow(dead_code, reason = "for servers of demo and bench")]
mod ports;
#[allow(dead_code, reason = "for servers of demo and bench")]
mod process;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's commands. A newcomer types `cargo xtask demo`, a developer `cargo xtask test`.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Build(build::Args),
    Test(test::Args),
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = process::die_with_children().and_then(|()| match cli.command {
        Command::Setup(args) => setup::main(&args),
        Command::Build(args) => build::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Tidy(args) => tidy::main(&args),
    });
    match outcome {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How a command that ran to its end came out. What was bad has been printed by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
}
