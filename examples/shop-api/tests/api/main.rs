//! The API from outside: the real router on a real SQLite file, and the program itself. Every reply is held against
//! `/v1/openapi.json` (see `support`), so a test only says what the document does not.

mod cached;
mod cart;
mod catalogue;
mod concurrency;
mod document;
mod images;
mod login;
mod process;
mod refusals;
mod reports;
mod support;
mod writes;
