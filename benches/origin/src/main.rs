//! What `cargo xtask bench origin` measures: larder-origin's layer and its peers around the same handler, as a server or called in
//! this process. A crate of its own, so that no product depends on the peers.

mod counting;
mod handler;
mod hits;
mod serve;
mod subjects;

use anyhow::Result;
use clap::Parser;

use subjects::Subject;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Measure a cache around a handler, on one thread
#[derive(Parser)]
struct Args {
    /// Which
    #[arg(long)]
    subject: Subject,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve documents over HTTP
    Serve,
    /// Measure hits without a network, and print them as JSON
    Hits(hits::Question),
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        Command::Serve => runtime.block_on(serve::serve(args.subject)),
        Command::Hits(question) => {
            let figures = runtime.block_on(hits::measure(args.subject, &question))?;
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
    }
}
