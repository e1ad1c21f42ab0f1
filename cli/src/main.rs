//! The `larder` command. Every subcommand is a file; this one says which there are, and what their ends mean.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

mod ask;
mod audit;
mod behaviour;
mod check;
mod docs;
mod document;
mod explain;
mod init;
mod input;
mod node;
mod openapi;
mod paint;
mod policy;
mod proxy;
mod purge;
mod ratio;
mod shell;
mod stats;
#[cfg(feature = "test")]
mod test;
mod token;
mod traffic;
mod warm;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Larder: a shared HTTP cache inside Envoy, and the cluster behind it.
#[derive(Debug, Parser)]
#[command(name = "larder", version, propagate_version = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what of an API its policy leaves out or contradicts
    Audit(audit::Options),
    /// Show everything that is wrong with policies, and everything that is odd about them
    Check(check::Options),
    /// Print a script that completes this command's options in a shell
    Completions(shell::CompletionOptions),
    /// Write what an API's consumers want to know of its caching
    Docs(docs::Options),
    /// Explain why a request is answered as it is, and what would change that
    Explain(Box<explain::Options>),
    /// Write a first policy, from an OpenAPI document or an access log
    Init(init::Options),
    /// Write manual pages
    Man(shell::ManOptions),
    /// Run a node of the HTTP cache cluster
    Node(Box<node::Options>),
    /// Add to an OpenAPI document what the cache does to each operation
    #[command(name = "openapi")]
    OpenApi(openapi::Options),
    /// Ship policies to the cluster: push, list, diff, roll back, run in the shadow
    Policy(Box<policy::Options>),
    /// Run the cache as a reverse proxy of its own, in front of any origin
    Proxy(Box<proxy::Options>),
    /// Purge what the cluster and every Envoy have stored, and wait until all have heard
    Purge(purge::Options),
    /// Show what the cluster does
    Stats(stats::Options),
    /// Run test cases of policies in the real module
    #[cfg(feature = "test")]
    Test(test::Options),
    /// Ask for URLs through Envoy before clients do, so that these find them in the cache
    Warm(Box<warm::Options>),
}

/// How a command ended that understood what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    /// What was asked for makes no sense, or cannot be read.
    NotUnderstood,
}

fn main() -> ExitCode {
    let ended = match Options::parse().command {
        Command::Audit(options) => audit::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Completions(options) => shell::completions(&options, Options::command()),
        Command::Docs(options) => docs::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Man(options) => shell::man(&options, Options::command()),
        Command::Node(options) => node::run(*options),
        Command::OpenApi(options) => openapi::run(&options),
        Command::Policy(options) => policy::run(&options),
        Command::Proxy(options) => proxy::run(*options),
        Command::Purge(options) => purge::run(&options),
        Command::Stats(options) => stats::run(&options),
        #[cfg(feature = "test")]
        Command::Test(options) => test::run(&options),
        Command::Warm(options) => warm::run(&options),
    };
    match ended {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::FAILURE,
        Ok(End::NotUnderstood) => ExitCode::from(2),
        Err(error) => {
            eprintln!("larder: {error:#}");
            ExitCode::FAILURE
        }
    }
}
