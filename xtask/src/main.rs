//! The project's commands, called as `cargo xtask COMMAND`. Parses the command line and hands over; decides nothing else.

mod bench;
mod build;
mod cargo;
mod chaos;
mod conformance;
mod demo;
mod deploy;
mod envoy;
mod fuzz;
mod http;
mod node;
mod origin;
mod package;
mod page;
mod paths;
mod ports;
mod process;
mod profile;
mod setup;
mod sim;
mod test;
mod tidy;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's commands. A newcomer types `cargo xtask demo`, a developer `cargo xtask test`.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Build(build::Args),
    Demo(demo::Args),
    Test(test::Args),
    Bench(bench::Args),
    Profile(profile::Args),
    Chaos(chaos::Args),
    Conformance(conformance::Args),
    Deploy(deploy::Args),
    Package(package::Args),
    Sim(sim::Args),
    Fuzz(fuzz::Args),
    Mutants(sim::MutantArgs),
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = process::die_with_children().and_then(|()| match cli.command {
        Command::Setup(args) => setup::main(&args),
        Command::Build(args) => build::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::Profile(args) => profile::main(&args),
        Command::Chaos(args) => chaos::main(&args),
        Command::Conformance(args) => conformance::main(&args),
        Command::Deploy(args) => deploy::main(&args),
        Command::Package(args) => package::main(&args),
        Command::Sim(args) => sim::main(&args),
        Command::Fuzz(args) => fuzz::main(&args),
        Command::Mutants(args) => sim::mutants(&args),
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
