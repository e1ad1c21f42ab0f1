//! The policy file as types: what may be written, and what each part means. The schema is made from these, doc
//! comments included, so they are written for whoever edits a policy.
//!
//! Knows nothing of defaults and kinds (`kinds`), nor of what the settings amount to (`compile`).

mod ahead;
mod file;
mod settings;
mod values;

pub use ahead::*;
pub use file::*;
pub use settings::*;
pub use values::*;
