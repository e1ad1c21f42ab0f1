//! The `larder` command. Every subcommand is a file; this one says which there are, and what their ends mean.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

fn main() {}
