//! Policies: the JSON model, its errors, the compiled rules and the router.

pub mod rules;
pub mod template;
