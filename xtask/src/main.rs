//! The project's commands, called as `cargo xtask COMMAND`. Parses the command line and hands over; decides nothing else.
#![allow(dead_code, reason = "commands that use these come next")]

mod paths;
mod ports;
mod process;

fn main() -> anyhow::Result<()> {
    process::die_with_children()
}
