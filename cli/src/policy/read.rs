//! Policies in files, for commands that work with them.

use std::sync::Arc;

use larder_core::Policy;

use crate::input::{self, Source};

/// Reads a policy; every error of it is named, a line each.
pub fn read(source: &Source) -> anyhow::Result<Arc<Policy>> {
    let text = input::read(source)?;
    let name = source.to_string();
    let policy = Policy::parse(&text).map_err(|errors| anyhow::anyhow!("{}", errors.in_file(&name)))?;
    Ok(Arc::new(policy))
}
