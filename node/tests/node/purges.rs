//! purges
