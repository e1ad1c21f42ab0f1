//! The commands that read policies and documents, run as people and pipelines run them.

mod audit;
mod check;
mod docs;
mod explain;
mod init;
mod openapi;
mod shell;
mod support;
