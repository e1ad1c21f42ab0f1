//! One parser per header field. Parsing is total: bad input falls to the safe side, never to an error.

pub mod accept;
pub mod age;
pub mod cache_control;
pub mod cache_groups;
pub mod cache_status;
pub mod cookie;
pub mod date;
pub mod etag;
pub mod hop;
pub mod no_vary_search;
pub mod range;
pub mod surrogate;
mod syntax;
pub mod vary;

#[cfg(test)]
pub(crate) mod hostile;
