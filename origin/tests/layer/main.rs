//! The layer around services of all kinds: what is streamed, kept, followed, broken off and held back.

mod broken;
mod clients;
mod common;
mod filling;
mod handle;
#[cfg(feature = "cluster")]
mod second_level;
