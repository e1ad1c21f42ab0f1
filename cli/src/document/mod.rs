//! Documents in YAML and JSON: read with the place of everything, and edited in place so that all that is not touched stays byte for
//! byte as it was.
//!
//! Knows nothing of OpenAPI, but for [`api`], which reads what commands ask of such documents.

pub mod api;
pub mod edit;
pub mod tree;
pub mod write;

pub use api::{Api, Operation};
pub use edit::Editor;
pub use tree::{Node, Tree};
pub use write::New;
