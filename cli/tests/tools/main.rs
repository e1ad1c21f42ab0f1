//! The commands that read policies and documents, run as people and pipelines run them.

mod check;
mod docs;
mod explain;
mod openapi;
mod shell;
mod support;
