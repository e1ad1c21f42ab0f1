//! A small shop API.
fn main() {}
